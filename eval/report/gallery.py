"""The best and the worst motions of a system, ready to play in a page.

    rankings = rank(results, ["foot_sliding_mm"], count=6)
    data, scripts, notes = gallery(results, folder, rankings)

`data` is JSON for report.html; `scripts` are the motions, one script element each, so that a page unpacks only motions
in view. Unusual: missing or damaged motion files are skipped and listed in the notes; the report is written in any
case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from motionmillion.eval.report.page import data_script
from motionmillion.eval.report.tables import first_of_axes, is_number, number
from motionmillion.eval.results import Measure, Results
from motionmillion.io.viewer.payload import scene
from motionmillion.motion import Motion


@dataclass(frozen=True)
class Ranking:
    """The samples at both ends of a measure, as indices into `Results.samples`, extreme ones first."""

    measure: Measure
    best: list[int]
    worst: list[int]


def rank(results: Results, measures: Sequence[str] | None = None, count: int = 6) -> list[Ranking]:
    """Best and worst samples by each measure; no sample is in both.

    Args:
        measures: names; None: for each axis the first per-sample measure with a better direction.
        count: samples at either end; fewer if there are not enough.

    Raises:
        ValueError: for a measure that is unknown, has no better direction, or is missing in all samples with motions,
            or a `count` below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count!r}")
    held = {name for sample in results.samples if sample.motion for name, v in sample.values.items() if is_number(v)}
    usable = {m.name: m for m in results.measures if m.better != "neither" and m.name in held}
    if measures is None:
        chosen = first_of_axes(list(usable.values()))
    else:
        for name in measures:
            if name not in usable:
                raise ValueError(
                    f"gallery must name measures of samples with motions that have a better side, got {name!r}; "
                    f"there are {', '.join(usable) or 'none'}"
                )
        chosen = [usable[name] for name in measures]
    return [_ranking(results, measure, count) for measure in chosen]


def gallery(
    results: Results, folder: Path, rankings: Sequence[Ranking]
) -> tuple[dict[str, Any], list[Markup], list[str]]:
    """Content of the page: rankings and samples as JSON values, motions as script elements, and notes.

    Args:
        folder: folder of `results.json`; motion paths are relative to it.
    """
    scripts, samples, missing = [], {}, []
    for index in sorted({index for ranking in rankings for index in (*ranking.best, *ranking.worst)}):
        sample = results.samples[index]
        try:
            motion = Motion.load(folder / sample.motion)
            script = data_script(f"motion-{index}", scene([motion], [""], body="mannequin"))
        except (OSError, ValueError):
            missing.append(sample.motion)
            continue
        scripts.append(script)
        samples[index] = {
            "id": sample.id,
            "prompt": sample.prompt,
            "category": sample.category,
            "frames": motion.num_frames,
            "seconds": round(motion.seconds, 1),
        }
    shown = [_as_dict(results, ranking, samples) for ranking in rankings]
    notes = [f"The gallery lacks motions that could not be read: {', '.join(missing)}."] if missing else []
    return {"rankings": [r for r in shown if r["best"] or r["worst"]], "samples": samples}, scripts, notes


def _ranking(results: Results, measure: Measure, count: int) -> Ranking:
    found = [i for i, s in enumerate(results.samples) if s.motion and is_number(s.values.get(measure.name))]
    sign = -1 if measure.better == "higher" else 1
    ordered = sorted(found, key=lambda i: (sign * results.samples[i].values[measure.name], i))
    best = min(count, (len(ordered) + 1) // 2)
    worst = min(count, len(ordered) - best)
    return Ranking(measure, ordered[:best], ordered[::-1][:worst])


def _as_dict(results: Results, ranking: Ranking, samples: dict[int, Any]) -> dict[str, Any]:
    measure = ranking.measure

    def entries(indexes: Sequence[int]) -> list[dict[str, Any]]:
        values = ((index, results.samples[index].values[measure.name]) for index in indexes if index in samples)
        return [{"sample": index, "value": number(measure, value)} for index, value in values]

    known = measure.label.startswith(measure.axis)
    title = measure.label if known else f"{measure.axis}: {measure.label}"
    return {"title": title, "label": measure.label, "best": entries(ranking.best), "worst": entries(ranking.worst)}
