"""Benchmark of the ways to generate motion: codes, latents with a flow head, and MotionDiT, in seconds per motion.

    rows = bench_flow(["44m"], steps=[1, 4, 10, 20, 50])
    rows = bench_pipelines(["mini", "runs/flow/dit-mini/final"], steps=[10, 50])
    print(flow_report(rows, "cpu")[0])

Runs of all kinds of one size alternate, with random weights: text of 20 positions in, features of the motion out. So
the tokenizer of the language models is included, and the text encoder, which all share, is not. The tokenizer is the
published architecture, 15 codes or latents per second. Saved pipelines alternate in the same way, with everything from
sentence to motion included. Speeds are relative to the codes of the same runs.

| kind | passes through the transformer | velocities |
|---|---|---|
| codes | one per token | none |
| flow head | one per latent | `evaluations` of the small head per latent |
| dit | `evaluations` of the whole transformer | the same |

`evaluations` are `FlowSampling.evaluations`. Unusual: a DiT processes all frames at once, so a pass costs more than
that of one token. Guidance doubles the rows of every pass and is not counted.
"""

import dataclasses
import shlex
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from motionmillion.bench.baseline import published_tokenizer
from motionmillion.bench.files import show_and_write
from motionmillion.bench.measure import extra_memory, take_turns
from motionmillion.bench.models import TEXT, make_lm
from motionmillion.configuration import check_number, check_whole, find_dtype
from motionmillion.lm.dit.config import SIZES as DIT_SIZES
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.lm.dit.sampling import Conditions, sample_motion
from motionmillion.lm.flow import FlowSampling
from motionmillion.pipeline import MotionPipeline
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.provenance import describe_machine, plain_name
from motionmillion.tokenizer import MotionTokenizer

CODES, FLOW, DIT = "codes", "flow head", "dit"
STEPS = (1, 4, 10, 20, 50)
SIZES = {size.language_model: name for name, size in DIT_SIZES.items() if size.language_model}
"""Sizes of language models, and the DiT of about the same size."""
PROMPT = "a person walks forward and waves with the right hand"

_CODEBOOK = 65536
_LATENTS = 16
_TEXT_DIM = 2048


@dataclasses.dataclass(frozen=True)
class FlowRow:
    """One kind at one number of steps; times are medians over the runs."""

    kind: str
    name: str  # size or pipeline
    parameters: int  # of the transformer, its head included
    steps: int | None  # of the solver; None without one
    motions: int  # generated together
    seconds: float  # for all of them
    realtime: float  # seconds of motion per second
    speed: float | None  # relative to the codes of the same runs; None without codes
    passes: int  # through the transformer
    velocities: int
    extra_mb: float | None  # peak memory above the models


@dataclasses.dataclass(frozen=True)
class _System:
    """A system that is timed."""

    kind: str
    name: str
    parameters: int
    steps: int | None
    passes: int
    velocities: int
    call: Callable[[], Any]


@dataclasses.dataclass(frozen=True)
class _Task:
    """The task of every system."""

    seconds: float
    batch: int
    guidance: float
    solver: str

    def sampling(self, steps: int, shift: float) -> FlowSampling:
        return FlowSampling(steps=steps, solver=self.solver, shift=shift, guidance_scale=self.guidance)


