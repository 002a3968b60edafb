"""Of several motions of one prompt, the one that does what the prompt says.

    fits = prompt_fits("a person waves with the left hand", motions, encoder, matcher)      # [K]
    fits += GAIN * text_gains(lm, tokens, features, mask)                                    # [K]
    motions[int(fits.argmax())]

A motion is measured and described in sentences (`motionmillion.data.describing`). It fits as well as the nearest of
them, by the cosine of their embeddings, less a penalty where the prompt names a side and the sentence does not, or
names the other one, which embeddings hardly tell apart. With the bundled text encoder the prompt is also read as an
instruction (`motionmillion.data.describing.reading`), which the motion does wholly, in part or not. A pipeline's
matcher, an evaluator of its own, adds how near the motion is to the prompt, and a language model how much likelier the
text makes its tokens. On `recipes/mini/instruction_prompts_tune.yaml` all together choose better than any of them.

Unusual: this is no judge of quality. Of motions that all miss what was asked it takes one of them.

Letters: K motions, N tokens, L text length, C feature size.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from motionmillion.data.describing import measure_facts
from motionmillion.data.describing.reading import PhraseBook, embedded
from motionmillion.data.describing.wording import describe_facts
from motionmillion.data.mirror_words import sides
from motionmillion.lm import MotionLM
from motionmillion.motion import Motion
from motionmillion.text.encoder import TextEncoder

if TYPE_CHECKING:
    from motionmillion.eval.evaluator.model import TextMotionEvaluator

GAIN = 0.003
"""Weight of a nat of `text_gains` beside a cosine."""
DONE = 1.0
"""Weight of how far a motion does what the prompt says, beside that cosine."""
MATCH = 0.4
"""Weight of a matcher's cosine beside that of the nearest sentence."""
NO_SIDE, OTHER_SIDE = 0.1, 0.2
"""Penalties of sentences without the side that the prompt names, and with another."""
TOO_SHORT = -1.0
"""Fit of a motion that cannot be measured."""
NOTHING_SAID = 0.0
"""Nearness of a motion that no sentence describes: that of unrelated texts."""

_SHORTEST = 2
"""Frames of a motion that can be measured."""


def prompt_fits(
    prompt: str, motions: Sequence[Motion], encoder: TextEncoder, matcher: "TextMotionEvaluator | None" = None
) -> Tensor:
    """How well motions fit a prompt `[K]`, by their descriptions and a matcher, if there is one."""
    fits = torch.full((len(motions),), TOO_SHORT)
    numbers = [number for number, motion in enumerate(motions) if motion.num_frames >= _SHORTEST]
    if numbers:
        measured = [motions[number] for number in numbers]
        fits[numbers] = _description_fits(prompt, measured, encoder)
        if matcher is not None:
            fits[numbers] += MATCH * cosine_similarity(matcher.embed_motions(measured), matcher.embed_texts(prompt))
    return fits


def _description_fits(prompt: str, motions: Sequence[Motion], encoder: TextEncoder) -> Tensor:
    """How well facts of motions fit a prompt `[K]`: as its nearest sentence, and as an instruction."""
    facts = [measure_facts(motion, unclear=True) for motion in motions]
    told = [describe_facts(own) for own in facts]
    sentences = list(dict.fromkeys(sentence for own in told for sentence in own))
    near = {}
    if sentences:
        points = embedded([prompt, *sentences], encoder)
        nearness = (points[1:] @ points[0] - _penalties(prompt, sentences)).tolist()
        near = dict(zip(sentences, nearness, strict=True))
    fits = torch.tensor([max((near[sentence] for sentence in own), default=NOTHING_SAID) for own in told])
    book = PhraseBook.of(encoder)
    return fits if book is None else fits + DONE * book.rate(prompt, facts)


def best_fit(
    prompt: str,
    motions: Sequence[Motion],
    encoder: TextEncoder,
    matcher: "TextMotionEvaluator | None" = None,
    after: float = 0.0,
) -> Motion:
    """The one of several motions that fits a prompt best.

    Args:
        after: seconds of the motions that are given, not generated.
    """
    return motions[int(prompt_fits(prompt, generated(motions, after), encoder, matcher).argmax())]


def generated(motions: Sequence[Motion], after: float) -> list[Motion]:
    """The parts of motions that were generated, those after `after` seconds."""
    return [motion.slice(round(after * motion.fps), motion.num_frames) for motion in motions]


def _penalties(prompt: str, sentences: Sequence[str]) -> Tensor:
    asked = sides(prompt)
    if not asked:
        return torch.zeros(len(sentences))
    said = [sides(sentence) for sentence in sentences]
    return torch.tensor([0.0 if own == asked else OTHER_SIDE if own else NO_SIDE for own in said])


@torch.no_grad()
def text_gains(lm: MotionLM, tokens: Tensor, features: Tensor, mask: Tensor) -> Tensor:
    """How much likelier a text makes motions `[K]`, in nats.

    Args:
        tokens: of the motions `[K, N]`.
        features, mask: of the text of each `[K, L, C]`, `[K, L]`.
    """
    alone = lm.row_losses(tokens, features, torch.zeros_like(mask), tokens)
    return (alone - lm.row_losses(tokens, features, mask, tokens)).float().cpu()
