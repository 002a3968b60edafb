#!/usr/bin/env bash
# Trains and scores the bundled model "mini": bash recipes/mini/run.sh DATA [OUTPUT]
# DATA is a copy of cmu_text_motion (format: motionmillion.data.clips).
# Run the same command again to resume: every stage continues from its newest checkpoint.
set -euo pipefail
data=$1
out=${2:-runs/mini}
train() {
    if [ ! -e "$out/$2/final/config.json" ] && [ ! -e "$out/$2/final/pipeline.json" ]; then
        motionmillion train "$1" --config "recipes/mini/$2.yaml" --resume --set data.folder="$data" \
            --set output="$out/$2" "${@:3}"
    fi
}
train tokenizer tokenizer
train lm lm --set data.tokenizer="$out/tokenizer/final" --set data.cache="$out/cache"
train preference preference --set data.start_from="$out/lm/final"
train dit dit
python recipes/mini/release.py "$out/preference/final" "$out/release"
python recipes/mini/release.py "$out/dit/final" "$out/release-dit"
for split in train val test; do
    motionmillion evaluate --suite tokenizer --model "$out/release" --data "$data" --split "$split" --seed 0 \
        --output "$out/tokenizer_$split"
done
for model in "$out/release" "$out/release-dit"; do
    python recipes/mini/instruction_check.py --model "$model" --through "$out/release" --data "$data" --output "$out/instructions/$(basename "$model")"
done
python recipes/mini/verb_check.py --model "$out/release" --data "$data" --verbs 20 --output "$out/verb_check" --sheets
