"""The offline judge: a text-motion evaluator, for which a motion shows the text that lies nearest to it.

    judge = RetrievalJudge(evaluator, texts=[prompt.text for prompt in suite.prompts])

A choice is the nearest of its texts. A motion matches its text if that is nearer than 90 % of the other texts given,
so a motion that shows nothing in particular matches one text in ten. Unusual: needs no service and no pictures, and
sees only what its evaluator has learned; its figures are not those of a vision-language model and must not be compared
with them.

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
    """Texts and motions as points of one space, a motion near to the texts that describe it."""

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
        texts: others that a text of a "match" is held against, such as a suite's prompts; those that say the same as
            the text are passed over.
        share: of `texts` that must be farther away than the text, for a yes.
        identity: of the evaluator, such as its hash, for the protocol.
        batch_size: motions embedded at once.

    Raises:
        ValueError: for fewer than two texts, or a share outside 0 to 1.
    """

    keeps = False  # asking again costs nothing, and an evaluator may change under its name
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
        """Yes or no of one text; a tie counts for the other text."""
        others = [text for words, text in self.texts.items() if words != plain(asked.texts[0])]
        own, *distances = self._distances([asked.texts[0], *others], motion).tolist()
        nearer = sum(own < distance for distance in distances) / len(distances)
        return f"It is nearer than {nearer:.1%} of the other texts. Answer: {'yes' if nearer >= self.share else 'no'}"

    def _distances(self, texts: Sequence[str], motion: Tensor) -> Tensor:
        return torch.linalg.vector_norm(torch.stack([self._known[text] for text in texts]) - motion, dim=-1)

    def _embed(self, texts: Sequence[str]) -> None:
        """Keep the embeddings of `texts` that are new."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= zip(new, self.evaluator.embed_texts(new).detach().cpu().double(), strict=True)
