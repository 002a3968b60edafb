"""A judge without service or pictures: a motion shows a text if an evaluator embeds them close enough.

    judge = SimilarityJudge.bundled()                       # or make_judge("similarity")

Like `RetrievalJudge` it is limited to what its evaluator has learned; unlike it, it needs no other texts to compare
with. The threshold was chosen by `recipes/flow/gate_threshold.py`.

Shapes: N texts or motions, E embedding size.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import cosine_similarity

from motionmillion.eval.judges.judge import Asked, Judge
from motionmillion.eval.judges.retrieval import Embedder

THRESHOLD = 0.35
"""For the bundled evaluator: on unseen clips it accepts 0.94 of their own texts and 0.20 of foreign ones."""


class SimilarityJudge(Judge):
    """Judges by the cosine similarity of the embeddings of text and motion.

    Args:
        evaluator: embeds texts and motions.
        threshold: minimum similarity for a match, -1 to 1.
        identity: identity of the evaluator, such as its hash, for the protocol.

    Raises:
        ValueError: for a threshold outside -1 to 1.
    """

    keeps = False  # asking again is free, and an evaluator may change without a change of name
    name = "similarity"
    batch_size = 64

    def __init__(self, evaluator: Embedder, threshold: float = THRESHOLD, identity: str = "") -> None:
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not number or not -1 <= threshold <= 1:
            raise ValueError(f"threshold must be a cosine, -1 to 1, got {threshold!r}")
        self.evaluator, self.threshold, self.identity = evaluator, threshold, identity

    @classmethod
    def bundled(cls, threshold: float = THRESHOLD) -> "SimilarityJudge":
        """A judge with the bundled evaluator."""
        from motionmillion.eval.evaluator import TextMotionEvaluator

        evaluator = TextMotionEvaluator.from_pretrained("mini")
        return cls(evaluator, threshold, evaluator.weights_sha256())

    def describe(self) -> dict[str, Any]:
        return {"judge": self.name, "evaluator": self.identity, "threshold": self.threshold}

    @torch.no_grad()
    def replies(self, asked: Sequence[Asked]) -> Iterator[str]:
        motions = self.evaluator.embed_motions([entry.motion for entry in asked])  # [N, E]
        texts = list(dict.fromkeys(text for entry in asked for text in entry.texts))
        points = dict(zip(texts, self.evaluator.embed_texts(texts), strict=True))
        for entry, motion in zip(asked, motions, strict=True):
            near = cosine_similarity(torch.stack([points[text] for text in entry.texts]), motion[None])
            if entry.kind == "choice":
                yield f"Answer: {entry.texts[int(near.argmax())]}"
            else:
                yes = "yes" if float(near[0]) >= self.threshold else "no"
                yield f"Their similarity is {float(near[0]):.2f}, {self.threshold:g} is asked for. Answer: {yes}"
