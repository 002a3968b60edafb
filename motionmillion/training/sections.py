"""Sections of a recipe as frozen dataclasses: keys, defaults, meanings and checks in one place.

    @dataclass(frozen=True)
    class Windows(ClipsSection):
        frames: int = option(64, "window length")

    section = read_section(Windows, recipe.data)      # unknown keys are errors
    key_table(Windows)                                # the keys and their meanings as a Markdown table

Consecutive keys with the same meaning share a row of the table. The classes below hold the keys that several kinds of
training have in common; each kind defines its own keys next to its training function.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import torch

from motionmillion.configuration import check_number, check_share, check_whole, unknown_key_error
from motionmillion.data.captions import add_captions, load_caption_rules
from motionmillion.data.check import check_listing
from motionmillion.data.clips import SPLITS, MotionClip, load_clips
from motionmillion.data.composition.composing import ComposeOptions, compose_clips
from motionmillion.data.sets.groups import category_weights, check_balance_by
from motionmillion.data.sets.mixing import mixing_weights
from motionmillion.data.sets.texts import check_caption_weights
from motionmillion.data.shards.motion_table import MotionTable, is_table
from motionmillion.data.shards.texts import TextShards
from motionmillion.pipeline.folder import started_defaults, started_encoder
from motionmillion.progress import say
from motionmillion.text.encoder import MINILM, DeferredTextEncoder, TextEncoder

CLIPS = "where clips come from: a folder or a list of folders, or a number of synthetic clips"
VERSIONS = "versions of each clip, see `motionmillion.data.augment.random_variant`"
ENCODER = "see `motionmillion.text.encoder.TextEncoder`"
BALANCE = "0 visits every clip equally often, 1 every category; values between them are a compromise"

_ENCODER_KEYS = {"text_encoder": "name", "sentence": "sentence", "text_length": "max_length"}
"""Keys of a section by those of a pipeline's `text_encoder.json`."""

Section = TypeVar("Section")


def option(default: Any, meaning: str, read: Callable[[Any], Any] | None = None) -> Any:
    """Declare a key of a section.

    Args:
        default: value if the recipe does not set the key.
        meaning: description in the table of keys.
        read: converts the recipe's value.
    """
    return field(default=default, metadata={"meaning": meaning, "read": read})


def read_section(kind: type[Section], given: Mapping[str, Any], name: str = "data section") -> Section:
    """Turn a recipe's mapping into a section.

    Args:
        kind: dataclass of the section.
        name: name of the section in errors.

    Raises:
        ValueError: for unknown keys, and for values that the dataclass rejects.
    """
    known = {each.name: each.metadata.get("read") for each in fields(kind)}  # type: ignore[arg-type]
    if set(given) - set(known):
        raise unknown_key_error(name, set(given) - set(known), known)
    values = {key: value if (read := known[key]) is None else read(value) for key, value in given.items()}
    return kind(**values)


def key_table(kind: type, section: str = "data") -> str:
    """The keys of a section and their meanings, as a Markdown table."""
    rows: list[tuple[list[str], str]] = []
    for each in fields(kind):
        meaning = each.metadata["meaning"]
        if rows and rows[-1][1] == meaning:
            rows[-1][0].append(each.name)
        else:
            rows.append(([each.name], meaning))
    lines = [f"| {', '.join(keys)} | {meaning} |" for keys, meaning in rows]
    return "\n".join([f"| key of `{section}` | meaning |", "|---|---|", *lines])


def read_folder(folder: str, skip_bad: bool = False, splits: Iterable[str] = SPLITS) -> list[MotionClip]:
    """The clips of a folder; clips that are left out are listed on standard error.

    Raises:
        ValueError: for a folder or a clip that cannot be read; the message points to `data.skip_bad`.
    """
    left_out: list[str] = []
    try:
        clips = load_clips(folder, splits, skip_bad, left_out.append)
    except (ValueError, OSError) as error:
        if skip_bad:
            raise
        raise ValueError(f"{error}; to leave out clips that cannot be read, set data.skip_bad: true") from None
    for line in left_out:
        say(line)
    if left_out:
        say(f"{len(left_out)} of {len(left_out) + len(clips)} clips of {folder} are left out")
    return clips


