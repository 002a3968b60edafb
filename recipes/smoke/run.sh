#!/usr/bin/env bash
# The whole pipeline at small size: synthetic motion, a tokenizer, a language model, a generated file.
# About a minute of CPU time. Usage, from the repository's root: bash recipes/smoke/run.sh [OUTPUT]
set -euo pipefail
out=${1:-runs/smoke}
motionmillion train tokenizer --config recipes/smoke/tokenizer.yaml --set output="$out/tokenizer" --resume
motionmillion train lm --config recipes/smoke/lm.yaml --set output="$out/lm" --set data.tokenizer="$out/tokenizer/final" --resume
motionmillion generate "a person walks forward" --model "$out/lm/final" --seconds 3 -o "$out/walk.html" -o "$out/walk.bvh" --overwrite
test -s "$out/walk.html" && test -s "$out/walk.bvh"
echo "smoke recipe: all files are in $out"
