"""Benchmark of the motion LM's decoding, against a baseline with the same weights in the same run.

    rows = bench_decoding(["44m"], batch_sizes=[1, 16], settings=["static", "compiled"])
    print(decoding_report(rows))

Decoding: greedy, random weights, a text of 20 positions, every row to the last token. The baseline is the same model
without a cache: each step recomputes every position, as the published sampler does (but with logits of the last
position only, which favours the baseline). Every setting should give the baseline's tokens; the table has the number
of leading tokens that agree.

Decoding is bound by memory bandwidth: each step reads every weight of layers and output layer once, and the cache. The
fraction of the limit is those bytes per second over the machine's bandwidth, measured between the steps.

Unusual: compilation is not counted; its time is reported. Extra memory is that of the first call, so it includes
weights that are laid out once for all later calls, and for compiled steps the compiler's memory.

| setting | implementation |
|---|---|
| none | the baseline |
| dynamic | transformers' DynamicCache through the model's own layers |
| static | buffers of fixed size |
| compiled | the static steps through torch.compile |
| int8 | the static steps with 8-bit weights, CPU |
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motionmillion.bench.files import show_and_write
from motionmillion.bench.measure import extra_memory, read_bandwidth
from motionmillion.bench.models import TEXT, make_lm
from motionmillion.configuration import check_whole
from motionmillion.lm import MotionLM
from motionmillion.lm.generation.loop import stream
from motionmillion.provenance import describe_machine

SETTINGS: dict[str, dict[str, Any]] = {
    "none": {"cache": "none"},
    "dynamic": {"cache": "dynamic"},
    "static": {"cache": "static"},
    "compiled": {"cache": "static", "compiled": True},
    "int8": {"cache": "static", "int8": True},
}
MOST_TOKENS = 150


@dataclasses.dataclass(frozen=True)
class DecodingRow:
    """One setting at one size; times are medians over the runs."""

    size: str
    parameters: int
    dtype: str
    batch_size: int
    setting: str
    tokens: int  # per row
    tokens_per_second: float  # of all rows together
    first_token_ms: float
    step_ms: float  # median of the later steps
    speedup: float  # tokens per second relative to the baseline
    read_gb_per_second: float  # bytes of weights and cache per step over its time
    bandwidth_gb_per_second: float  # of the machine, measured between the runs
    same_tokens: int  # leading tokens of all rows that equal the baseline's
    extra_mb: float | None  # peak memory above the model
    compile_seconds: float | None

    @property
    def fraction(self) -> float:
        """Fraction of the memory bandwidth that steps reach."""
        return self.read_gb_per_second / self.bandwidth_gb_per_second


def bench_decoding(
    sizes: Sequence[str],
    batch_sizes: Sequence[int] = (1,),
    settings: Sequence[str] = ("dynamic", "static"),
    dtype: str = "float32",
    tokens: int = 150,
    repeats: int = 3,
    codebook: int = 64000,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> list[DecodingRow]:
    """Time every setting, in alternating runs, at every size and batch size; the baseline comes first.

    Raises:
        ValueError: for numbers below 1, unknown sizes, settings and dtypes.
    """
    for name, value in (("tokens", tokens), ("repeats", repeats), *(("batch_size", b) for b in batch_sizes)):
        check_whole(name, value, 1 if name != "tokens" else 2)
    if tokens > MOST_TOKENS:
        raise ValueError(f"tokens must be at most {MOST_TOKENS}, the context of the models, got {tokens!r}")
    unknown = set(settings) - set(SETTINGS)
    if unknown:
        raise ValueError(f"setting must be one of {list(SETTINGS)}, got {sorted(unknown)[0]!r}")
    settings = ["none", *(name for name in settings if name != "none")]
    rows = []
    for size in sizes:
        lm = make_lm(size, codebook, dtype, device)
        for batch in batch_sizes:
            rows += _decode_in_turns(lm, size, dtype, batch, settings, tokens, repeats, progress)
    return rows


class _Run:
    """Measurements of one setting."""

    def __init__(self, lm: MotionLM, text: Tensor, setting: str, tokens: int) -> None:
        self.lm, self.text, self.setting, self.count = lm, text, setting, tokens
        self.chosen = torch.empty(0)
        self.first: list[float] = []
        self.steps: list[float] = []
        self.rates: list[float] = []

    def __call__(self) -> None:
        chosen: list[Tensor] = []
        start = last = time.perf_counter()
        times = []
        options: dict[str, Any] = dict(min_new_tokens=self.count, do_sample=False, **SETTINGS[self.setting])
        for step in stream(self.lm, self.text, None, self.count, **options):
            chosen.append(step.cpu())  # synchronises with a GPU
            times.append(time.perf_counter() - last)
            last = time.perf_counter()
        self.chosen = torch.stack(chosen, dim=1)
        self.first.append(times[0])
        self.steps += times[1:]
        self.rates.append(self.chosen.numel() / (last - start))


def _decode_in_turns(
    lm: MotionLM,
    size: str,
    dtype: str,
    batch: int,
    settings: Sequence[str],
    tokens: int,
    repeats: int,
    progress: Callable[[str], None],
) -> list[DecodingRow]:
    text = torch.randn(1, TEXT, lm.config.text_dim, generator=torch.Generator().manual_seed(0))
    text = text.expand(batch, -1, -1).to(lm.device, lm.dtype)
    runs = {name: _Run(lm, text, name, tokens) for name in settings}
    compile_seconds, memory, bandwidth = {}, {}, []
    for name, run in runs.items():
        progress(f"{size}, batch {batch}: {name}, first call")
        start = time.perf_counter()
        memory[name] = None if name == "none" else extra_memory(run, lm.device, warm=False)
        compile_seconds[name] = time.perf_counter() - start if name == "compiled" else None
        run.first, run.steps, run.rates = [], [], []
    for turn in range(repeats):
        for name, run in runs.items():
            if name == "none" and turn:  # slow, and one run is enough
                continue
            progress(f"{size}, batch {batch}: {name}, turn {turn + 1} of {repeats}")
            run()
            bandwidth.append(read_bandwidth(lm.device))
    expected, rows = runs["none"].chosen, []
    read = [*lm.layers.parameters(), *lm.lm_head.parameters()]
    config = lm.config
    cache = 2 * config.num_hidden_layers * config.hidden_size * (TEXT + tokens / 2) * batch * text.element_size()
    for name, run in runs.items():
        weights = sum(p.numel() * (1 if name == "int8" else p.element_size()) for p in read)
        step = statistics.median(run.steps)
        equal = (run.chosen == expected).all(dim=0)
        rows.append(
            DecodingRow(
                size=size,
                parameters=lm.num_parameters(),
                dtype=dtype,
                batch_size=batch,
                setting=name,
                tokens=tokens,
                tokens_per_second=statistics.median(run.rates),
                first_token_ms=statistics.median(run.first) * 1e3,
                step_ms=step * 1e3,
                speedup=statistics.median(run.rates) / statistics.median(runs["none"].rates),
                read_gb_per_second=(weights + cache) / step / 1e9,
                bandwidth_gb_per_second=statistics.median(bandwidth),
                same_tokens=int(equal.long().cumprod(0).sum()),
                extra_mb=memory[name],
                compile_seconds=compile_seconds[name],
            )
        )
    return rows


def decoding_report(rows: Sequence[DecodingRow], device: str) -> tuple[str, dict[str, Any]]:
    """Markdown and JSON, with a description of the machine."""
    machine = describe_machine(device)
    lines = [f"{machine}; greedy, {rows[0].tokens} tokens a row, {rows[0].dtype} weights.", ""]
    lines.append(
        "| size | batch | setting | tokens/s | speed | first token ms | step ms | of memory speed | same tokens |"
    )
    lines[-1] += " extra MB |"
    lines.append("|---" * 10 + "|")
    for row in rows:
        memory = "-" if row.extra_mb is None else f"{row.extra_mb:.0f}"
        lines.append(
            f"| {row.size} | {row.batch_size} | {row.setting} | {row.tokens_per_second:,.1f} | {row.speedup:.1f}x | "
            f"{row.first_token_ms:.0f} | {row.step_ms:.1f} | {row.fraction:.0%} of {row.bandwidth_gb_per_second:.0f} "
            f"GB/s | {row.same_tokens} of {row.tokens} | {memory} |"
        )
    return "\n".join(lines), {"machine": machine, "rows": [dataclasses.asdict(row) for row in rows]}


def bench_decoding_files(
    sizes: Sequence[str],
    batch_sizes: Sequence[int],
    settings: Sequence[str],
    dtype: str,
    tokens: int,
    repeats: int,
    codebook: int,
    device: str,
    output: Path | None = None,
) -> str:
    """Run the decoding benchmark; returns the table and writes `report.md` and `results.json` to `output`."""

    def run(progress: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        rows = bench_decoding(
            sizes, batch_sizes, settings, dtype, tokens, repeats, codebook, device=device, progress=progress
        )
        return decoding_report(rows, device)

    return show_and_write(run, output)
