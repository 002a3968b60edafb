"""Tables of recipes/lm/README.md: memory per GPU by size and ZeRO stage, and hours; computed, nothing is run.

python recipes/lm/memory_table.py --gpu h100 --gpus 8 40
"""

import argparse
from dataclasses import replace

from motionmillion.lm import MotionLMConfig
from motionmillion.lm.config import SIZES
from motionmillion.training.plan import GIB, STAGES, Step, find_gpu, hours, lm_shape, memory, step_flops

NAMES = [name for name in SIZES if name != "mini"]  # the published ones
TEXT, CODES = 150, 150  # positions of a padded row: text, motion (plus END)
SAMPLES, STEPS = 640, 240_000


def memory_rows(gpus: int, rows: int, gpu: str) -> list[str]:
    """Table lines: GiB by stage, without and with gradient checkpointing; bold where it fits."""
    lines = ["| size | weights |" + "".join(f" {stage or 'none'} |" for stage in STAGES), "|---" * 6 + "|"]
    for name in NAMES:
        shape = lm_shape(MotionLMConfig.from_name(name))
        step = Step(gpus=gpus, rows=rows, positions=TEXT + CODES + 1, predicted=CODES + 1)
        cells = []
        for stage in STAGES:
            plans = [memory(shape, replace(step, checkpointing=again), stage) for again in (False, True)]
            cells.append(" / ".join(_cell(plan.total, plan.fits(find_gpu(gpu))) for plan in plans))
        lines.append(f"| {name} | {shape.parameters / 1e9:.2f} B | " + " | ".join(cells) + " |")
    return lines


def hour_rows(gpus: list[int], gpu: str, mfu: float, mean: int) -> list[str]:
    """Table lines: hours for the published number of steps, padded and packed, by number of GPUs."""
    heads = [f"{kind}, {n} GPUs" for n in gpus for kind in ("padded", "packed")]
    lines = ["| size | TFLOP per sample, padded | " + " | ".join(heads) + " |", "|---" * (2 + len(heads)) + "|"]
    padded = Step(gpus=1, rows=1, positions=TEXT + CODES + 1, predicted=CODES + 1)
    packed = Step(gpus=1, rows=1, positions=8 * mean, predicted=8 * mean, samples_a_row=8)
    for name in NAMES:
        shape = lm_shape(MotionLMConfig.from_name(name))
        flops = [step_flops(shape, step) / step.samples for step in (padded, packed)]
        cells = [f"{hours(SAMPLES * each, STEPS, n, find_gpu(gpu), mfu):,.1f}" for n in gpus for each in flops]
        lines.append(f"| {name} | {flops[0] / 1e12:.3g} | " + " | ".join(cells) + " |")
    return lines


def _cell(total: int, fits: bool) -> str:
    return f"**{total / GIB:.0f}**" if fits else f"{total / GIB:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", default="h100", help="a name in motionmillion.training.plan.GPUS")
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 40])
    parser.add_argument("--rows", type=int, default=16, help="rows per GPU")
    parser.add_argument("--mfu", type=float, default=0.4)
    parser.add_argument("--sample-positions", type=int, default=100, help="mean length of a packed sample")
    options = parser.parse_args()
    for gpus in options.gpus:
        print(f"\nGiB per GPU on {gpus} GPUs, {options.rows} rows of {TEXT + CODES + 1} positions, by ZeRO stage:\n")
        print("\n".join(memory_rows(gpus, options.rows, options.gpu)))
    print(f"\nHours for {STEPS:,} steps of {SAMPLES} samples on {options.gpu} at an MFU of {options.mfu}:\n")
    print("\n".join(hour_rows(options.gpus, options.gpu, options.mfu, options.sample_positions)))


if __name__ == "__main__":
    main()
