"""Cost of a quantizer in a training step, FSQ against VQ, by codebook size.

    python recipes/tokenizer/quantizer_bench.py --output runs/bench/quantizers

Forward and backward of the quantizer alone, on latents of 64 windows of 48 codes with 512 channels. Quantizers take
turns; the ratio is relative to FSQ of 1,000 codes in the same turn.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch

from motionmillion.bench.measure import extra_memory, take_turns
from motionmillion.io.files import write_text
from motionmillion.provenance import describe_machine
from motionmillion.tokenizer.quantizers import build_quantizer

OPTIONS = [{"type": "fsq", "size": size} for size in (1024, 4096, 16384, 65536)]
OPTIONS += [{"type": "vq", "size": size} for size in (1024, 4096, 16384, 65536)]


def step(options: dict, latents: torch.Tensor) -> tuple[Callable[[], None], int]:
    """A training step of a quantizer, and the true size of its codebook."""
    quantizer = build_quantizer(options, latents.shape[-1]).to(latents.device).train()

    def run() -> None:
        output = quantizer(latents)
        (output.latents.square().mean() + output.loss).backward()
        quantizer.zero_grad(set_to_none=True)

    return run, quantizer.codebook_size


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure time and memory of quantizers.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", default="runs/bench/quantizers", help="folder for report.md and results.json")
    options = parser.parse_args()
    torch.manual_seed(0)
    latents = torch.randn(64, 48, 512, device=options.device, requires_grad=True)
    steps = [step(choice, latents) for choice in OPTIONS]
    memory = [extra_memory(run, latents.device) for run, _ in steps]
    seconds = take_turns([run for run, _ in steps], options.repeats, latents.device)
    machine = describe_machine(options.device)
    lines = [
        f"{machine}; {options.repeats} turns.",
        "",
        "| quantizer | codes | ms per step | against FSQ 1,000 | extra memory MB |",
    ]
    lines.append("|---" * 5 + "|")
    rows = []
    for choice, (_, size), times, extra in zip(OPTIONS, steps, seconds, memory, strict=True):
        ratio = statistics.median(own / first for own, first in zip(times, seconds[0], strict=True))
        took = 1000 * statistics.median(times)
        lines.append(
            f"| {choice['type']} | {size:,} | {took:.1f} | {ratio:.1f}x | {'-' if extra is None else f'{extra:.0f}'} |"
        )
        rows.append({**choice, "codes": size, "seconds": times, "ratio": ratio, "extra_mb": extra})
    print("\n".join(lines))
    write_text("\n".join(lines) + "\n", Path(options.output) / "report.md")
    write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n", Path(options.output) / "results.json")


if __name__ == "__main__":
    main()
