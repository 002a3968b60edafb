"""The steps that all calls of a pipeline share: options, lengths, text to features, motion to codes, tokens to motion.

`PipelineParts` holds the models and these steps; `motionmillion.pipeline.MotionPipeline` combines them.

With a flow head, codes and tokens are latents `[..., Q]` throughout.

Letters: B batch, L text length, C text feature size, P codes of a prefix, N tokens, Q latent channels.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import motionmillion
from motionmillion.configuration import check_number, shown, unknown_key_error
from motionmillion.io.files import write_text
from motionmillion.kinematics.joining import continue_from
from motionmillion.lm import MotionLM
from motionmillion.lm.flow import FlowSampling
from motionmillion.lm.generation.sampling import Sampling
from motionmillion.lm.generation.timeline import Part
from motionmillion.lm.latents.sampler import DEFAULT_STEPS
from motionmillion.motion import Motion
from motionmillion.text.encoder import TextEncoder, check_texts
from motionmillion.tokenizer import MotionTokenizer

MAX_SECONDS = 60.0
"""Longest motion from one text; a timeline has no limit."""

DEFAULTS: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "guidance_scale": 1.0,
    "min_seconds": 0.0,
    "max_seconds": 10.0,
    "transition": 0.3,
}
"""Sampling options and their defaults, which the pipeline's folder and the call can override."""

FLOW_DEFAULTS: Mapping[str, Any] = {
    "temperature": 1.0,
    "steps": DEFAULT_STEPS,
    "solver": "euler",
    "shift": None,
    "guidance_scale": 1.0,
    "guidance_interval": [0.0, 1.0],
    **{name: DEFAULTS[name] for name in ("min_seconds", "max_seconds", "transition")},
}
"""The same for a language model with a flow head; a shift of None means that of the training."""

_NOT_SAMPLING = ("min_seconds", "max_seconds", "transition")

_SPEED = ("cache", "compiled", "int8")
_DIT_ONLY = ("reference", "reference_mode", "reference_weight", "strength", "denoising_strength")
_DIT_ONLY += ("recovery", "smoothing", "default_seconds", "rounds")
_DECODED_AT_ONCE = 256
"""Chunk size of the tokenizer's decoder, in codes."""


