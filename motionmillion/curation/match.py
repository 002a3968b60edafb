"""The gate on the match of text and motion: clips whose captions fit other motions better are left out.

    evaluator = TextMotionEvaluator.from_pretrained(find_evaluator("mini"))
    header = match_set("synthetic", "gated", evaluator, MatchOptions(least=70))

The match of a clip is a percentage: of a fixed choice of the data set's captions, those that are farther from its
motion than its own caption is, in the space of a text-motion evaluator; the mean over at most four captions of the
clip. 50 is chance, 100 means that no other caption is nearer. Clips without captions pass.

Unusual: it can tell apart only what the evaluator can; for other kinds of motion train one (`motionmillion train
evaluator`).

Shapes: N clips, M captions of the choice, E embedding size.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from motionmillion.configuration import check_number, check_whole
from motionmillion.data.rewriting import check_sources, leave_out
from motionmillion.data.shards.motion_table import MotionTable
from motionmillion.data.shards.motions import motion_of
from motionmillion.eval.evaluator import TextMotionEvaluator
from motionmillion.motion import Motion
from motionmillion.progress import say

if TYPE_CHECKING:
    import pyarrow as pa

_OWN = 4
"""Captions of a clip that are compared."""


@dataclass(frozen=True)
class MatchOptions:
    """Which clips are kept.

    Args:
        least: percent below which a clip is left out.
        texts: captions that a clip's own are compared with.
        sources: the only sources that are judged; empty for all.
        seed: of the choice of captions.
    """

    least: float = 70.0
    texts: int = 500
    sources: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if check_number("least", self.least) > 100:
            raise ValueError(f"least must be a percentage, got {self.least!r}")
        check_whole("texts", self.texts, 2)


class Matcher:
    """Percentages of match.

    Args:
        texts: the captions that a clip's own are compared with; one at least must differ from them.
    """

    def __init__(self, evaluator: TextMotionEvaluator, texts: Sequence[str], seed: int = 0) -> None:
        self.evaluator, self.seed = evaluator, seed
        self.texts = list(dict.fromkeys(texts))
        self.points = evaluator.embed_texts(self.texts)  # [M, E]

    def percents(self, motions: Sequence[Motion], captions: Sequence[Sequence[str]]) -> list[float]:
        """The match of each motion with its captions, of which there is at least one."""
        moved = self.evaluator.embed_motions(list(motions))  # [N, E]
        others = torch.cdist(moved, self.points)  # [N, M]
        drawn = [random.Random(f"{self.seed} {own[0]}").sample(list(own), min(_OWN, len(own))) for own in captions]
        flat = self.evaluator.embed_texts([text for own in drawn for text in own])
        found, first = [], 0
        for row, own in enumerate(drawn):
            near = torch.cdist(moved[row : row + 1], flat[first : first + len(own)])[0]  # [captions]
            first += len(own)
            known = set(captions[row])
            different = torch.tensor([text not in known for text in self.texts])
            farther = (others[row][different] > near[:, None]).float()
            found.append(100 * float(farther.mean()) if farther.numel() else 100.0)
        return found


def match_set(
    source: str | Path,
    output: str | Path,
    evaluator: TextMotionEvaluator,
    options: MatchOptions | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """A data set without the clips whose captions do not match, which `faults.jsonl` names; the header.

    Raises:
        ValueError: for a source that is no data set or has too few captions, and an output that exists.
    """
    options, table = options or MatchOptions(), MotionTable(source)
    check_sources(options.sources, table)
    told = table.rows(captioned=True)
    if len(told) < 2:
        raise ValueError(f"source must have captions of 2 clips, got {len(told)}; see motionmillion data describe")
    draw = random.Random(options.seed)
    chosen = sorted(draw.sample(told.tolist(), min(options.texts, len(told))))
    matcher = Matcher(evaluator, [draw.choice(table.record(row).captions) for row in chosen], options.seed)

    def judge(part: "pa.Table") -> list[str]:
        captions, sources = part["texts"].to_pylist(), part["source"].to_pylist()
        judged = [
            row for row, own in enumerate(captions) if own and (not options.sources or sources[row] in options.sources)
        ]
        reasons = [""] * part.num_rows
        if judged:
            found = matcher.percents([motion_of(part, row) for row in judged], [captions[row] for row in judged])
            for row, percent in zip(judged, found, strict=True):
                reasons[row] = f"match below {options.least:g} %" if percent < options.least else ""
        return reasons

    made_by = {"match": repr(options), "evaluator": evaluator.weights_sha256()}
    header = leave_out(table, output, judge, made_by, overwrite)
    if len(told) < options.texts:
        say(f"captions of {len(told)} clips were compared, not of {options.texts}: the set has no more")
    return header
