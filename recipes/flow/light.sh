#!/usr/bin/env bash
# The student that reads texts alone: bash recipes/flow/light.sh DATA PROMPTS [TEACHER] [OUTPUT]
# DATA is a folder of captioned motion, PROMPTS a text file with one sentence a line, TEACHER any pipeline ("mini").
# Makes a motion for each prompt, trains the student on both, and distils it into one of four steps. Give the same
# command again after an interruption: motions that are there stay, trainings go on from their newest checkpoint.
set -euo pipefail
data=$1
prompts=$2
teacher=${3:-mini}
out=${4:-runs/flow/light}
motionmillion generate --prompts-file "$prompts" --model "$teacher" --seed 0 --resume \
    -o "$out/teacher/motion.npz" -o "$out/teacher/motion.txt"
if [ ! -e "$out/student/final/pipeline.json" ]; then
    motionmillion train dit --config recipes/flow/light.yaml --resume --set output="$out/student" \
        --set data.sources="[{folder: \"$data\"}, {folder: \"$out/teacher\", splits: [train, val, test], share: 0.06}]" \
        "${@:5}"
fi
if [ ! -e "$out/few_step/final/pipeline.json" ]; then
    motionmillion train few-step --config recipes/flow/few_step.yaml --resume --set output="$out/few_step" \
        --set data.folder="$data" --set model.teacher="$out/student/final" "${@:5}"
fi
