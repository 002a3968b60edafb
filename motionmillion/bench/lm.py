"""Benchmark of the motion LM: decoding and training, each against a baseline with the same weights in the same run.

    rows = bench_decoding(["44m"], batch_sizes=[1, 16], settings=["static", "compiled"])
    row = bench_packing("44m", lengths)
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
from typing import Any

import torch
from torch import Tensor

from motionmillion.bench.measure import describe_machine, extra_memory, read_bandwidth, take_turns
from motionmillion.configuration import check_whole
from motionmillion.data.packing import PackedCollator
from motionmillion.data.tokens import TokenCollator
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.generation import stream

SETTINGS: dict[str, dict[str, Any]] = {
    "none": {"cache": "none"},
    "dynamic": {"cache": "dynamic"},
    "static": {"cache": "static"},
    "compiled": {"cache": "static", "compiled": True},
    "int8": {"cache": "static", "int8": True},
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TEXT = 20
"""Number of text positions."""
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


def make_lm(size: str, codebook: int, dtype: str, device: str, text_dim: int = 2048, **options: Any) -> MotionLM:
    """A model with random weights, from a fixed seed.

    Raises:
        ValueError: for unknown sizes and dtypes.
    """
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {sorted(DTYPES)}, got {dtype!r}")
    torch.manual_seed(0)
    config = MotionLMConfig.from_name(size, codebook_size=codebook, text_dim=text_dim, **options)
    return MotionLM(config).to(DTYPES[dtype]).to(torch.device(device)).eval()  # type: ignore[arg-type]


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
            progress(f"{size}, batch {batch}: {name}, run {turn + 1} of {repeats}")
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
    half = torch.autocast(torch.device(device).type, torch.bfloat16)

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


def _matrix_flops(device: torch.device, size: int = 2048) -> float:
    """FLOPS of a large matrix product in bfloat16, the best of a few runs."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = take_turns([lambda: a @ b], 5, device)[0]
    return 2 * size**3 / min(times)


def decoding_report(rows: Sequence[DecodingRow], device: str) -> tuple[str, dict[str, Any]]:
    """Markdown and JSON, with a description of the machine."""
    machine = describe_machine(device)
    lines = [f"{machine}; greedy, {rows[0].tokens} tokens per row, {rows[0].dtype} weights.", ""]
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


def packing_report(rows: Sequence[PackingRow], device: str) -> tuple[str, dict[str, Any]]:
    """Markdown and JSON, with a description of the machine."""
    machine = describe_machine(device)
    lines = [f"{machine}; training steps in bfloat16 autocast, forward and backward; real positions per second.", ""]
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
    lines += ["", "MFU: FLOPs of the real positions relative to the measured rate of a large matrix product."]
    return "\n".join(lines), {"machine": machine, "rows": [dataclasses.asdict(row) for row in rows]}
