#!/usr/bin/env bash
# Train a language model (or another PART: dit) on several machines that share their files. Usage, from the
# repository's root, either on every machine, each with its own rank:
#   NODES=5 NODE_RANK=0 MASTER=node1 bash recipes/lm/multi_node.sh RECIPE.yaml [OPTIONS OF motionmillion train]
# or on one of them, which starts the others by ssh (HOSTFILE: one machine per line; text after its name is ignored):
#   HOSTFILE=hosts bash recipes/lm/multi_node.sh RECIPE.yaml [OPTIONS OF motionmillion train]
# GPUS is the number of GPUs per machine, default 8; MASTER_PORT a free port of the first machine, default 29400.
# Run it again to resume from the newest complete checkpoint.
#
# NCCL detects InfiniBand. If it picks a wrong network, set NCCL_SOCKET_IFNAME (such as eth0) and NCCL_IB_HCA; if it
# hangs, NCCL_DEBUG=INFO shows its choice. Variables that begin with NCCL_, GLOO_ or MOTIONMILLION_ are passed on over
# ssh. SSH sets another command than ssh, including options. RESTARTS (0) is how often failed processes are started
# again on their own, from the newest complete checkpoint.
set -euo pipefail
recipe=${1:?name a recipe, such as recipes/lm/7b.yaml}
shift
: "${GPUS:=8}" "${MASTER_PORT:=29400}" "${RESTARTS:=0}"

start_all() {
    local hosts=() started=() host rank=0 status=0 settings
    mapfile -t hosts < <(awk '!/^#/ && NF { print $1 }' "$HOSTFILE")
    [ "${#hosts[@]}" -gt 0 ] || { echo "HOSTFILE must name machines, got none in $HOSTFILE" >&2; exit 2; }
    settings=$(env | grep -E '^(NCCL|GLOO|MOTIONMILLION)_' | while IFS= read -r line; do printf ' %q' "$line"; done || true)
    for host in "${hosts[@]}"; do
        # shellcheck disable=SC2029,SC2086  # everything is meant to be expanded here; SSH may hold options
        ${SSH:-ssh} "$host" "cd $(printf %q "$PWD") && env HOSTFILE= PATH=$(printf %q "$PATH") NODES=${#hosts[@]} NODE_RANK=$rank \
            MASTER=$(printf %q "${MASTER:-${hosts[0]}}") MASTER_PORT=$MASTER_PORT GPUS=$GPUS RESTARTS=$RESTARTS PART=${PART:-lm}$settings \
            bash recipes/lm/multi_node.sh $(printf '%q ' "$recipe" "$@")" &
        started+=("$!")
        rank=$((rank + 1))
    done
    for _ in "${started[@]}"; do  # one failure stops all
        wait -n || { status=$?; kill "${started[@]}" 2> /dev/null || true; break; }
    done
    wait
    exit "$status"
}

if [ -n "${HOSTFILE:-}" ]; then
    start_all "$@"
fi
export NCCL_DEBUG=${NCCL_DEBUG:-WARN} OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
exec python -m torch.distributed.run \
    --nnodes "${NODES:?say how many machines, or name a HOSTFILE}" --node_rank "${NODE_RANK:?rank of this machine}" \
    --master_addr "${MASTER:?name of the first machine}" --master_port "$MASTER_PORT" --nproc_per_node "$GPUS" \
    --max-restarts "$RESTARTS" -m motionmillion.cli train "${PART:-lm}" --config "$recipe" --resume "$@"