class PipelineParts:
    """A text encoder, a language model and a tokenizer that match, and the steps between them."""

    def __init__(
        self,
        tokenizer: MotionTokenizer,
        lm: MotionLM,
        text_encoder: TextEncoder,
        defaults: dict[str, Any] | None = None,
    ) -> None:
        if lm.config.codebook_size != tokenizer.config.codebook_size:
            raise ValueError(
                f"lm and tokenizer must share one codebook, got {lm.config.codebook_size} and "
                f"{tokenizer.config.codebook_size} codes"
            )
        if lm.config.latent_dim not in (0, tokenizer.quantizer.channels):
            raise ValueError(
                f"lm and tokenizer must share the channels of their latents, got {lm.config.latent_dim} and "
                f"{tokenizer.quantizer.channels}"
            )
        if lm.config.text_dim != text_encoder.dim:
            raise ValueError(
                f"lm must read the text encoder's features, got a width of {lm.config.text_dim} for {text_encoder.dim}"
            )
        self.continuous = lm.config.head == "flow"
        known = FLOW_DEFAULTS if self.continuous else DEFAULTS
        self.tokenizer, self.lm, self.text_encoder = tokenizer.eval(), lm.eval(), text_encoder
        self.defaults = {**known, **check_defaults(defaults, self.continuous)}

    @property
    def device(self) -> torch.device:
        return self.lm.device

    @property
    def fps(self) -> float:
        return self.tokenizer.representation.fps

    @property
    def codes_per_second(self) -> float:
        return self.fps / self.tokenizer.config.frames_per_token

    def read(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """Features `[B, L, C]` and mask `[B, L]` of texts, on the language model's device."""
        features, mask = self.text_encoder(prompts)
        self.text_encoder.warn_of_cuts(prompts)
        return features.to(self.device), mask.to(self.device)

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Sampling arguments of `MotionLM.generate`: given options that are not None override the defaults."""
        for name in _DIT_ONLY:
            value = given.get(name)
            # a list of None is what callers pass for no references
            nothing = isinstance(value, list | tuple) and all(each is None for each in value)
            if value is not None and not nothing:
                raise ValueError(f"{name} must be left out for a language model, got {shown(value)}; a DiT takes it")
        unknown = set(given) - {*DEFAULTS, *FLOW_DEFAULTS, *_SPEED, *_DIT_ONLY}
        if unknown:
            raise unknown_key_error("options", unknown, {*self.defaults, *_SPEED})
        named = {name: value for name, value in given.items() if value is not None}
        chosen = {**self.defaults, **named}
        check_seconds(chosen["transition"], "transition")
        return {
            name: value
            for name, value in chosen.items()
            if name not in (*_NOT_SAMPLING, *_DIT_ONLY) and value is not None
        }

    def option(self, name: str, given: Mapping[str, Any]) -> Any:
        """The value of one option: the given one unless it is None, else the pipeline's default."""
        value = given.get(name)
        return self.defaults[name] if value is None else value

    def no_bounds(self, given: Mapping[str, Any]) -> None:
        """Raise `ValueError` for bounds of the length if the length itself is given."""
        for name in ("min_seconds", "max_seconds"):
            if given.get(name) is not None:
                raise ValueError(f"{name} must be left out where seconds are given, got {given[name]!r}")

    def frames(self, seconds: float | None, given: Mapping[str, Any]) -> int:
        """Number of frames of a motion of `seconds`, or the maximum if None."""
        longest: float = self.option("max_seconds", given) if seconds is None else seconds
        return max(round(longest * self.fps), 1)

    def lengths(self, seconds: float | None, given: Mapping[str, Any]) -> dict[str, int]:
        """`min_new_tokens` and `max_new_tokens` for a motion of `seconds`, or from the bounds if None."""
        check_seconds(seconds)
        if seconds is not None:
            self.no_bounds(given)
        for name in ("min_seconds", "max_seconds"):
            check_seconds(given.get(name), name)
        shortest, longest = (self.option(name, given) for name in ("min_seconds", "max_seconds"))
        if seconds is not None:
            shortest = longest = seconds
        if shortest > longest:
            raise ValueError(f"min_seconds must be at most max_seconds, {longest!r}, got {shortest!r}")
        # round up, so that the last code covers the requested length; frames are cut after decoding
        most, least = (max(math.ceil(length * self.codes_per_second - 1e-6), 1) for length in (longest, shortest))
        return {"max_new_tokens": most, "min_new_tokens": least}

    def decode(self, tokens: Tensor, frames: int | None = None) -> Motion:
        """Decode one row of tokens `[N]` or latents `[N, Q]` up to its end, at most `frames` frames."""
        codes = self.lm.motion_only(tokens)[None].to(self.tokenizer.device)
        decode = self.tokenizer.decode_latents if self.continuous else self.tokenizer.decode
        features = decode(codes, chunk=_DECODED_AT_ONCE)[0]
        return self.tokenizer.representation.decode(features[:frames].float().cpu())

    def overlap(self, given: Mapping[str, Any]) -> int:
        """Number of context codes from the preceding motion, from the option `transition`."""
        seconds = self.option("transition", given)
        check_seconds(seconds, "transition")
        return min(max(round(seconds * self.codes_per_second), 1), self.lm.config.context_codes - 1)

    def encode_prefix(self, motion: Motion, rows: int, overlap: int) -> tuple[Motion, Tensor, Tensor]:
        """Prepare a motion to continue.

        Args:
            rows: B.
            overlap: number of codes that each row continues from.

        Returns:
            the motion at the model's frame rate, codes `[1, P]` of its end, the last of them for all rows
            `[B, overlap]`.
        """
        motion = check_motion(motion, "prefix").resample(self.fps)
        codes = self._codes(motion, -self.lm.config.context_codes, "prefix")[None]
        last = codes[:, -overlap:]
        return motion, codes, last.expand(rows, *last.shape[1:])

    def continued(self, prefix: Motion, codes: Tensor, new: Tensor, frames: int) -> Motion:
        """`prefix`, followed by the motion of new tokens `[N]`.

        Args:
            codes: of the end of `prefix`, `[1, P]`; decoded together with the new ones to avoid a seam.
            frames: maximum number of new frames.
        """
        shared = codes.shape[1] * self.tokenizer.config.frames_per_token
        return continue_from(prefix, self.decode(torch.cat([codes[0].to(new), new]), shared + frames), shared)

    def _codes(self, motion: Motion, count: int, name: str) -> Tensor:
        """Encode at most `count` whole codes of the beginning of a motion, or of its end if `count` is negative."""
        hop = self.tokenizer.config.frames_per_token
        if motion.num_frames < hop:
            raise ValueError(f"{name} must have at least {hop} frames at {self.fps:g} fps, got {motion.num_frames}")
        frames = min(motion.num_frames // hop, abs(count)) * hop
        part = motion.slice(0, frames) if count > 0 else motion.slice(motion.num_frames - frames, motion.num_frames)
        features = self.tokenizer.representation.encode(part.canonicalize())
        encode = self.tokenizer.encode_latents if self.continuous else self.tokenizer.encode
        return encode(features[None].to(self.tokenizer.device))[0].to(self.device)

    def part_codes(self, parts: Sequence[tuple[str, float]]) -> list[int]:
        """Number of codes of each part of a timeline; rounding errors do not accumulate over the parts."""
        check_parts(parts)
        counts, sofar, done = [], 0.0, 0
        for number, (_, seconds) in enumerate(parts):
            sofar += seconds
            border = sofar * self.codes_per_second
            # the last border is rounded up to cover the whole length, inner ones to the nearest code
            border = math.ceil(border - 1e-6) if number == len(parts) - 1 else round(border)
            counts.append(max(border - done, 1))
            done += counts[-1]
        return counts

    def read_parts(
        self, parts: Sequence[tuple[str, float]], counts: Sequence[int], seeds: Sequence[int]
    ) -> list[Part]:
        """Parts of a timeline with one row per seed; the seeds of part n are derived from these and n."""
        rows = []
        for number, ((text, _), count) in enumerate(zip(parts, counts, strict=True)):
            features, mask = self.read([text])
            own = [sample_seed(seed, number) for seed in seeds]
            rows.append(Part(features.expand(len(seeds), -1, -1), mask.expand(len(seeds), -1), count, own))
        return rows


def check_defaults(
    defaults: Mapping[str, Any] | None, continuous: bool, name: str = "pipeline defaults"
) -> dict[str, Any]:
    """The checked default options of a pipeline with a language model, without those that are None.

    Args:
        continuous: whether it has a flow head.
        name: name of the mapping in errors.

    Raises:
        ValueError: if it is not a mapping, for unknown options, and for values that no call would accept.
    """
    known = FLOW_DEFAULTS if continuous else DEFAULTS
    if not isinstance(defaults, Mapping | None):
        raise ValueError(f"{name} must be a mapping of options, got {defaults!r}")
    if set(defaults or {}) - set(known):
        raise unknown_key_error(name, set(defaults or {}) - set(known), known)
    own = {option: value for option, value in (defaults or {}).items() if value is not None}
    # checks of values are those of a call
    chosen = {**known, **own}
    fields = {option: value for option, value in chosen.items() if option not in _NOT_SAMPLING and value is not None}
    if continuous:
        FlowSampling(**fields)
    else:
        Sampling(**fields)
    check_bounds(chosen)
    return own


def check_bounds(options: Mapping[str, Any]) -> None:
    """Raise `ValueError` for default lengths, in seconds, that no call would accept."""
    for name in ("default_seconds", "max_seconds", "transition"):
        check_seconds(options.get(name), name)
    if check_number("min_seconds", options["min_seconds"]) > options["max_seconds"]:
        raise ValueError(
            f"min_seconds must be at most max_seconds, {options['max_seconds']!r}, got {options['min_seconds']!r}"
        )


def write_pipeline_settings(folder: str | Path, defaults: Mapping[str, Any], kind: str | None = None) -> None:
    """Write the `pipeline.json` of a folder; `kind` is None for a tokenizer with a language model."""
    settings: dict[str, Any] = {"format": 1, "motionmillion": motionmillion.__version__}
    settings |= {"kind": kind} if kind else {}
    settings["defaults"] = dict(defaults)
    write_text(json.dumps(settings, indent=2) + "\n", Path(folder) / "pipeline.json")


def check_parts(parts: Sequence[tuple[str, float]]) -> None:
    """Raise `ValueError` unless `parts` are pairs of a text with words and seconds."""
    if isinstance(parts, str) or not parts or not all(isinstance(p, tuple | list) and len(p) == 2 for p in parts):
        raise ValueError(f'parts must be pairs of text and seconds, got {parts!r}; try [("a person walks", 4)]')
    check_texts([text for text, _ in parts])
    for number, (_, seconds) in enumerate(parts):
        check_number(f"seconds of part {number}", seconds)
        check_seconds(seconds, f"seconds of part {number}")


def check_seconds(seconds: float | None, name: str = "seconds") -> None:
    """Raise `ValueError` unless `seconds` is None or within 0..MAX_SECONDS."""
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 < seconds <= MAX_SECONDS):
        hint = "; a timeline can be longer" if name == "seconds" else ""
        raise ValueError(f"{name} must be above 0 and at most {MAX_SECONDS:g}, got {seconds!r}{hint}")


def check_motion(motion: Any, name: str) -> Motion:
    """Return `motion` if it is a `Motion`; raises `ValueError` otherwise."""
    if not isinstance(motion, Motion):
        raise ValueError(f"{name} must be a Motion, got {shown(motion)}; read a file with Motion.load")
    return motion


def sample_seed(seed: int, sample: int) -> int:
    """Seed of sample number `sample` of a prompt; sample 0 has `seed` itself.

    Raises:
        ValueError: unless `seed` is in 0..2**63-1.
    """
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number in 0..2**63-1, got {seed!r}")
    if sample == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{sample}".encode()).digest()[:4], "big")
