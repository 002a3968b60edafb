"""The steps that all calls of a pipeline share: options, lengths, text to features, motion to codes, tokens to motion.

`CodesSteps` holds the models and these steps; `motionmillion.pipeline.codes.CodesPipeline` combines them.

With a flow head, codes and tokens are latents `[..., Q]` throughout.

Letters: B batch, L text length, C text feature size, P codes of a prefix, N tokens, Q latent channels.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from motionmillion.kinematics.joining import continue_from
from motionmillion.lm import MotionLM
from motionmillion.lm.generation.timeline import Part
from motionmillion.motion import Motion
from motionmillion.pipeline.base import MotionPipeline, check_motion, check_parts, sample_seed
from motionmillion.pipeline.options import CodesOptions, FlowHeadOptions
from motionmillion.text.encoder import TextEncoder
from motionmillion.tokenizer import MotionTokenizer

_DECODED_AT_ONCE = 256
"""Chunk size of the tokenizer's decoder, in codes."""


class CodesSteps(MotionPipeline):
    """A text encoder, a language model and a tokenizer that match, and the steps between them."""

    def __init__(
        self,
        tokenizer: MotionTokenizer,
        lm: MotionLM,
        text_encoder: TextEncoder,
        defaults: Mapping[str, Any] | None = None,
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
        self.tokenizer, self.lm, self.text_encoder = tokenizer.eval(), lm.eval(), text_encoder
        kind = FlowHeadOptions if self.continuous else CodesOptions
        self.default_options: CodesOptions | FlowHeadOptions = kind.from_defaults(defaults)

    @property
    def device(self) -> torch.device:
        return self.lm.device

    @property
    def fps(self) -> float:
        return self.tokenizer.representation.fps

    @property
    def codes_per_second(self) -> float:
        return self.fps / self.tokenizer.config.frames_per_token

    def options(self, given: Mapping[str, Any], timed: bool = False) -> CodesOptions | FlowHeadOptions:
        """The checked options of a call over the defaults, see `Options.updated`."""
        return self.default_options.updated(given, timed)

    def decoding(self, options: CodesOptions | FlowHeadOptions) -> dict[str, Any]:
        """Arguments of `MotionLM.generate` except the lengths."""
        lm: Any = self.lm  # with a flow head, the default shift is that of the training
        sampling = options.sampling(lm.flow.shift) if isinstance(options, FlowHeadOptions) else options.sampling()
        return {"sampling": sampling, "cache": options.cache, "compiled": options.compiled, "int8": options.int8}

    def frames(self, options: CodesOptions | FlowHeadOptions) -> int:
        """Number of frames of a motion, or the maximum if the model ends it."""
        longest = options.max_seconds if options.seconds is None else options.seconds
        return max(round(longest * self.fps), 1)

    def lengths(self, options: CodesOptions | FlowHeadOptions) -> dict[str, int]:
        """`min_new_tokens` and `max_new_tokens` for a motion of `seconds`, or from the bounds if None."""
        shortest, longest = options.min_seconds, options.max_seconds
        if options.seconds is not None:
            shortest = longest = options.seconds
        # round up, so that the last code covers the requested length; frames are cut after decoding
        most, least = (max(math.ceil(length * self.codes_per_second - 1e-6), 1) for length in (longest, shortest))
        return {"max_new_tokens": most, "min_new_tokens": least}

    def decode(self, tokens: Tensor, frames: int | None = None) -> Motion:
        """Decode one row of tokens `[N]` or latents `[N, Q]` up to its end, at most `frames` frames."""
        codes = self.lm.motion_only(tokens)[None].to(self.tokenizer.device)
        decode = self.tokenizer.decode_latents if self.continuous else self.tokenizer.decode
        features = decode(codes, chunk=_DECODED_AT_ONCE)[0]
        return self.tokenizer.representation.decode(features[:frames].float().cpu())

    def overlap(self, options: CodesOptions | FlowHeadOptions) -> int:
        """Number of context codes from the preceding motion, from the option `transition`."""
        return min(max(round(options.transition * self.codes_per_second), 1), self.lm.config.context_codes - 1)

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
