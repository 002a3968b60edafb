"""The offline judge: a text-motion evaluator, for which a motion shows the text nearest to it.

    judge = RetrievalJudge(evaluator, texts=[prompt.text for prompt in suite.prompts])

A choice is the nearest of its texts. A motion matches its text if that is nearer than 90 % of the other given texts,
so an unspecific motion matches one text in ten. Unusual: it needs no service and no pictures, and is limited to what
its evaluator has learned; its results are not comparable with those of a vision-language model.

Shapes: N texts or motions, E embedding size.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from motionmillion.configuration import check_number, check_whole
from motionmillion.eval.judges.judge import Asked, Judge
from motionmillion.motion import Motion
from motionmillion.text.prompts import plain


class Embedder(Protocol):
    """Embeds texts and motions in one space, a motion near the texts that describe it."""

    def embed_texts(self, texts: list[str], /) -> Tensor:
        """`[N, E]`."""
        ...

    def embed_motions(self, motions: list[Motion], /) -> Tensor:
        """`[N, E]`."""
        ...


class RetrievalJudge(Judge):
    """Judges by Euclidean distance in an evaluator's embedding space.

    Args:
        evaluator: embeds texts and motions.
        texts: other texts that the text of a "match" is compared with, such as a suite's prompts; those equal to the
            text are ignored.
        share: fraction of `texts` that must be farther away than the text for a yes.
        identity: identity of the evaluator, such as its hash, for the protocol.
        batch_size: motions embedded at once.

    Raises:
        ValueError: for fewer than two texts, or a share outside 0 to 1.
    """

    keeps = False  # asking again is free, and an evaluator may change without a change of name
    name = "retrieval"

    def __init__(
        self, evaluator: Embedder, texts: Sequence[str], share: float = 0.9, identity: str = "", batch_size: int = 64
    ) -> None:
        self.texts = {plain(text): text for text in texts}
        if len(self.texts) < 2:
            raise ValueError(f"texts must be different, two or more, got {len(self.texts)}; give a suite's prompts")
        if not 0 < check_number("share", share) <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {share!r}")
        self.evaluator, self.share, self.identity = evaluator, share, identity
        self.batch_size = check_whole("batch_size", batch_size, 1)
        self._known: dict[str, Tensor] = {}

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256(json.dumps(list(self.texts.values())).encode()).hexdigest()[:12]
        against = {"texts": len(self.texts), "texts_hash": digest, "share": self.share}
        return {"judge": self.name, "evaluator": self.identity, **against}

    def replies(self, asked: Sequence[Asked]) -> Iterator[str]:
        with torch.no_grad():
            motions = self.evaluator.embed_motions([entry.motion for entry in asked])  # [N, E]
            wanted = [text for entry in asked for text in entry.texts]
            if any(entry.kind == "match" for entry in asked):
                wanted += self.texts.values()
            self._embed(wanted)
            for entry, motion in zip(asked, motions.detach().cpu().double(), strict=True):
                yield self._choose(entry, motion) if entry.kind == "choice" else self._match(entry, motion)

    def _choose(self, asked: Asked, motion: Tensor) -> str:
        nearest = int(self._distances(asked.texts, motion).argmin())
        return f"Answer: {asked.texts[nearest]}"

    def _match(self, asked: Asked, motion: Tensor) -> str:
        """Yes or no for one text; a tie counts for the other text."""
        others = [text for words, text in self.texts.items() if words != plain(asked.texts[0])]
        own, *distances = self._distances([asked.texts[0], *others], motion).tolist()
        nearer = sum(own < distance for distance in distances) / len(distances)
        return f"It is nearer than {nearer:.1%} of the other texts. Answer: {'yes' if nearer >= self.share else 'no'}"

    def _distances(self, texts: Sequence[str], motion: Tensor) -> Tensor:
        return torch.linalg.vector_norm(torch.stack([self._known[text] for text in texts]) - motion, dim=-1)

    def _embed(self, texts: Sequence[str]) -> None:
        """Embed and store those of `texts` that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= zip(new, self.evaluator.embed_texts(new).detach().cpu().double(), strict=True)