@dataclass(frozen=True)
class ClipsSection:
    """Where clips come from."""

    folder: str | list[str] | None = option(None, CLIPS)
    synthetic: int | None = option(0, CLIPS)
    skip_bad: bool = option(
        False, "leave out clips that cannot be read, and names in lists that match none, and list them"
    )

    def __post_init__(self) -> None:
        if self.synthetic is not None:
            check_whole("data.synthetic", self.synthetic, 0)
        if not isinstance(self.skip_bad, bool):
            raise ValueError(f"data.skip_bad must be true or false, got {self.skip_bad!r}")

    def tables(self) -> list[MotionTable]:
        """The folders as data sets on disk; none unless all of them are."""
        return [MotionTable(folder) for folder in self.folders] if all(map(is_table, self.folders)) else []

    def mixing(self) -> dict[str, float | None] | None:
        """Mixing weights by source, if the folders are data sets on disk with any."""
        return mixing_weights([table.header["sources"] for table in self.tables()])

    @property
    def folders(self) -> list[str]:
        """The folders of motions."""
        return [self.folder] if isinstance(self.folder, str) else list(self.folder or [])

    def check_clips(self, captioned: bool, val: int = 1) -> list[str]:
        """Check what the folders hold without reading a motion; returns a line about each folder.

        Args:
            captioned: whether only clips with captions count.
            val: least number of clips for validation.

        Raises:
            ValueError: for folders that are missing, have damaged lists, or too few clips of the splits train and val.
        """
        needed = {"train": 1, "val": val}
        return check_listing(self.folders, needed, captioned, self.skip_bad) if self.folders else []

    def clips(self, seed: int) -> list[MotionClip]:
        """All clips.

        Raises:
            ValueError: if neither or both of `folder` and `synthetic` are set, and for unreadable folders.
        """
        if bool(self.folder) == bool(self.synthetic):
            raise ValueError(f"data must name either folder or synthetic, got {self.folder!r} and {self.synthetic!r}")
        if self.folders:
            return [clip for folder in self.folders for clip in read_folder(folder, self.skip_bad)]
        from motionmillion.data.synthetic import synthetic_clips

        return synthetic_clips(self.synthetic or 0, seed)


