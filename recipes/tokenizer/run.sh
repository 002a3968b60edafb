#!/usr/bin/env bash
# Train and evaluate a tokenizer. Usage, from the repository's root:
#   bash recipes/tokenizer/run.sh RECIPE.yaml DATA_FOLDER OUTPUT [PROCESSES [OPTIONS OF train]]
#   bash recipes/tokenizer/run.sh recipes/tokenizer/mini.yaml my_motions runs/fsq_4096 1 --set model.quantizer.size=4096
# After an interruption run it again to resume.
set -euo pipefail
recipe=${1:?name a recipe, such as recipes/tokenizer/mini.yaml}
data=${2:?name a folder of motions}
output=${3:?name an output folder}
processes=${4:-1}
torchrun --nproc_per_node "$processes" -m motionmillion.cli train tokenizer --config "$recipe" --resume \
    --set output="$output" --set data.folder="$data" "${@:5}"
motionmillion evaluate --suite tokenizer --model "$output/final" --data "$data" --split test -o "$output/evaluation"
