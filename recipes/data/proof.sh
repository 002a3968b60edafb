#!/usr/bin/env bash
# What filtering changes: the whole way from motion files to scores, by commands alone.
#   bash recipes/data/proof.sh DATA [OUTPUT] [SEEDS]
# DATA is a copy of cmu_text_motion, or any folder that `motionmillion data build` reads; SEEDS is "0 1 2" by default.
# Builds a data set, checks and filters it, trains a small tokenizer and language model on all of it and on what passes,
# with each seed, and scores both on the test clips that pass. Run the same command again to resume: what is finished is
# not made again.
set -euo pipefail
data=$1
out=${2:-runs/data/proof}
read -r -a seeds <<<"${3:-0 1 2}"
once() { # once FILE COMMAND...: unless the file is there
    [ -e "$1" ] || "${@:2}"
}
into() { # into FILE COMMAND...: what the command prints; written whole, even if it says that there are problems
    "${@:2}" >"$1.part" || [ -s "$1.part" ]
    mv "$1.part" "$1"
}
tokenize() { # tokenize SET CELL
    motionmillion tokenize "$1" -o "$2/codes" --model "$2/tokenizer/final" --workers 1
    touch "$2/codes.done"
}
mkdir -p "$out"
# 1. one data set of all clips, what is wrong with it, and the part of it that passes
once "$out/all/state.json" motionmillion data build "$data" -o "$out/all" --source "CMU motion capture" \
    --licence "free for all uses" --workers 1
once "$out/verify.txt" into "$out/verify.txt" motionmillion data verify "$out/all" --workers 1
once "$out/audit.html" motionmillion data audit "$out/all" -o "$out/audit.html" --limit 500
once "$out/good/state.json" motionmillion data filter "$out/all" -o "$out/good" --overwrite --without any \
    --most jerk=300 --most sliding=0.2 --most turn=20 --least seconds=1 --captioned --unique --no-leaks
for set in all good; do
    once "$out/$set.json" into "$out/$set.json" motionmillion data stats "$out/$set" --json
done
# 2. texts, once for both; does nothing if they are there
motionmillion data encode-text "$out/all" -o "$out/texts" --text-encoder sentence-transformers/all-MiniLM-L6-v2 \
    --sentence --text-length 32
# 3. cells: tokenizer, codes, language model, scores
for seed in "${seeds[@]}"; do
    for set in all good; do
        cell=$out/$set-$seed
        once "$cell/tokenizer/final/config.json" motionmillion train tokenizer --config recipes/data/tokenizer.yaml --resume \
            --set seed="$seed" --set data.folder="$out/$set" --set output="$cell/tokenizer"
        once "$cell/codes.done" tokenize "$out/$set" "$cell"
        once "$cell/lm/final/pipeline.json" motionmillion train lm --config recipes/data/lm.yaml --resume \
            --set seed="$seed" --set data.tokens="$cell/codes" --set data.tokenizer="$cell/tokenizer/final" \
            --set data.text_features="$out/texts" --set output="$cell/lm"
        once "$cell/tokenizer_test/results.json" motionmillion evaluate --suite tokenizer --model "$cell/tokenizer/final" \
            --data "$out/good" --split test -o "$cell/tokenizer_test" --resamples 500 --no-plots
        once "$cell/lm_test/results.json" motionmillion evaluate --suite text-to-motion --model "$cell/lm/final" \
            --data "$out/good" --split test -o "$cell/lm_test" --seed "$seed" --resamples 500 --repeats 10
    done
done
python recipes/data/proof_table.py "$out" --seeds "${seeds[@]}"
