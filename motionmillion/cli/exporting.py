"""Sources and outputs of `motionmillion export`, told apart by syntax.

    sources, outputs = split_files([Path("walk.bvh"), Path("walk.npz")], [], overwrite=False)
    pairs = plan_files(sources, outputs, formats=[])           # [(Path("walk.bvh"), [Path("walk.npz")])]

Everything on the command line is a source, and outputs come with `-o`. The one exception is `export SOURCE OUTPUT`,
with exactly two files of which the second cannot be mistaken for a source.
"""

from collections.abc import Sequence
from pathlib import Path

from motionmillion.io import check_output, readable_suffixes, writable_suffixes
from motionmillion.io.files import existing_file
from motionmillion.io.outputs import check_outputs
from motionmillion.io.write_options import SKINNED


def split_files(files: Sequence[Path], outputs: Sequence[Path], overwrite: bool) -> tuple[list[Path], list[Path]]:
    """The sources and the outputs among the arguments of the command.

    Args:
        files: arguments without an option.
        outputs: values of `-o`.
        overwrite: whether the second of two files may be an output that exists, if it cannot be a source.

    Raises:
        ValueError: if there is no output.
    """
    if outputs:
        return list(files), list(outputs)
    if len(files) == 2:
        second = files[1]
        readable = second.suffix.lower() in readable_suffixes()
        if not second.exists() or (overwrite and not readable and not second.is_dir()):
            return [files[0]], [second]
        raise ValueError(
            f"output must be named with -o, got two files that exist; write export {files[0]} -o NEW_FILE, or for "
            "several sources -o FOLDER --format npz"
        )
    got = "none" if len(files) == 1 else f"{len(files)} files"
    raise ValueError(f"output must be named with -o, got {got} without it; write export {files[0]} ... -o OUTPUT")


def apart_from_shared(
    sources: Sequence[Path], outputs: Sequence[Path], overwrite: bool = False
) -> tuple[list[Path], list[Path]]:
    """The outputs of each source, and those that hold the motions of all sources, which are checked.

    Raises:
        ValueError: for an output that must not be written.
    """
    shared = [path for path in outputs if len(sources) > 1 and path.suffix.lower() in SKINNED and not path.is_dir()]
    for path in shared:
        check_output(path)
    check_outputs(shared, sources, overwrite)
    return [path for path in outputs if path not in shared], shared


def plan_files(
    sources: Sequence[Path], outputs: Sequence[Path], formats: Sequence[str], overwrite: bool = False
) -> list[tuple[Path, list[Path]]]:
    """Each source and the files to write from it, all checked; an output without a suffix is a folder.

    Args:
        formats: suffixes, with or without a dot, of the files in output folders.

    Raises:
        ValueError: for a missing source, a file as the output of several sources, a folder without a format and the
            reverse, an unknown suffix, and outputs that must not be written.
    """
    folders = [path for path in outputs if path.is_dir() or not path.suffix]
    suffixes = [f".{each.lower().removeprefix('.')}" for each in formats]
    for each in suffixes:
        if each not in writable_suffixes():
            raise ValueError(f"format must be one of {writable_suffixes()}, got {each!r}")
    if folders and not suffixes:
        raise ValueError(f"format must come with an output folder, got none for {str(folders[0])!r}; add --format bvh")
    if suffixes and not folders:
        raise ValueError(f"format must come with an output folder, got {suffixes[0]!r}; name one with -o FOLDER")
    plan = []
    for source in sources:
        names = [folder / f"{source.stem}{suffix}" for folder in folders for suffix in suffixes]
        plan.append((source, [path for path in outputs if path not in folders] + names))
    single = next((path for path in outputs if path not in folders), None)
    if len(sources) > 1 and single is not None:
        raise ValueError(
            f"output must be a folder for {len(sources)} sources, got {str(single)!r}; write -o FOLDER --format "
            f"{single.suffix.removeprefix('.')}"
        )
    for source in sources:
        if source.suffix.lower() not in readable_suffixes():
            raise ValueError(f"path must end in one of {readable_suffixes()} to be read, got {str(source)!r}")
        existing_file(source)
    written = [path for _, own in plan for path in own]
    for path in written:
        check_output(path)
    check_outputs(written, sources, overwrite)
    return plan
