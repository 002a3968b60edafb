#!/usr/bin/env bash
# Trains and scores the bundled model "mini" from nothing: bash recipes/mini/run.sh DATA [OUTPUT]
# DATA is a copy of cmu_text_motion (format: motionmillion.data.clips). About two hours on two CPU cores.
set -euo pipefail
data=$1
out=${2:-runs/mini}
motionmillion train tokenizer --config recipes/mini/tokenizer.yaml --resume \
    --set data.folder="$data" --set output="$out/tokenizer"
motionmillion train lm --config recipes/mini/lm.yaml --resume \
    --set data.folder="$data" --set data.tokenizer="$out/tokenizer/final" --set output="$out/lm"
python recipes/mini/release.py "$out/lm/final" "$out/release"
python recipes/mini/tokenizer_table.py --model "$out/release" --data "$data" --output "$out/tokenizer_table"
python recipes/mini/verb_check.py --model "$out/release" --data "$data" --output "$out/verb_check" --sheets