def bench_flow(
    sizes: Sequence[str],
    steps: Sequence[int] = STEPS,
    seconds: float = 5.0,
    batch_size: int = 1,
    guidance_scale: float = 1.0,
    solver: str = "euler",
    patch: int = 1,
    dtype: str = "float32",
    repeats: int = 3,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> list[FlowRow]:
    """Time all kinds with random weights, in alternating runs, at every size.

    Args:
        seconds: of motion.
        batch_size: motions generated together.
        patch: frames per position of the DiT.

    Raises:
        ValueError: for unknown sizes and dtypes, and numbers out of range.
    """
    task = _task(seconds, batch_size, guidance_scale, solver, steps, repeats)
    check_whole("patch", patch, 1)
    for size in sizes:
        if size not in SIZES:
            raise ValueError(f"size must be one of {list(SIZES)}, got {size!r}")
    rows: list[FlowRow] = []
    for size in sizes:
        progress(f"{size}: random weights")
        systems = _language_models(size, task, steps, dtype, device) + _dits(size, task, steps, patch, dtype, device)
        rows += _take_turns(systems, task, repeats, torch.device(device), progress)
    return rows


def bench_pipelines(
    models: Sequence[str],
    steps: Sequence[int] = STEPS,
    seconds: float = 5.0,
    batch_size: int = 1,
    guidance_scale: float | None = None,
    repeats: int = 3,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> list[FlowRow]:
    """Time whole pipelines in alternating runs, all but those of codes at every number of steps.

    Args:
        models: bundled names, folders or hub ids.
        steps: empty for each pipeline's own.
        guidance_scale: None for that of each pipeline.

    Raises:
        ValueError: for invalid pipelines, and numbers out of range.
    """
    task = _task(seconds, batch_size, 1.0 if guidance_scale is None else guidance_scale, "euler", steps, repeats)
    systems: list[_System] = []
    for model in models:
        progress(f"{model}: loading")
        pipe = MotionPipeline.from_pretrained(model, device)
        systems += _of_pipeline(pipe, model, task, steps, guidance_scale)
    return _take_turns(systems, task, repeats, torch.device(device), progress)


def _task(seconds: float, batch_size: int, guidance: float, solver: str, steps: Sequence[int], repeats: int) -> _Task:
    check_whole("batch_size", batch_size, 1)
    check_whole("repeats", repeats, 1)
    if not check_number("seconds", seconds) > 0:
        raise ValueError(f"seconds must be above 0, got {seconds!r}")
    task = _Task(seconds, batch_size, guidance, solver)
    for count in steps:
        task.sampling(count, 1.0)
    return task


def _language_models(size: str, task: _Task, steps: Sequence[int], dtype: str, device: str) -> list[_System]:
    """Codes and, at each number of steps, latents."""
    codes = published_tokenizer(_CODEBOOK, 512, device).eval()
    config = codes.config.to_dict() | {"quantizer": {"type": "none", "channels": _LATENTS}}
    latents = MotionTokenizer(type(codes.config).from_dict(config)).to(device).eval()  # type: ignore[arg-type]
    count = round(task.seconds * codes.representation.fps / codes.config.frames_per_token)
    lm = make_lm(size, codes.config.codebook_size, dtype, device, _TEXT_DIM)
    flow = make_lm(size, 0, dtype, device, _TEXT_DIM, head="flow", latent_dim=_LATENTS)
    text = torch.randn(1, TEXT, _TEXT_DIM, generator=torch.Generator().manual_seed(0))
    text = text.expand(task.batch, -1, -1).to(lm.device, lm.dtype)
    options: dict[str, Any] = dict(max_new_tokens=count, min_new_tokens=count, seeds=list(range(task.batch)))
    options["guidance_scale"] = task.guidance

    def write_codes() -> None:
        with torch.inference_mode():
            codes.decode(lm.generate(text, **options))

    def write_latents(sampling: FlowSampling) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                latents.decode_latents(flow.generate(text, steps=sampling.steps, solver=sampling.solver, **options))

        return run

    systems = [_System(CODES, size, lm.num_parameters(), None, count, 0, write_codes)]
    for number in steps:
        sampling = task.sampling(number, flow.config.flow_matching.shift)
        velocities = count * sampling.evaluations
        call = write_latents(sampling)
        systems.append(_System(FLOW, size, flow.num_parameters(), number, count, velocities, call))
    return systems


def _dits(size: str, task: _Task, steps: Sequence[int], patch: int, dtype: str, device: str) -> list[_System]:
    torch.manual_seed(0)
    config = MotionDiTConfig.from_name(SIZES[size], text_dim=_TEXT_DIM, patch=patch, num_reference_layers=0)
    dit = MotionDiT(config).to(find_dtype(dtype)).to(torch.device(device)).eval()  # type: ignore[arg-type]
    frames = round(task.seconds * dit.representation.fps)
    text = torch.randn(task.batch, TEXT, _TEXT_DIM, generator=torch.Generator().manual_seed(0)).to(device)
    conditions = Conditions(text, torch.ones(task.batch, TEXT, dtype=torch.bool, device=text.device))

    def run(sampling: FlowSampling) -> Callable[[], Any]:
        return lambda: sample_motion(dit, conditions, [frames] * task.batch, list(range(task.batch)), sampling)

    systems = []
    for number in steps:
        sampling = task.sampling(number, config.flow_matching.shift)
        count = sampling.evaluations
        name = SIZES[size] if patch == 1 else f"{SIZES[size]}, patch {patch}"
        systems.append(_System(DIT, name, dit.num_parameters(), number, count, count, run(sampling)))
    return systems


def _of_pipeline(
    pipe: MotionPipeline, model: str, task: _Task, steps: Sequence[int], guidance: float | None
) -> list[_System]:
    """A saved pipeline, at each number of steps if it has a solver."""
    from motionmillion.provenance import plain_name

    name = plain_name(model)
    options: dict[str, Any] = dict(seconds=task.seconds, num_samples=task.batch, batch_size=task.batch)
    options["guidance_scale"] = guidance
    if isinstance(pipe, CodesPipeline):
        kind, size = FLOW if pipe.continuous else CODES, pipe.lm.num_parameters()
        tokens = round(task.seconds * pipe.codes_per_second)
    else:
        kind, size, tokens = DIT, pipe.weighted_parts()["dit"].num_parameters(), 0
    if kind == CODES:
        return [_System(kind, name, size, None, tokens, 0, lambda: pipe(PROMPT, **options))]

    def run(number: int) -> Callable[[], Any]:
        return lambda: pipe(PROMPT, steps=number, **options)

    systems = []
    for number in steps or [pipe.defaults["steps"]]:
        count = FlowSampling(steps=number, solver=pipe.defaults["solver"]).evaluations
        passes, velocities = (count, count) if kind == DIT else (tokens, tokens * count)
        systems.append(_System(kind, name, size, number, passes, velocities, run(number)))
    return systems


def _take_turns(
    systems: Sequence[_System],
    task: _Task,
    repeats: int,
    device: torch.device,
    progress: Callable[[str], None],
) -> list[FlowRow]:
    memory = []
    for system in systems:
        progress(f"{system.name}: {system.kind}, {system.steps or 'no'} steps, first call")
        memory.append(extra_memory(system.call, device, warm=False))
    progress(f"{systems[0].name}: {repeats} runs")
    times = take_turns([system.call for system in systems], repeats, device)
    codes = next((own for system, own in zip(systems, times, strict=True) if system.kind == CODES), None)
    rows = []
    for system, own, extra in zip(systems, times, memory, strict=True):
        middle = statistics.median(own)
        rows.append(
            FlowRow(
                **{field: getattr(system, field) for field in ("kind", "name", "parameters", "steps")},
                motions=task.batch,
                seconds=middle,
                realtime=task.seconds * task.batch / middle,
                speed=None if codes is None else statistics.median(a / b for a, b in zip(codes, own, strict=True)),
                passes=system.passes,
                velocities=system.velocities,
                extra_mb=extra,
            )
        )
    return rows


def flow_report(
    rows: Sequence[FlowRow], device: str, about: str = "", command: str = ""
) -> tuple[str, dict[str, Any]]:
    """Markdown and JSON, with a description of the machine.

    Args:
        about: description of the task.
        command: the command that produces the same table.
    """
    machine = describe_machine(device)
    lines = [*([f"    {command}", ""] if command else []), " ".join(filter(None, [f"{machine}; seed 0.", about])), ""]
    lines.append("| kind | model | parameters | steps | seconds | against codes | real time | passes | velocities |")
    lines[-1] += " extra MB |"
    lines.append("|---" * 10 + "|")
    for row in rows:
        memory, speed = (None if v is None else v for v in (row.extra_mb, row.speed))
        lines.append(
            f"| {row.kind} | {row.name} | {row.parameters / 1e6:,.1f} M | {row.steps or '-'} | {row.seconds:.3g} | "
            f"{'-' if speed is None else f'{speed:.2f}x'} | {row.realtime:.1f}x | {row.passes} | {row.velocities:,} | "
            f"{'-' if memory is None else f'{memory:,.0f}'} |"
        )
    lines += ["", "Against codes: speed relative to the codes of the same runs. Real time: seconds of motion"]
    lines += ["per second. Passes are those of the transformer, velocities those of the DiT or the flow head."]
    results = {"command": command, "machine": machine, "seed": 0, "about": about}
    return "\n".join(lines), results | {"rows": [dataclasses.asdict(row) for row in rows]}


def bench_flow_files(
    sizes: Sequence[str],
    models: Sequence[str],
    steps: Sequence[int],
    seconds: float,
    batch_size: int,
    guidance_scale: float | None,
    patch: int,
    dtype: str,
    repeats: int,
    device: str,
    output: Path | None = None,
) -> str:
    """Time random weights of `sizes` and saved pipelines; returns the table and writes it to `output`.

    Raises:
        ValueError: if there is neither a size nor a pipeline, and as the benchmark.
    """
    if not sizes and not models:
        raise ValueError("size or model must be given, got none")
    about = f"{batch_size} motion{'s' * (batch_size > 1)} of {seconds:g} s, {repeats} turns, {dtype}"
    about += (
        f"; guidance {guidance_scale:g}." if guidance_scale is not None else "; guidance off, or a pipeline's own."
    )
    command = ["motionmillion", "bench", "flow"]
    for name, values in (("size", sizes), ("model", map(plain_name, models)), ("steps", steps)):
        command += [word for value in values for word in (f"--{name}", str(value))]
    command += ["--seconds", f"{seconds:g}", "--batch-size", str(batch_size), "--patch", str(patch)]
    command += ["--dtype", dtype, "--repeats", str(repeats)]
    if guidance_scale is not None:
        command += ["--guidance-scale", f"{guidance_scale:g}"]

    def run(progress: Callable[[str], None]) -> tuple[str, dict[str, Any]]:
        rows: list[FlowRow] = []
        if sizes:
            guidance = 1.0 if guidance_scale is None else guidance_scale
            options: dict[str, Any] = dict(guidance_scale=guidance, patch=patch, dtype=dtype)
            rows += bench_flow(sizes, steps, seconds, batch_size, **options, **_shared(repeats, device, progress))
        if models:
            given = (models, steps, seconds, batch_size, guidance_scale)
            rows += bench_pipelines(*given, **_shared(repeats, device, progress))
        return flow_report(rows, device, about, shlex.join(command))

    return show_and_write(run, output)


def _shared(repeats: int, device: str, progress: Callable[[str], None]) -> dict[str, Any]:
    return dict(repeats=repeats, device=device, progress=progress)
