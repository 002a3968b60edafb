"""Peak memory of the commands on data sets of two sizes side by side, and what follows for two million clips.

    python recipes/bench/data_memory.py --clips 20000 100000 --built 2100 4200 --folder /tmp/memory > table.md

Each command runs in a process of its own. `build` reads an archive of features of `--built` clips with one worker,
which holds the clips of one file, 2,048, so that sizes below that would say nothing; the other commands read sets of
`--clips` rows, copies of built clips with other names, other takes and four captions of their own each. Memory is the
greatest private memory of the process and its children (RssAnon, read 50 times a second): mapped files are left out,
which the kernel drops when memory is short. Growth is the difference of the two sizes by the difference of their
clips. `--folder` is removed before and after.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from data_set import FILE, SEED, archive

from motionmillion.data.building.build import build_set
from motionmillion.data.layouts.base import BuildOptions
from motionmillion.data.rewriting import with_column
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.data.shards.motion_writer import finish_set
from motionmillion.data.shards.motions import FILES, schema, write_motions
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.provenance import describe_machine

TARGET = 2_000_000
TEXTS = 4
FOUND = 1
"""Exit code of `verify` where it finds something wrong with the data."""


def private(process: psutil.Process) -> int:
    """Private resident memory of a process and its children, bytes."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            status = Path(f"/proc/{each.pid}/status").read_text(encoding="utf-8")
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
    return total


def peak(command: Sequence[Any]) -> int:
    """Run a command and return its greatest private memory, bytes."""
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    most = 0
    while process.poll() is None:
        try:
            most = max(most, private(psutil.Process(process.pid)))
        except psutil.Error:
            break
        time.sleep(0.02)
    if process.wait() not in (0, FOUND):
        raise RuntimeError(f"{command} ended with {process.returncode}: {process.communicate()[1]}")
    return most


def with_texts(part: Any, start: int) -> Any:
    """Rows with names, takes, contents and captions of their own."""
    import pyarrow as pa

    numbers = range(start, start + part.num_rows)
    part = with_column(part, "name", [f"clip {number}" for number in numbers])
    part = with_column(part, "take", [f"take {number // 3}" for number in numbers])
    part = with_column(part, "content", [f"{number:016x}" for number in numbers])
    texts = [[f"a person walks {number} steps and turns {text} times" for text in range(TEXTS)] for number in numbers]
    columns: dict[str, list[list[Any]]] = {"texts": texts}
    columns |= {"text_origins": [["bench"] * TEXTS for _ in numbers], "text_own": [[True] * TEXTS for _ in numbers]}
    for name, values in columns.items():
        kind = schema().field(name)
        part = part.set_column(schema().get_field_index(name), kind, pa.array(values, kind.type))
    return part


def replicate(table: MotionTable, folder: Path, clips: int) -> None:
    """A set of `clips` rows, those of the first file of `table` over and over."""
    part = table.table(0).slice(0, min(FILE, table.table(0).num_rows))
    target = ResumableFolder(folder, FILES, {"bench": clips}, sources={}, files=[], clips=0, shards=0)
    names = []
    for start in range(0, clips, part.num_rows):
        rows = with_texts(part.slice(0, min(part.num_rows, clips - start)), start)
        names.append(FILES.shard_name(f"{start:012d}", "00000"))
        write_motions(rows, folder / names[-1], {"run": target.run, "faults": []})
    finish_set(target, names, {})


def commands(folder: Path, size: int) -> dict[str, list[Any]]:
    """Commands on the set of a size, by name."""
    own, data = folder / f"set-{size}", [sys.executable, "-m", "motionmillion", "data"]
    read = [sys.executable, Path(__file__).with_name("data_set.py"), "--read", "--folder", own]
    return {
        "stats": [*data, "stats", own],
        "verify": [*data, "verify", own, "--workers", 1],
        "filter --unique --no-leaks": [*data, "filter", own, "-o", folder / "out", "--unique", "--no-leaks"],
        "merge": [*data, "merge", own, folder / "base", "-o", folder / "out"],
        "split": [*data, "split", own, "-o", folder / "out"],
        "open for training, 2,000 windows and motions": read,
    }


def row(name: str, sizes: Sequence[int], peaks: Sequence[int]) -> str:
    growth = (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0])
    shown = " | ".join(f"{size:,}: {own / 1e6:,.0f} MB" for size, own in zip(sizes, peaks, strict=True))
    whole = peaks[-1] + growth * (TARGET - sizes[-1])
    return f"| {name} | {shown} | {growth:,.0f} bytes | {max(whole, peaks[-1]) / 1e9:.2f} GB |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs=2, default=(20_000, 100_000))
    parser.add_argument("--built", type=int, nargs=2, default=(2100, 4200))
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    folder = options.folder
    shutil.rmtree(folder, ignore_errors=True)
    print(f"`python {' '.join(sys.argv)}`, seed {SEED}, {describe_machine('cpu')}\n")
    print(f"| command | smaller | larger | growth a clip | {TARGET:,} clips, extrapolated |\n|---|---|---|---|---|")
    peaks = []
    for size in options.built:
        archive(folder / f"hub-{size}/motion_272rpr/part.tar.gz", size)
        build = [sys.executable, "-m", "motionmillion", "data", "build", folder / f"hub-{size}"]
        peaks.append(peak([*build, "-o", folder / f"built-{size}", "--workers", 1, "--layout", "motionmillion"]))
    print(row("build, one worker", options.built, peaks), flush=True)
    build_set(folder / f"hub-{options.built[0]}", folder / "base", "motionmillion", BuildOptions(quality=True), 1)
    for size in options.clips:
        replicate(MotionTable(folder / "base"), folder / f"set-{size}", size)
    for name in commands(folder, 0):
        peaks = []
        for size in options.clips:
            peaks.append(peak(commands(folder, size)[name]))
            shutil.rmtree(folder / "out", ignore_errors=True)
        print(row(name, options.clips, peaks), flush=True)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
