#!/usr/bin/env bash
# Train a language model (or another PART: dit) on the GPUs of one machine. Usage, from the repository's root:
#   bash recipes/lm/launch.sh RECIPE.yaml [OPTIONS OF motionmillion train]
#   GPUS=4 bash recipes/lm/launch.sh recipes/lm/111m.yaml --set data.tokens=my_tokens
# GPUS is the number of processes; default: all GPUs that torch sees, or one process without GPUs (there GPUS=2 trains
# on the CPU in two processes); RESTARTS (0) is how often failed processes are started again on their own.
# Run it again to resume from the newest complete checkpoint.
set -euo pipefail
recipe=${1:?name a recipe, such as recipes/lm/1b.yaml}
shift
: "${GPUS:=$(python -c 'import torch; print(max(torch.cuda.device_count(), 1))')}"
: "${OMP_NUM_THREADS:=$(($(nproc) > GPUS ? $(nproc) / GPUS : 1))}"
export OMP_NUM_THREADS
exec python -m torch.distributed.run --standalone --nproc_per_node "$GPUS" --max-restarts "${RESTARTS:-0}" \
    -m motionmillion.cli train "${PART:-lm}" --config "$recipe" --resume "$@"
