"""`motionmillion bench`. Heavy imports wait inside."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from motionmillion.cli.options import DeviceOption, OverwriteOption, find_device


class Benched(StrEnum):
    """Parts that can be benchmarked."""

    tokenizer = "tokenizer"
    lm = "lm"
    flow = "flow"
    eval = "eval"


def bench(
    part: Annotated[Benched, typer.Argument(help="What to benchmark.")],
    codebook: Annotated[list[int], typer.Option(help="Nominal FSQ size. tokenizer: repeat for several.")] = [65536],  # noqa: B006
    batch_size: Annotated[
        list[int] | None, typer.Option(help="Windows or motions per call. Repeat for several.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="tokenizer: frames per window (96). eval: frames per motion (100).")
    ] = None,
    width: Annotated[int, typer.Option(help="tokenizer: channels of the network; 512 is the published width.")] = 512,
    size: Annotated[
        list[str] | None, typer.Option(help="lm, flow: size of the language model, such as 44m. Repeat for several.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="lm: dynamic, static, compiled or int8. Repeat for several.")
    ] = None,
    tokens: Annotated[int, typer.Option(help="lm: codes per motion.")] = 150,
    dtype: Annotated[str, typer.Option(help="lm, flow: float32 or bfloat16.")] = "float32",
    steps: Annotated[
        list[int] | None, typer.Option(help="flow: steps of the solver (1, 4, 10, 20, 50). Repeat for several.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="flow: length of the motion.")] = 5.0,
    guidance_scale: Annotated[float | None, typer.Option(help="flow: guidance scale; 1 is off.")] = None,
    patch: Annotated[int, typer.Option(help="flow: frames per position of the DiT.")] = 1,
    model: Annotated[
        list[str] | None, typer.Option(help="flow: saved pipeline instead of random weights. Repeat for several.")
    ] = None,
    packing: Annotated[bool, typer.Option("--packing", help="lm: time training steps, packed and padded.")] = False,
    repeats: Annotated[int, typer.Option(help="Repetitions of each measurement.")] = 5,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for report.md and results.json.")
    ] = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Benchmark the speed and memory of a part of the library.

    tokenizer, lm: compared with the published implementation, with the same weights.

    eval: physical metrics of many motions, compared with plain loops over frames, and metrics of embeddings.

    flow: seconds per motion with latents and a flow head and with MotionDiT, compared with codes.
    """
    where = find_device(device)
    if output is not None:
        from motionmillion.io.outputs import check_outputs

        check_outputs([output / "report.md", output / "results.json"], overwrite=overwrite)
    if part is Benched.eval:
        from motionmillion.bench.eval import bench_eval_files

        clips = (batch_size or [450])[0]
        typer.echo(bench_eval_files(clips, 100 if frames is None else frames, repeats, where, output))
        return
    if part is Benched.tokenizer:
        from motionmillion.bench.tokenizer import bench_tokenizer_files

        window = 96 if frames is None else frames
        typer.echo(bench_tokenizer_files(codebook, batch_size or [64], window, width, repeats, where, output))
        return
    if part is Benched.flow:
        from motionmillion.bench.flow import STEPS, bench_flow_files

        sizes, models = size or ([] if model else ["44m"]), model or []
        given = (steps or list(STEPS), seconds, (batch_size or [1])[0], guidance_scale, patch, dtype, repeats)
        typer.echo(bench_flow_files(sizes, models, *given, where, output))
        return
    from motionmillion.bench.lm import bench_decoding_files
    from motionmillion.bench.packing import bench_packing_files
    from motionmillion.convert.options import nominal_codes

    sizes, codes = size or ["44m"], nominal_codes(codebook[0])
    if packing:
        typer.echo(bench_packing_files(sizes, (batch_size or [32])[0], repeats, codes, where, output))
    else:
        settings = setting or ["dynamic", "static"]
        typer.echo(
            bench_decoding_files(sizes, batch_size or [1], settings, dtype, tokens, repeats, codes, where, output)
        )
