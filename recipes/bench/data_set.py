"""Speed and memory of data sets on disk: building from an archive, opening, visiting at random.

    python recipes/bench/data_set.py --clips 200000 --built 2000 --folder /tmp/bench > table.md

`--built` clips of 272 features go through `motionmillion data build` from a .tar.gz, with every number and rule of the
audit. `--clips` rows, copies of these under other names, are then written as a set and read as in training. Memory is
the growth of this process (resident, without the mapped files, which all processes share).
`--folder` is removed before and after.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from motionmillion.data import synthesize
from motionmillion.data.building.build import build_set
from motionmillion.data.rewriting import with_column
from motionmillion.data.sets.mapped import MappedWindows
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.data.shards.motion_writer import finish_set
from motionmillion.data.shards.motions import FILES, write_motions
from motionmillion.data.shards.pool import usable_cores
from motionmillion.data.shards.resumable import ResumableFolder
from motionmillion.features import get
from motionmillion.provenance import describe_machine
from motionmillion.training.order import Visits

SEED, SECONDS, FILE = 0, 4.0, 2048


def private_bytes() -> int:
    """Resident memory of this process without mapped files."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024


def archive(path: Path, clips: int) -> float:
    """A .tar.gz with features; returns its size in MB."""
    kinds = ("walk", "turn", "jump", "wave", "squat")
    base = [get("rot272").encode(synthesize(kinds[i % 5], SEED + i, seconds=SECONDS)).numpy() for i in range(20)]
    draw = np.random.default_rng(SEED)
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as file:
        for number in range(clips):
            values = base[number % len(base)][: draw.integers(75, 120)]
            buffer = io.BytesIO()
            np.save(buffer, values)
            info = tarfile.TarInfo(f"part/{number:07d}.npy")
            info.size = buffer.tell()
            buffer.seek(0)
            file.addfile(info, buffer)
    return path.stat().st_size / 1e6


def replicate(table: MotionTable, folder: Path, clips: int) -> None:
    """A set of `clips` rows, those of `table` over and over."""
    part = table.table(0).slice(0, min(FILE, table.table(0).num_rows))
    target = ResumableFolder(folder, FILES, {"bench": clips}, sources={}, files=[], clips=0, shards=0)
    names = []
    for start in range(0, clips, part.num_rows):
        rows = part.slice(0, min(part.num_rows, clips - start))
        rows = with_column(rows, "name", [f"clip {start + row}" for row in range(rows.num_rows)])
        names.append(FILES.shard_name(f"{start:012d}", "00000"))
        write_motions(rows, folder / names[-1], {"run": target.run, "faults": []})
    finish_set(target, names, {})


def _in_new_process(folder: Path) -> Iterator[tuple[str, str]]:
    """What `read` measures, in a process that has built nothing."""
    command = [sys.executable, __file__, "--folder", str(folder), "--read"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    yield from (tuple(line.split("\t")) for line in result.stdout.splitlines())  # type: ignore[misc]


def read(folder: Path) -> Iterator[tuple[str, str]]:
    """Opening a set, the order of an epoch, and visits at random."""
    codec = get("rot272")
    codec.encode(synthesize("walk", 0))
    before, began = private_bytes(), time.perf_counter()
    table = MotionTable(folder)
    windows = MappedWindows([table], codec, frames=64)
    took = time.perf_counter() - began
    grown = private_bytes() - before
    yield f"open {len(table):,} clips for training", f"{took:.1f} s, {grown / len(table):.0f} bytes a clip and process"
    visits = Visits(len(windows), SEED)
    before, count = private_bytes(), 2000
    order = iter(visits)
    items = [next(order) for _ in range(count)]
    yield "order of an epoch", f"{(private_bytes() - before) / len(windows):.0f} bytes a window"
    torch.set_num_threads(1)
    began = time.perf_counter()
    for visit in items:
        windows[visit.index]
    yield "windows at random, one process", f"{count / (time.perf_counter() - began):.0f} windows/s"
    began = time.perf_counter()
    for visit in items:
        table.motion(visit.index % len(table))
    yield "motions at random, one process", f"{count / (time.perf_counter() - began):.0f} motions/s"


def measure(clips: int, built: int, folder: Path) -> Iterator[tuple[str, str]]:
    workers = usable_cores()
    size = archive(folder / "hub/motion_272rpr/part.tar.gz", built)
    began = time.perf_counter()
    header = build_set(folder / "hub", folder / "built", "motionmillion", workers=1)
    took = time.perf_counter() - began
    yield f"build, one process, {header['clips']:,} clips", f"{took:.1f} s, {header['clips'] / took:.0f} clips/s"
    hours = 2e6 / (header["clips"] / took) / 3600
    yield "build of 2,000,000 clips, extrapolated", f"{hours:.1f} core hours, {hours / 32:.1f} h on 32 cores"
    own = sum(path.stat().st_size for path in (folder / "built").glob("*.arrow")) / 1e6
    yield "size on disk", f"{own:.1f} MB, {1e3 * own / header['clips']:.1f} kB a clip (archive {size:.1f} MB)"
    began = time.perf_counter()
    replicate(MotionTable(folder / "built"), folder / "set", clips)
    yield f"write {clips:,} clips with checksums", f"{time.perf_counter() - began:.1f} s"
    yield from _in_new_process(folder / "set")
    yield "machine", f"{describe_machine('cpu')}, {workers} cores, load {os.getloadavg()[0]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200_000)
    parser.add_argument("--built", type=int, default=2000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--read", action="store_true", help="only read the set in --folder")
    options = parser.parse_args()
    if options.read:
        for line in read(options.folder):
            print("\t".join(line))
        return
    shutil.rmtree(options.folder, ignore_errors=True)
    print(f"`python {' '.join(sys.argv)}`, seed {SEED}\n\n| what | measured |\n|---|---|")
    for what, found in measure(options.clips, options.built, options.folder):
        print(f"| {what} | {found} |", flush=True)
    shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