@dataclass(frozen=True)
class VersionsSection(ClipsSection):
    """Clips, each in several versions."""

    variants: int = option(8, VERSIONS)
    speed: float = option(0.1, VERSIONS)
    trim: float = option(0.15, VERSIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("data.variants", self.variants, 0)
        check_number("data.speed", self.speed)
        check_number("data.trim", self.trim)

    @property
    def versions(self) -> dict[str, Any]:
        """Keyword arguments for the data sets that draw versions of clips."""
        return {"variants": self.variants, "speed": self.speed, "trim": self.trim}


@dataclass(frozen=True)
class CaptionedSection(ClipsSection):
    """Clips with captions."""

    own_caption_share: float = option(
        0.5, "fraction of visits in which a window of a longer take is described by a caption of its own"
    )
    caption_rules: str | None = option(
        None, "file of rules that add wordings to training clips, see `motionmillion.data.captions`"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("data.own_caption_share", self.own_caption_share)

    def training_clips(self, clips: Sequence[MotionClip], seed: int) -> list[MotionClip]:
        """The training clips among `clips`, with the captions that rules add.

        Args:
            seed: for subclasses that compose new clips from these.
        """
        rules = load_caption_rules(self.caption_rules) if self.caption_rules else []
        return [add_captions(clip, rules) for clip in clips if clip.split == "train" and clip.captions]


def _without_none(given: Any) -> Any:
    """Options without null values; null in a recipe removes an option of its base recipe."""
    return {key: value for key, value in given.items() if value is not None} if isinstance(given, Mapping) else given


@dataclass(frozen=True)
class ComposedSection(CaptionedSection):
    """Captioned clips, and clips composed from them, with weights of captions and of clips."""

    caption_weights: Mapping[str, float] | None = option(
        None, "probability weights of the sources of captions, see `motionmillion.data.sets.texts`"
    )
    compose: ComposeOptions | None = option(
        None,
        "training clips made out of others, see `motionmillion.data.composition.composing.ComposeOptions`",
        ComposeOptions.from_section,
    )
    balance: float = option(0.0, BALANCE)
    balance_by: str = option(
        "category",
        "what a category is: `category`, `description` (title of the take) or `action` (verb of the caption)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_caption_weights(self.caption_weights, "data.caption_weights")
        check_share("data.balance", self.balance)
        check_balance_by(self.balance_by, "data.balance_by")

    def training_clips(self, clips: Sequence[MotionClip], seed: int) -> list[MotionClip]:
        """The training clips among `clips`, with the captions that rules add, and the clips composed from them."""
        own = super().training_clips(clips, seed)
        return compose_clips(own, self.compose, seed)[0] if self.compose is not None and own else own

    def visits(self, groups: Sequence[str | None]) -> torch.Tensor | None:
        """Sampling weight of each training clip by its entry in `groups`; None if all clips are equally likely."""
        return category_weights(groups, self.balance)


@dataclass(frozen=True)
class EvaluatorSection(ComposedSection, VersionsSection):
    """The section `data` of an evaluator's recipe."""

    mirrored: bool = option(
        False,
        "add mirrored copies to each batch, which doubles it, to contrast left and right",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.mirrored, bool):
            raise ValueError(f"data.mirrored must be true or false, got {self.mirrored!r}")

    @property
    def versions(self) -> dict[str, Any]:
        """Keyword arguments for the data set that draws versions of clips."""
        return super().versions | {"mirrored": self.mirrored}


@dataclass(frozen=True)
class TextToMotionSection(ComposedSection, VersionsSection):
    """Keys shared by language models and DiTs: text features, sampling, the starting model."""

    text_encoder: str = option(MINILM, ENCODER)
    sentence: bool = option(True, ENCODER)
    text_length: int = option(150, ENCODER)
    text_features: str | None = option(
        None, "folder of features of all captions, made with that encoder, which is then not loaded"
    )
    start_from: str | None = option(None, "pipeline (bundled name, folder, hub id) whose model is trained further")
    sampling: dict[str, Any] | None = option(
        None, "default options of the pipeline that is written, see `motionmillion.pipeline.options`", _without_none
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("data.text_length", self.text_length, 1)

    def encoder(self, device: torch.device | str = "cpu") -> TextEncoder:
        """The text encoder; its weights are not loaded if precomputed features of all captions are given."""
        named = (self.text_encoder, self.sentence, self.text_length)
        return DeferredTextEncoder(*named) if self.text_features else TextEncoder(*named, device)

    def texts(self, encoder: TextEncoder) -> TextShards | None:
        """The folder of text features, if there is one.

        Raises:
            ValueError: if its features are those of another encoder.
        """
        if not self.text_features:
            return None
        texts = TextShards(self.text_features)
        own = dict(name=encoder.name, sentence=encoder.sentence, max_length=encoder.max_length, dim=encoder.dim)
        for name, value in own.items():
            if texts.settings[name] != value:
                raise ValueError(
                    f"text_features must be made with the {name} of the recipe's text encoder, {value!r}, got "
                    f"{texts.settings[name]!r} in {str(self.text_features)!r}; encode again or change the recipe"
                )
        return texts

    def completed(self, folder: Path, given: Mapping[str, Any]) -> Self:
        """Fill in the text encoder and sampling options from a pipeline where the recipe does not set them.

        Args:
            folder: of the pipeline.
            given: the section as the recipe has it.
        """
        found: dict[str, Any] = {}
        if given.get("text_encoder") is None:
            settings = started_encoder(folder)
            found = {
                key: settings[theirs]
                for key, theirs in _ENCODER_KEYS.items()
                if theirs in settings and given.get(key) is None
            }
        if self.sampling is None:
            found["sampling"] = started_defaults(folder)
        return replace(self, **found)
