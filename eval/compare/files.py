"""Command-line comparisons of several files of results or votes: check, read, compare, write.

    paths = compare_files(["runs/mini", "runs/large"], "runs/compared")
    paths = side_by_side_files("runs/mini", "runs/large", "runs/rating", seed=0)
    paths = count_votes_files(["anna.json", "ben.json"], "runs/votes")

Each returns the written files. Results are given as a `results.json` or its folder.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from motionmillion.eval.compare.comparison import compare
from motionmillion.eval.compare.pages import JSON, MARKDOWN, PAGE, write_comparison
from motionmillion.eval.compare.rating import PAGE as RATING
from motionmillion.eval.compare.rating import write_rating_page
from motionmillion.eval.compare.side_by_side import SIDE_BY_SIDE, side_by_side
from motionmillion.eval.compare.votes import read_votes
from motionmillion.eval.results import RESULTS, Results
from motionmillion.io.outputs import check_outputs

VOTES = "votes"


def compare_files(
    paths: Sequence[str | Path], output: str | Path, seed: int = 0, overwrite: bool = False
) -> list[Path]:
    """Compare systems; the others are tested against the first one.

    Raises:
        ValueError: for fewer than two paths, duplicate paths, results that cannot be read or compared, or an output
            that is not a folder.
    """
    _check_output(output, (JSON, MARKDOWN, PAGE), map(_file, paths), overwrite)
    _check_seed(seed)
    return write_comparison(compare(_read(paths), seed=seed), output)


def side_by_side_files(
    first: str | Path,
    second: str | Path,
    output: str | Path,
    seed: int = 0,
    prompts: int | None = None,
    margins: Mapping[str, float] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Put two systems side by side: the table by measures, and the page for human raters.

    Args:
        seed: seed of the page's order and sides.
        prompts: number of prompts on the page; None: all.
        margins: differences up to which values tie, by measure.
        overwrite: replace files in `output`.

    Raises:
        ValueError: as `side_by_side` and `write_rating_page`, or for an output that is not a folder.
    """
    names = (f"{SIDE_BY_SIDE}.json", f"{SIDE_BY_SIDE}.md", RATING)
    _check_output(output, names, (_file(first), _file(second)), overwrite)
    one, other = _read([first, second])
    table = side_by_side(one, other, margins=margins)
    page = write_rating_page(one, other, output, (_folder(first), _folder(second)), seed, prompts)
    return [*table.save(output), page]


def count_votes_files(votes: Sequence[str | Path], output: str | Path, overwrite: bool = False) -> list[Path]:
    """Count the votes of several raters.

    Raises:
        ValueError: as `read_votes`, or for an output that is not a folder.
    """
    _check_output(output, (f"{VOTES}.json", f"{VOTES}.md"), votes, overwrite)
    return read_votes(votes).save(output, VOTES)


def _read(paths: Sequence[str | Path]) -> list[Results]:
    seen: set[Path] = set()
    for path in paths:
        own = _file(path).resolve()
        if own in seen:
            raise ValueError(f"results must be different files, got {str(path)!r} twice; name another")
        seen.add(own)
    return [Results.load(path) for path in paths]


def _file(path: str | Path) -> Path:
    """A `results.json`, given as the file or its folder."""
    return Path(path) / RESULTS if Path(path).is_dir() else Path(path)


def _folder(path: str | Path) -> Path:
    """Folder of a `results.json`, given as the file or its folder."""
    return Path(path) if Path(path).is_dir() else Path(path).parent


def _check_output(output: str | Path, names: Sequence[str], sources: Iterable[str | Path], overwrite: bool) -> None:
    """Check the files `names` in the folder `output`."""
    if Path(output).is_file():
        raise ValueError(f"output must be a folder, got the file {str(output)!r}; choose another name")
    check_outputs([Path(output) / name for name in names], sources, overwrite)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed!r}")
