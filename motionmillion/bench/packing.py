"""Training steps of the language model on the same samples, packed, and padded to the longest.

row = bench_packing("44m", lengths)
print(packing_report([row], "cpu")[0])
"""

import dataclasses
import json
import statistics
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.bench.files import show_and_write
from motionmillion.bench.measure import extra_memory, take_turns
from motionmillion.bench.models import make_lm
from motionmillion.configuration import check_whole, fast_bfloat16
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.provenance import describe_machine

CODES_PER_SECOND = 15
"""Of the published tokenizer."""


@dataclasses.dataclass(frozen=True)
class PackingRow:
    """Training steps on the same samples, padded and packed; times are medians over the runs."""

    size: str
    samples: int
    row: int  # positions of a packed row
    positions: int  # text and tokens of the samples, padding not counted
    fixed_positions: int  # of the published layout: 301 per sample
    padded_positions: int
    packed_positions: int
    fixed_per_second: float  # real positions per second
    padded_per_second: float
    packed_per_second: float
    fixed_mb: float | None  # peak memory above the model
    padded_mb: float | None
    packed_mb: float | None
    mfu: float  # packed, relative to the machine's measured matrix product

    @property
    def speedup(self) -> float:
        """Speed of packed rows relative to padding to the longest of the batch."""
        return self.packed_per_second / self.padded_per_second


def bench_packing(
    size: str,
    lengths: Sequence[tuple[int, int]],
    samples: int = 32,
    row: int = 512,
    repeats: int = 5,
    codebook: int = 64000,
    text_dim: int = 2048,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> PackingRow:
    """Time a training step on `samples` drawn from `lengths`: padded to 301 positions, to the longest, and packed.

    Args:
        lengths: text positions and codes of real samples.
        row: positions of a packed row.

    Raises:
        ValueError: for numbers below 1 and empty lengths.
    """
    for name, value in (("samples", samples), ("row", row), ("repeats", repeats)):
        check_whole(name, value, 1)
    if not lengths:
        raise ValueError("lengths must hold the sizes of at least one sample, got none")
    lm = make_lm(size, codebook, "float32", device, text_dim).train()
    end, pad = lm.config.end_token_id, lm.config.padding_token_id
    plain = TokenCollator(end, pad)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(len(lengths), (samples,), generator=generator).tolist()
    drawn = [
        {
            "codes": torch.randint(codebook, (min(lengths[i][1], 150),), generator=generator),
            "text": torch.randn(min(lengths[i][0], 150), text_dim, generator=generator),
        }
        for i in chosen
    ]
    batches = {"fixed": _fixed(plain(drawn), pad), "padded": plain(drawn), "packed": PackedCollator(plain, row)(drawn)}
    batches = {name: {key: v.to(device) for key, v in batch.items()} for name, batch in batches.items()}
    half = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=fast_bfloat16(device))

    def step(name: str) -> Callable[[], None]:
        def run() -> None:
            with half:
                loss = lm(**batches[name], return_logits=False).loss
            loss.backward()
            lm.zero_grad(set_to_none=True)

        return run

    calls = [step(name) for name in batches]
    memory = []
    for name, call in zip(batches, calls, strict=True):
        progress(f"{size}, training step: {name}")
        memory.append(extra_memory(call, lm.device))
    seconds = [statistics.median(times) for times in take_turns(calls, repeats, lm.device)]
    positions = sum(len(sample["text"]) + len(sample["codes"]) + 1 for sample in drawn)
    computed = [batch["input_ids"].numel() + batch["text_mask"].numel() for batch in batches.values()]
    body = sum(p.numel() for p in lm.layers.parameters())
    predicted = sum(len(sample["codes"]) + 1 for sample in drawn)
    flops = 6 * (body * positions + lm.lm_head.weight.numel() * predicted)  # without attention
    rates = [positions / second for second in seconds]
    mfu = flops / seconds[2] / _matrix_flops(lm.device)
    figures: Any = (*computed, *rates, *memory, mfu)
    return PackingRow(size, samples, row, positions, *figures)


def _fixed(batch: dict[str, Tensor], pad: int) -> dict[str, Tensor]:
    """A padded batch in the published size: 150 text positions and 151 tokens."""
    more_text, more = 150 - batch["text_mask"].shape[1], 151 - batch["input_ids"].shape[1]
    wide = {name: torch.nn.functional.pad(batch[name], (0, more), value=pad) for name in ("input_ids", "labels")}
    wide["text_features"] = torch.nn.functional.pad(batch["text_features"], (0, 0, 0, more_text))
    wide["text_mask"] = torch.nn.functional.pad(batch["text_mask"], (0, more_text))
    return wide


def _matrix_flops(device: torch.device) -> float:
    """FLOPS of a large matrix product in the dtype of the steps, the best of a few runs."""
    size = 1024 if device.type == "cpu" else 2048
    dtype = torch.bfloat16 if fast_bfloat16(str(device)) else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = take_turns([lambda: a @ b], 5, device)[0]
    return 2 * size**3 / min(times)


def packing_report(rows: Sequence[PackingRow], device: str) -> tuple[str, dict[str, Any]]:
    """Markdown and JSON, with a description of the machine."""
    machine = describe_machine(device)
    dtype = "bfloat16 autocast" if fast_bfloat16(device) else "float32"
    lines = [f"{machine}; training steps in {dtype}, forward and backward; real positions a second.", ""]
    lines.append("| size | samples | layout | positions computed | real positions/s | against the longest |")
    lines[-1] += " extra MB | MFU |"
    lines.append("|---" * 8 + "|")
    for row in rows:
        for name in ("fixed", "padded", "packed"):
            rate, memory = getattr(row, f"{name}_per_second"), getattr(row, f"{name}_mb")
            layout = {"fixed": "301 each", "padded": "to the longest", "packed": f"packed, rows of {row.row}"}[name]
            lines.append(
                f"| {row.size} | {row.samples} | {layout} | {getattr(row, f'{name}_positions'):,} for "
                f"{row.positions:,} | {rate:,.0f} | {rate / row.padded_per_second:.2f}x | "
                f"{'-' if memory is None else f'{memory:,.0f}'} | {row.mfu * rate / row.packed_per_second:.0%} |"
            )
    lines += ["", "MFU: operations that the real positions need over what a large matrix product was measured to do."]
    return "\n".join(lines), {"machine": machine, "rows": [dataclasses.asdict(row) for row in rows]}


def bench_packing_files(
    sizes: Sequence[str], samples: int, repeats: int, codebook: int, device: str, output: Path | None = None
) -> str:
    """Run the packing benchmark on the lengths of real clips; returns the table and writes it to `output`."""

    def run(progress: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        lengths = real_lengths()
        rows = [
            bench_packing(size, lengths, samples, repeats=repeats, codebook=codebook, device=device, progress=progress)
            for size in sizes
        ]
        return packing_report(rows, device)

    return show_and_write(run, output)


def real_lengths() -> list[tuple[int, int]]:
    """Text positions and codes of captioned clips of the CMU data (`recipes/bench/lengths.py`)."""
    file = resources.files("motionmillion.bench") / "lengths.json"
    lengths = json.loads(file.read_text(encoding="utf-8"))["lengths"]
    return [(text, max(round(seconds * CODES_PER_SECOND), 1)) for text, seconds in lengths]
