#!/usr/bin/env bash
# Trains and scores the bundled model "mini" from scratch: bash recipes/mini/run.sh DATA [OUTPUT]
# DATA is a copy of cmu_text_motion (format: motionmillion.data.clips). About an hour and a half on two CPU cores.
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
train lm lm --set data.tokenizer="$out/tokenizer/final"
train lm lm_tune --set data.tokenizer="$out/tokenizer/final" --set data.start_from="$out/lm/final"
python recipes/mini/release.py "$out/lm_tune/final" "$out/release"
for split in train val test; do
    motionmillion evaluate --suite tokenizer --model "$out/release" --data "$data" --split "$split" --seed 0 \
        --output "$out/tokenizer_$split"
done
python recipes/mini/verb_check.py --model "$out/release" --data "$data" --output "$out/verb_check" --sheets
