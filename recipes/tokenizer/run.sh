#!/usr/bin/env bash
# Train and evaluate a tokenizer. Usage, from the repository's root:
#   bash recipes/tokenizer/run.sh RECIPE.yaml DATA_FOLDER [PROCESSES]
# Run it again after an interruption and it goes on where it stopped.
set -euo pipefail
recipe=${1:?name a recipe, such as recipes/tokenizer/mini.yaml}
data=${2:?name a folder of motions}
processes=${3:-1}
output=$(python -c "import sys; from motionmillion.training.recipe import load_recipe as r; print(r(sys.argv[1]).output)" "$recipe")
torchrun --nproc_per_node "$processes" -m motionmillion.cli train tokenizer --config "$recipe" --set data.folder="$data" --resume
motionmillion evaluate tokenizer --model "$output/final" --data "$data" --split test -o "$output/evaluation"
