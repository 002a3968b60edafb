"""The section `data` of a DiT's recipe, and the sources of clips that it names.

    training, validation = dit_sources(recipe, dit_data_options(recipe))

Settings that a source does not give are read from `source.json` in its folder, if there is one, and for a data set of
`motionmillion data build` or `merge` from its manifest: each of its sources becomes one of training, with the blocks
that it is trusted for, its share of texts and its mixing weight.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from motionmillion.configuration import check_share, check_whole, unknown_key_error
from motionmillion.data.clips import SPLITS, MotionClip
from motionmillion.data.sets.flow_pairs import Source, check_names
from motionmillion.data.sets.references import Corruption
from motionmillion.data.shards.motion_table import MotionTable, is_table
from motionmillion.features import get
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.pipeline.options import DiTOptions
from motionmillion.progress import say
from motionmillion.training.recipe import Recipe
from motionmillion.training.sections import TextToMotionSection, option, read_folder, read_section

_SOURCE_FILE = "source.json"
_SOURCE_KEYS = ("folder", "text_share", "trusted_text", "trusted_reference", "share", "splits")
_MANIFEST_KEYS = ("text_share", "trusted_text", "trusted_reference", "weight")


def corruption_of(given: Any) -> Corruption:
    """The recipe's corruption settings, with ViMoGen's as defaults."""
    if not isinstance(given, dict | None):
        raise ValueError(f"data.corruption must be a mapping, got {given!r}")
    return read_section(Corruption, given or {}, "data.corruption")


@dataclass(frozen=True)
class DiTSection(TextToMotionSection):
    """The section `data` of a DiT's recipe.

    Raises:
        ValueError: for values out of range, and for no or several places of clips.
    """

    sources: list[Any] | None = option(
        None, "in place of folder and synthetic, a list of sources: `folder` and how it is used, see below"
    )
    text_share: float = option(
        0.8, "probability of conditioning on the text rather than on a reference, where a source does not say"
    )
    corruption: Corruption = option(
        Corruption(), "settings of `motionmillion.data.sets.references.Corruption`, over ViMoGen's", corruption_of
    )
    shortest: int = option(2, "frames below which a clip is left out, at the frame rate of the features")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("data.text_share", self.text_share)
        places = [name for name in ("folder", "synthetic", "sources") if getattr(self, name)]
        if len(places) != 1:
            raise ValueError(f"data must name one of folder, synthetic and sources, got {places or 'none'}")
        check_whole("data.shortest", self.shortest, 2)
        if self.sources and not isinstance(self.sources, list):
            raise ValueError(f"data.sources must be a list of mappings, got {self.sources!r}")
        DiTOptions.from_defaults(self.sampling)  # raises for invalid options

    @property
    def every_folder(self) -> list[str]:
        """The folders of motions, those of sources among them."""
        return [*self.folders, *(str(entry["folder"]) for entry in self.sources or [])]


def dit_data_options(recipe: Recipe) -> DiTSection:
    """The section `data` of a recipe.

    Raises:
        ValueError: for unknown keys, values out of range, and no or several places of clips.
    """
    return read_section(DiTSection, recipe.data)


def dit_sources(recipe: Recipe, data: DiTSection) -> tuple[list[Source], list[Source]]:
    """Training and validation sources of the section `data` of a recipe."""
    loaded: list[Part] = []
    for number, entry in enumerate(data.sources or []):
        loaded += _source_parts(entry, data.skip_bad, f"data.sources[{number}]")
    training, validation = [], []
    for settings, clips in loaded or _folder_parts(data, recipe.seed):
        settings = {"text_share": data.text_share, **settings}
        training.append(Source(data.training_clips(clips, recipe.seed), **settings))
        validation.append(Source([clip for clip in clips if clip.split == "val" and clip.captions], **settings))
    for split, found in (("train", training), ("val", validation)):
        if not any(source.clips for source in found):
            raise ValueError(f"data must have clips with captions in the split {split!r}, got none")
    return training, validation


class Part(NamedTuple):
    """Clips that are used alike, and how: the arguments of `Source`."""

    settings: dict[str, Any]
    clips: list[MotionClip]


def _folder_parts(data: DiTSection, seed: int) -> list[Part]:
    """The clips of `data.folder` or `data.synthetic`; the sources of data sets are told apart."""
    if not any(map(is_table, data.folders)):
        return [Part({}, data.clips(seed))]
    parts = []
    for folder in data.folders:
        clips = read_folder(folder, data.skip_bad)
        # mixing weights hold across data sets, but say nothing about other folders
        group = "data.folder" if data.tables() else folder
        parts += manifest_parts(folder, clips, group) if is_table(folder) else [Part({}, clips)]
    return parts


def _source_parts(entry: Any, skip_bad: bool, group: str) -> Iterator[Part]:
    """The clips of an entry of `data.sources`, and how they are used; the sources of a data set are told apart."""
    settings = source_settings(entry)
    splits, folder = settings.pop("splits", None), str(settings.pop("folder"))
    clips = read_folder(folder, skip_bad, splits or SPLITS)
    clips = [clip.replace(split="train") for clip in clips] if splits else clips
    for own, part in manifest_parts(folder, clips, group) if is_table(folder) else [Part({}, clips)]:
        yield Part({**own, **settings}, part)


def manifest_parts(folder: str, clips: Iterable[MotionClip], group: str) -> list[Part]:
    """The clips of a data set by source and by the blocks that they are trusted for, as its manifest says.

    Args:
        group: see `Source`.

    Raises:
        ValueError: for a manifest with values that a source cannot have.
    """
    header, found = MotionTable(folder).header["sources"], {}
    for clip in clips:
        found.setdefault((clip.dataset, clip.trusted), []).append(clip)
    parts = []
    for (name, trusted), own in found.items():
        settings = {key: value for key, value in header.get(name, {}).items() if key in _MANIFEST_KEYS}
        settings |= {"group": group, "name": name} | ({} if trusted is None else {"trusted_text": trusted})
        try:
            Source([], **settings)
        except ValueError as error:
            raise ValueError(f"{error}; in the manifest of {folder!r}") from None
        said = [f"{key} {_said(value)}" for key, value in settings.items() if key in _MANIFEST_KEYS]
        say(f"source {name!r} of {folder}: {', '.join([f'{len(own):,} clips', *said])}")
        parts.append(Part(settings, own))
    return parts


def _said(value: Any) -> str:
    return "+".join(value) if isinstance(value, list | tuple) else f"{value:g}"


def source_settings(entry: Any, config: MotionDiTConfig | None = None) -> dict[str, Any]:
    """Settings of an entry of `data.sources`, merged over the manifest in its folder.

    Args:
        config: config of the model, to check the names of the trusted feature blocks.

    Raises:
        ValueError: for unknown keys and blocks, values out of range, and an invalid manifest.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("folder"), str | Path):
        raise ValueError(f"data.sources must be mappings with a folder, got {entry!r}")
    file = Path(entry["folder"]) / _SOURCE_FILE
    try:
        own = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{_SOURCE_FILE} must be a JSON object, got {str(file)!r} ({error})") from None
    if not isinstance(own, dict):
        raise ValueError(f"{_SOURCE_FILE} must be a JSON object, got a {type(own).__name__} in {str(file)!r}")
    if "folder" in own:
        raise ValueError(
            f"folder must be left out, got {own['folder']!r} in {str(file)!r}; it is about its own folder"
        )
    settings = {**own, **entry}
    try:
        _check_source(own, config)
    except ValueError as error:
        raise ValueError(f"{error}; in {str(file)!r}") from None
    _check_source(settings, config)
    if config is not None and is_table(entry["folder"]):
        check_manifest(entry["folder"], config)
    return settings


def check_manifest(folder: str | Path, config: MotionDiTConfig) -> None:
    """Raise `ValueError` for trusted blocks in the manifest of a data set that the features of a model do not have."""
    for entry in MotionTable(folder).header["sources"].values():
        trusted = {key: entry.get(key) for key in ("trusted_text", "trusted_reference")}
        Source([], **trusted).check_blocks(get(config.features).layout)


def _check_source(settings: dict[str, Any], config: MotionDiTConfig | None) -> None:
    """Raise `ValueError` for keys and values that a source cannot have."""
    if set(settings) - set(_SOURCE_KEYS):
        raise unknown_key_error("a source", set(settings) - set(_SOURCE_KEYS), _SOURCE_KEYS)
    splits = check_names("splits", settings.get("splits"))
    if set(splits or ()) - set(SPLITS):
        raise unknown_key_error("splits of a source", set(splits or ()) - set(SPLITS), SPLITS)
    source = Source([], **{key: value for key, value in settings.items() if key not in ("folder", "splits")})
    if config is not None:
        source.check_blocks(get(config.features).layout)
