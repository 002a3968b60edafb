"""Quantized weights: bytes of the layers, agreement with float32, time of a greedy clip.

    python recipes/bench/quantization.py --output runs/bench/quantization

Agreement is the fraction of positions where the most likely next token equals that of the float32 model, given the
tokens that the float32 model generated (END excluded, so that every row has the requested length). Prints and writes
`report.md` and `results.json`. Needs pip install "motionmillion[quantization]"; other load on the machine shows in the
seconds.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.bench.measure import describe_machine
from motionmillion.io.files import write_text
from motionmillion.lm import MotionLM
from motionmillion.pipeline import MotionPipeline, find_pipeline
from motionmillion.quantization import LIBRARIES, quantization_config

VERBS = (
    "walks forward, walks and turns left, runs, jumps, waves with the right hand, sits down, kicks, punches, dances, "
    "climbs a ladder, walks slowly like an old man, runs in a circle, jumps twice, walks backward, throws a ball, "
    "bends down"
)
PROMPTS = [f"a person {verb}" for verb in VERBS.split(", ")]


def layer_bytes(lm: MotionLM) -> int:
    """Bytes of the layers' weights; tensor subclasses count the bytes of their inner tensors."""
    return sum(
        sum(getattr(weight, part).nbytes for part in weight.__tensor_flatten__()[0])  # type: ignore[attr-defined]
        if hasattr(weight, "__tensor_flatten__")
        else weight.nbytes
        for weight in lm.layers.parameters()
    )


@torch.no_grad()
def likeliest(lm: MotionLM, tokens: Tensor, features: Tensor, mask: Tensor) -> Tensor:
    """The most likely code at each position of `tokens` `[B, N]`."""
    return lm(tokens, features, mask).logits[:, :-1, : lm.config.codebook_size].argmax(dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare weights in 4, 8, 16 and 32 bits.")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--tokens", type=int, default=75)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    folder = find_pipeline(options.model) / "lm"
    features, mask = MotionPipeline.from_pretrained(options.model).text_encoder(PROMPTS)
    greedy: dict[str, Any] = dict(do_sample=False, max_new_tokens=options.tokens, min_new_tokens=options.tokens)

    variants: dict[str, dict[str, Any]] = {"float32": {}, "bfloat16": {"dtype": torch.bfloat16}}
    variants |= {name: {"quantization_config": quantization_config(name)} for name in LIBRARIES}
    rows, reference = [], torch.empty(0)
    for name, changes in variants.items():
        lm = MotionLM.from_pretrained(folder, **{"dtype": torch.float32, **changes}).eval()
        reference = lm.generate(features, mask, **greedy) if name == "float32" else reference
        found = likeliest(lm, reference, features, mask)
        lm.generate(features[:1], mask[:1], **greedy)
        start = time.perf_counter()
        lm.generate(features[:1], mask[:1], **greedy)
        seconds = time.perf_counter() - start
        agreement = float((found == reference).float().mean())
        rows.append(dict(weights=name, megabytes=layer_bytes(lm) / 1e6, agreement=agreement, seconds=seconds))

    table = ["| weights | layers, MB | agreement, % | one clip, s |", "|---|---|---|---|"]
    table += [
        f"| {r['weights']} | {r['megabytes']:.1f} | {100 * r['agreement']:.1f} | {r['seconds']:.2f} |" for r in rows
    ]
    machine = describe_machine("cpu")
    report = f"Model {options.model}, {len(PROMPTS)} prompts, {options.tokens} tokens; {machine}.\n\n" + "\n".join(
        table
    )
    print(report)
    if options.output:
        write_text(report + "\n", options.output / "report.md")
        write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n", options.output / "results.json")


if __name__ == "__main__":
    main()
