"""Random choice of a clip's caption, and text features in memory: each distinct caption once, in one tensor.

    bank = TextBank(captions, encoder, dtype=torch.float16)
    features = bank["a person waves"]            # [L, C], float32 for any stored dtype

    weights = check_caption_weights({"watched": 4, "kinematic": 2, "wording": 1})
    text = draw_caption(clip.captions, clip.own_captions, clip.whole, 0.5, clip.sources, weights)

With weights, first a source is drawn in proportion to its weight among the clip's sources, however many captions each
has, then one of its captions uniformly. Captions of sources without a weight are only drawn for clips that have no
others.

Shapes: L text length, C text feature size.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from motionmillion.configuration import check_number
from motionmillion.data.clips import sources_of
from motionmillion.progress import progress_bar, say
from motionmillion.text.encoder import TextEncoder


class Texts(Protocol):
    """Text features by caption: `TextBank` or `motionmillion.data.shards.texts.TextShards`."""

    def __getitem__(self, text: str, /) -> Tensor:
        """Features `[L, C]`."""
        ...


class TextBank:
    """Features `[L, C]` of every distinct text, computed once, on the encoder's device.

    Args:
        texts: captions, possibly with duplicates.
        encoder: makes the features.
        batch: number of texts per batch of the encoder.
        dtype: stored dtype; features are returned as float32.
    """

    def __init__(
        self,
        texts: Sequence[str],
        encoder: TextEncoder,
        batch: int = 64,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        parts: list[Tensor] = []
        self.rows: dict[str, tuple[int, int]] = {}
        end = 0
        with progress_bar(len(unique), "encoding", "texts") as bar:
            for start in range(0, len(unique), batch):
                part = unique[start : start + batch]
                features, mask = encoder(part)
                for text, states, valid in zip(part, features.cpu(), mask.cpu(), strict=True):
                    parts.append(states[valid].to(dtype))
                    self.rows[text] = (end, end + len(parts[-1]))
                    end = self.rows[text][1]
                bar.update(len(part))
        self.features = torch.cat(parts) if parts else torch.zeros(0, encoder.dim, dtype=dtype)  # [sum of L, C]

    @classmethod
    def of(cls, features: Tensor, rows: Mapping[str, tuple[int, int]]) -> "TextBank":
        """A bank from existing features `[sum of L, C]` and the rows of each text in them, first and last + 1."""
        bank = cls.__new__(cls)
        bank.features, bank.rows = features, dict(rows)
        return bank

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, text: object) -> bool:
        return text in self.rows

    def __getitem__(self, text: str) -> Tensor:
        start, end = self.rows[text]
        return self.features[start:end].float()

    def joined(self, other: "TextBank") -> "TextBank":
        """A bank of the texts of both, which must have none in common."""
        shift = len(self.features)
        rows = {text: (start + shift, end + shift) for text, (start, end) in other.rows.items()}
        return TextBank.of(torch.cat([self.features, other.features]), {**self.rows, **rows})


def text_bank(
    captions: Sequence[str],
    encoder: TextEncoder | None,
    texts: Texts | None,
    dtype: torch.dtype = torch.float32,
) -> Texts:
    """`texts` if given, else a bank of `captions` computed by `encoder` and stored in `dtype`."""
    if texts is not None:
        return texts
    if encoder is None:
        raise ValueError("texts must be given where there is no encoder to make them, got neither")
    return TextBank(captions, encoder, dtype=dtype)


def padded_texts(texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features `[L, C]` of texts as one tensor `[B, L, C]`, and the mask `[B, L]` of their words."""
    features = pad_sequence(list(texts), batch_first=True)
    words = torch.tensor([len(states) for states in texts])
    return features, torch.arange(features.shape[1]) < words[:, None]


def draw_caption(
    captions: Sequence[str],
    own: Sequence[str],
    whole: bool,
    own_share: float,
    sources: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
) -> str:
    """One of `captions` at random; for a window of a longer take, with probability `own_share` one of its `own`.

    Args:
        sources: source of each of `captions`.
        weights: probability weight of each source as a whole; None draws all captions uniformly.
    """
    if not whole and own and float(torch.rand(())) < own_share:
        captions, sources = own, sources_of(own, captions, sources) if weights else ()
    if weights and sources:
        captions = _of_one_source(captions, sources, weights)
    return captions[int(torch.randint(len(captions), ()))]


def _of_one_source(captions: Sequence[str], sources: Sequence[str], weights: Mapping[str, float]) -> Sequence[str]:
    """The captions of a source drawn by weight; all captions if none of their sources has a weight."""
    found = {source: weights[source] for source in dict.fromkeys(sources) if weights.get(source)}
    if not found:
        return captions
    names = list(found)
    place = float(torch.rand(())) * sum(found.values())
    while len(names) > 1 and place >= found[names[0]]:
        place -= found[names.pop(0)]
    return [text for text, source in zip(captions, sources, strict=True) if source == names[0]]


def check_caption_weights(weights: Any, name: str = "caption_weights") -> dict[str, float] | None:
    """`weights` if they are None or a mapping of sources to numbers, at least one of them positive.

    Raises:
        ValueError: for anything else.
    """
    if weights is None:
        return None
    if not isinstance(weights, Mapping) or not all(isinstance(source, str) for source in weights):
        raise ValueError(f"{name} must be a mapping of sources to weights, got {weights!r}")
    for source, weight in weights.items():
        check_number(f"{name}.{source}", weight)
    if not any(weights.values()):
        raise ValueError(f"{name} must hold a positive weight, got {weights!r}; leave it out for all captions alike")
    return dict(weights)


def check_caption_sources(weights: Mapping[str, float] | None, sources: Iterable[Sequence[str]]) -> None:
    """Log the sources that occur only in the data or only in `weights`.

    Args:
        sources: sources of each clip's captions.

    Raises:
        ValueError: if no clip has a caption of any of the sources that `weights` names.
    """
    if weights is None:
        return
    present = {source for each in sources for source in each}
    if not present & set(weights):
        known = ", ".join(sorted(filter(None, present))) or "none"
        raise ValueError(
            f"caption_weights must name sources that the captions have, got {', '.join(sorted(weights))}; the data "
            f"has {known}"
        )
    for names, what in ((set(weights) - present, "no clip has"), (present - set(weights), "without a weight are")):
        if names:
            listed = ", ".join(sorted(name or "(unknown)" for name in names))
            say(f"caption_weights: sources {what} {listed}")
