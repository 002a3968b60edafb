"""How often motions follow instructions: for generated motions, and for real clips to validate the rules.

    real = real_rates(load_clips(folder))
    result = instruction_check(pipe, {"kick_left": ["kick with your left foot"], ...}, samples=10, seed=0)

Real clips are assigned to families by their captions (`Family.shown_by`); clips of the mirrored family are used as
well, mirrored. Chance is the fraction of other families' clips that pass a rule, averaged over those families;
families that may follow the same instruction (`Family.related`) are excluded.

Unusual: Wilson intervals treat motions of one prompt as independent; intervals of means resample whole prompts.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from motionmillion.configuration import check_whole
from motionmillion.data.clips import MotionClip
from motionmillion.eval.instructions.families import FAMILIES
from motionmillion.eval.instructions.family import Family
from motionmillion.eval.instructions.tracks import FPS, BodyTracks, body_tracks
from motionmillion.motion import Motion


@dataclass(frozen=True)
class RealRates:
    """Results of a rule on real clips.

    Args:
        passed, count: clips that pass, of those that show the family.
        chance: fraction of other families' clips that pass; `opposite`: that of the other side's, None without sides.
    """

    passed: int
    count: int
    chance: float
    opposite: float | None = None


def follows(family: str, motion: Motion) -> bool:
    """Whether a motion of at least half a second follows the instructions of a family."""
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {sorted(FAMILIES)}, got {family!r}")
    return bool(FAMILIES[family].rule(body_tracks(motion.positions(), motion.fps)))


def real_rates(clips: Iterable[MotionClip], most: int = 60) -> dict[str, RealRates]:
    """Pass rates of real clips for every family.

    Args:
        most: maximum number of clips of each other family used to estimate chance, evenly spread.
    """
    shown = _shown(clips)
    rates = {}
    for name, family in FAMILIES.items():
        own = [family.rule(body) for _, body in shown[name]]
        keys = {key for key, _ in shown[name]}
        other = {}
        for group, found in shown.items():
            bodies = [body for key, body in found if key not in keys]
            bodies = bodies[:: math.ceil(len(bodies) / most) or 1]
            if group != name and bodies and not _related(family, FAMILIES[group]):
                other[group] = fmean(bool(family.rule(body)) for body in bodies)
        opposite = other.get(family.mirrored) if family.side else None
        rates[name] = RealRates(sum(map(bool, own)), len(own), fmean(other.values()) if other else 0.0, opposite)
    return rates


def _shown(clips: Iterable[MotionClip]) -> dict[str, list[tuple[tuple[str, bool], BodyTracks]]]:
    """The real motions of each family, each a clip and whether to mirror it."""
    shown: dict[str, list[tuple[tuple[str, bool], BodyTracks]]] = {name: [] for name in FAMILIES}
    for clip in clips:
        names = [name for name, family in FAMILIES.items() if family.shown_by(clip)]
        if not names or clip.motion.seconds < 20 / FPS:
            continue
        body = body_tracks(clip.motion.positions(), clip.motion.fps)
        for name in names:
            shown[name].append(((clip.name, False), body))
        mirrored = [FAMILIES[name].mirrored for name in names if FAMILIES[name].side]
        if mirrored:
            image = clip.motion.mirror()
            body = body_tracks(image.positions(), image.fps)
            for name in mirrored:
                shown[name].append(((clip.name, True), body))
    return shown


def _related(family: Family, other: Family) -> bool:
    base = other.name.removesuffix(f"_{other.side}") if other.side else other.name
    return any(base == name or base.startswith(f"{name}_") for name in family.related)


def instruction_check(
    generate: Callable[[list[str]], Sequence[Motion]],
    prompts: Mapping[str, Sequence[str]],
    samples: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge the motions that a model generates for instructions.

    Args:
        generate: returns motions for prompts, `samples` consecutive ones for each, such as
            `lambda texts: pipe(texts, num_samples=samples, seconds=5)`.
        prompts: instructions by family.
        seed: seed of the bootstrap.

    Returns:
        JSON-serialisable results: `families` with passed, count, rate, interval; `mean` and `sides` (families with a
        side) with their 95 % intervals; `motions`, each with family, prompt, sample and whether it passed.

    Raises:
        ValueError: for unknown families, or if `generate` returns another number of motions.
    """
    check_whole("samples", samples, 1)
    unknown = sorted(set(prompts) - set(FAMILIES))
    if unknown:
        raise ValueError(f"prompts must be for known families, got {unknown}; choose from {sorted(FAMILIES)}")
    texts = [(family, text) for family, group in prompts.items() for text in group]
    motions = list(generate([text for _, text in texts]))
    if len(motions) != samples * len(texts):
        raise ValueError(f"generate must give {samples} motions a prompt, got {len(motions)} for {len(texts)} prompts")
    rows = [
        {
            "family": family,
            "prompt": text,
            "sample": sample,
            "passed": follows(family, motions[index * samples + sample]),
        }
        for index, (family, text) in enumerate(texts)
        for sample in range(samples)
    ]
    families = {}
    for name in prompts:
        passed = [row["passed"] for row in rows if row["family"] == name]
        families[name] = {"passed": sum(passed), "count": len(passed), "rate": fmean(passed)}
        families[name]["interval"] = wilson(sum(passed), len(passed))
    sided = [name for name in prompts if FAMILIES[name].side]
    return {
        "families": families,
        "mean": _mean(rows, list(prompts), seed),
        "sides": _mean(rows, sided, seed) if sided else None,
        "motions": rows,
    }


def wilson(passed: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion by Wilson's score (JASA 22, 1927); (0, 1) for a count of 0."""
    if count == 0:
        return 0.0, 1.0
    share = passed / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)
    return max(low, 0.0), min(high, 1.0)


def _mean(rows: Sequence[dict[str, Any]], families: Sequence[str], seed: int, draws: int = 2000) -> dict[str, Any]:
    """Mean of the families' rates, with its bootstrap interval over prompts."""
    generator = np.random.default_rng(seed)
    drawn, plain = np.zeros(draws), []
    for family in families:
        own = [row for row in rows if row["family"] == family]
        rates = [fmean(r["passed"] for r in own if r["prompt"] == text) for text in {r["prompt"]: None for r in own}]
        plain.append(fmean(rates))
        drawn += np.asarray(rates)[generator.integers(len(rates), size=(draws, len(rates)))].mean(1)
    low, high = np.quantile(drawn / len(families), [0.025, 0.975])
    return {"families": len(families), "rate": fmean(plain), "interval": (float(low), float(high))}
