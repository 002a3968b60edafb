#!/usr/bin/env bash
# Trains a text-only student:
#   bash recipes/flow/light.sh DATA PROMPTS [TEACHER] [OUTPUT] [STUDENT OPTIONS ...] [-- FEW-STEP OPTIONS ...]
# DATA is a folder of captioned motion, PROMPTS a text file with one sentence per line, TEACHER any pipeline ("mini").
# Options are those of `motionmillion train`, such as --set training.max_steps=100; options after -- apply to the
# four-step student.
# Generates a motion for each prompt, trains the student on both sets, and distils it into a four-step student. To
# resume after an interruption run the same command again: existing motions are kept, trainings resume from their newest checkpoint.
set -euo pipefail
data=$1
prompts=$2
teacher=${3:-mini}
out=${4:-runs/flow/light}
student=()
few_step=()
behind=no
for option in "${@:5}"; do
    if [ "$option" = -- ]; then
        behind=yes
    elif [ "$behind" = yes ]; then
        few_step+=("$option")
    else
        student+=("$option")
    fi
done
made_of=$({ echo "$data $teacher"; cat "$prompts"; } | cksum)
if [ -e "$out/made_of.txt" ] && [ "$(cat "$out/made_of.txt")" != "$made_of" ]; then
    echo "DATA, PROMPTS and TEACHER must be those that $out was started with; choose another OUTPUT" >&2
    exit 2
fi
mkdir -p "$out"
echo "$made_of" >"$out/made_of.txt"
motionmillion generate --prompts-file "$prompts" --model "$teacher" --seed 0 --resume \
    -o "$out/teacher/motion.npz" -o "$out/teacher/motion.txt"
if [ ! -e "$out/student/final/pipeline.json" ]; then
    motionmillion train dit --config recipes/flow/light.yaml --resume --set output="$out/student" \
        --set data.sources="[{folder: \"$data\"}, {folder: \"$out/teacher\", splits: [train, val, test], share: 0.06}]" \
        ${student[@]+"${student[@]}"}
fi
if [ ! -e "$out/few_step/final/pipeline.json" ]; then
    motionmillion train few-step --config recipes/flow/few_step.yaml --resume --set output="$out/few_step" \
        --set data.folder="$data" --set model.teacher="$out/student/final" ${few_step[@]+"${few_step[@]}"}
fi
