"""The steps that all calls of a `DiTPipeline` share: options, lengths, encoding of texts and motions, and windows.

Letters: B batch, T frames, D feature size, K kept frames, L text length, C text feature size.
"""

import dataclasses
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from motionmillion.features import get
from motionmillion.kinematics.joining import extended, joined
from motionmillion.kinematics.retarget import on_smpl22
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.lm.dit.sampling import Conditions, sample_motion
from motionmillion.lm.flow import FlowSampling
from motionmillion.motion import Motion
from motionmillion.pipeline.base import MotionPipeline, check_motion, sample_seed
from motionmillion.pipeline.dit.windows import Row, Window, lowered, smoothed, window_sizes
from motionmillion.pipeline.options import RECOVERIES, DiTOptions
from motionmillion.text.encoder import TextEncoder


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of a call that follow from its options: how windows are sampled and decoded.

    Args:
        options: of the call.
        sampling: of the solver.
        overlap: frames that a window keeps from the previous one.
        starts: whether windows start from a motion, noised according to the sampling's strength.
        recovery: see `DiTPipeline`.
    """

    options: DiTOptions
    sampling: FlowSampling
    overlap: int
    starts: bool
    recovery: str


class DiTSteps(MotionPipeline):
    """A text encoder and a transformer that match, and the steps between them."""

    def __init__(self, dit: MotionDiT, text_encoder: TextEncoder, defaults: Mapping[str, Any] | None = None) -> None:
        if dit.config.text_dim != text_encoder.dim:
            raise ValueError(
                f"dit must read the text encoder's features, got a width of {dit.config.text_dim} for "
                f"{text_encoder.dim}"
            )
        self.dit, self.text_encoder = dit.eval(), text_encoder
        self.default_options: DiTOptions = DiTOptions.from_defaults(defaults)
        self.default_options.check_features(dit.config.features)
        self._compiled: Any = None
        self._warned = False  # whether `_warn` has warned about a distilled model

    @property
    def device(self) -> torch.device:
        return self.dit.device

    @property
    def fps(self) -> float:
        return self.dit.representation.fps

    # options and lengths

    def options(self, given: Mapping[str, Any], timed: bool = False) -> DiTOptions:
        """The checked options of a call over the defaults, see `Options.updated`."""
        options = self.default_options.updated(given, timed)
        options.check_features(self.dit.config.features)
        return options

    def settings(self, options: DiTOptions | Mapping[str, Any], starts: bool = False, quiet: bool = False) -> Settings:
        """The settings that the options of a call result in.

        Args:
            options: of a call, see `options`; or those that are not the defaults.
            starts: whether there is a motion to start from, which `strength` needs.
            quiet: suppress warnings.

        Raises:
            ValueError: for options that do not fit.
        """
        options = options if isinstance(options, DiTOptions) else self.options(options)
        starting = options.strength != 1
        if starting and not starts:
            raise ValueError(
                f"strength must be 1 or left out without a motion to start from, got {options.strength!r}"
            )
        sampling = options.sampling(self.dit.config.flow_matching.shift)
        if not quiet:
            self._warn(sampling)
        patch = self.dit.config.patch  # only whole patches are kept: a partly kept one fits badly
        overlap = max(math.ceil(round(options.transition * self.fps) / patch), 1) * patch
        overlap = min(overlap, max(self.dit.config.max_frames // 2, 1))
        return Settings(options, sampling, overlap, starting, options.recovery)

    def _warn(self, sampling: FlowSampling) -> None:
        """Warn about guidance without text dropout, and once about a distilled model used with other settings."""
        # a distilled model: its settings are fixed
        made = self.dit.config.few_step
        if made is not None:
            asked = (sampling.steps, sampling.solver, float(sampling.shift), sampling.guided)
            if asked != (made["steps"], "euler", float(made["shift"]), False) and not self._warned:
                self._warned = True
                warnings.warn(
                    f"the model was distilled for steps={made['steps']}, solver='euler', shift={made['shift']:g} and "
                    "guidance_scale=1 (its guidance is built in); other values make its motions worse",
                    stacklevel=5,
                )
        elif sampling.guided and not self.dit.config.text_dropout:
            warnings.warn(
                f"guidance_scale {sampling.guidance_scale:g} cannot work: the model was trained without "
                "text dropout; 1 turns guidance off",
                stacklevel=5,
            )

    def frames(self, options: DiTOptions, guide: Motion | None = None) -> int:
        """New frames of a motion of `seconds`, or by default of the reference's or default length, within bounds."""
        if options.seconds is not None:
            return max(round(options.seconds * self.fps), 1)
        length = options.default_seconds if guide is None else guide.seconds
        return max(round(min(max(length, options.min_seconds), options.max_seconds) * self.fps), 1)

    # encoding of texts and motions

    def fitted(self, motion: Any, name: str) -> Motion:
        """Convert a motion to SMPL22's joints and the model's frame rate, with a warning if anything changes.

        Raises:
            ValueError: if it is not a motion, and for joints that cannot be mapped.
        """
        motion, notes = check_motion(motion, name), []
        if motion.skeleton.names != self.dit.representation.skeleton.names:
            notes.append(f"mapped from {len(motion.skeleton)} joints onto SMPL's 22")
            motion = on_smpl22(motion)
        if motion.fps != self.fps:
            notes.append(f"resampled from {motion.fps:g} to {self.fps:g} frames per second")
        if notes:
            warnings.warn(f"{name} was {' and '.join(notes)}", stacklevel=4)
        return motion.resample(self.fps)

    def encode(self, motion: Motion) -> Tensor:
        """Normalised features `[T, D]`, one per frame; the motion is extrapolated by a frame for the last velocity."""
        features = self.dit.representation.encode(extended(motion, 1))[: motion.num_frames]
        return self.dit.normalize(features.to(self.device))

    def all_but_last_step(self, frames: int) -> Tensor:
        """Mask `[T, D]` of the features of kept frames: all but the velocity from the last one to the next frame."""
        keep = torch.ones(frames, self.dit.config.motion_dim, dtype=torch.bool)
        for name in self.dit.representation.ahead:
            keep[-1, self.dit.representation.layout[name]] = False
        return keep.to(self.device)

    # windows

    def sample_windows(self, windows: Sequence[Window], settings: Settings) -> list[Motion]:
        """Generate windows as one batch; returns their motions."""
        dit: Any = self.dit
        if settings.options.compiled:
            self._compiled = dit = self._compiled or torch.compile(self.dit)
        frames = [window.frames for window in windows]
        known = keep = start = None
        if any(window.known is not None for window in windows):
            known = self._stacked([window.known for window in windows], frames)
            keep = self._stacked([None if w.keep is None else w.keep.float() for w in windows], frames).bool()
        if settings.starts:
            start = self._stacked([window.start for window in windows], frames)
        conditions, seeds = self._conditions(windows), [window.seed for window in windows]
        kept: dict[str, Any] = (
            dict(known=known, keep=keep, rounds=settings.options.rounds) if known is not None else {}
        )
        made = sample_motion(dit, conditions, frames, seeds, settings.sampling, start=start, **kept)
        # the same features, decoded directly or by integrating velocities
        representation = get(self.dit.config.features + RECOVERIES[settings.recovery])
        features = [row[:count].cpu() for row, count in zip(made, frames, strict=True)]
        return [representation.decode(smoothed(own, settings.options.smoothing)) for own in features]

    def _stacked(self, rows: Sequence[Tensor | None], frames: Sequence[int]) -> Tensor:
        """Pad rows `[K, D]` (None is all zero) to `[B, T, D]`, T the longest of `frames`."""
        like = torch.zeros(0, self.dit.config.motion_dim, device=self.device)
        stacked = pad_sequence([like if row is None else row.to(like) for row in rows], batch_first=True)
        return F.pad(stacked, (0, 0, 0, max(frames) - stacked.shape[1]))

    def _conditions(self, windows: Sequence[Window]) -> Conditions:
        # every distinct text is encoded once, then expanded to rows
        texts = list(dict.fromkeys(window.text for window in windows if window.text))
        features = torch.zeros(1, 1, self.dit.config.text_dim, device=self.device)
        mask = torch.zeros(1, 1, dtype=torch.bool, device=self.device)
        if texts:
            features, mask = self.read(texts)
        rows = torch.tensor([texts.index(window.text) if window.text else 0 for window in windows])
        said = torch.tensor([bool(window.text) for window in windows], device=self.device)
        features, mask = features[rows.to(self.device)], mask[rows.to(self.device)] & said[:, None]
        references = [window.reference for window in windows]
        if all(reference is None for reference in references):
            return Conditions(features, mask)
        frames = [0 if reference is None else len(reference) for reference in references]
        stacked = self.dit.reference_of(self._stacked(references, frames))
        there = torch.arange(max(frames), device=self.device) < torch.tensor(frames, device=self.device)[:, None]
        shares = torch.tensor([window.share for window in windows], device=self.device)
        return Conditions(features, mask, stacked, there, shares)

    def plan(
        self, parts: Sequence[tuple[str, int]], seed: int, before: int, overlap: int
    ) -> list[tuple[str, int, int]]:
        """Text, new frames and seed of each window of a motion.

        Args:
            parts: texts and their frames; part n has seeds derived from `seed` and n.
            before: frames of the motion that it continues.
            overlap: frames that windows share.
        """
        steps, longest = [], self.dit.config.max_frames
        for number, (text, frames) in enumerate(parts):
            own = sample_seed(seed, number)
            sizes = window_sizes(frames, min(before, overlap), overlap, longest)
            steps += [(text, size, sample_seed(own, window)) for window, size in enumerate(sizes)]
            before += frames
        return steps

    def follow(self, rows: Sequence[Row], settings: Settings) -> Iterator[list[tuple[int, Motion]]]:
        """Generate the next window of every unfinished row; yields indices of rows with their new frames."""
        steps = [list(row.steps) for row in rows]
        while any(steps):
            numbers = [number for number, own in enumerate(steps) if own]
            asked = [self._window(rows[number], *steps[number].pop(0), settings) for number in numbers]
            made = self.sample_windows(asked, settings)
            yield [
                (number, rows[number].grow(own, settings.overlap)) for number, own in zip(numbers, made, strict=True)
            ]

    def make(self, rows: Sequence[Row], settings: Settings) -> list[Motion]:
        """Generate all windows; returns the new frames of every row."""
        pieces: list[list[Motion]] = [[] for _ in rows]
        for made in self.follow(rows, settings):
            for number, piece in made:
                pieces[number].append(piece)
        return [joined(own) for own in pieces]

    def _window(self, row: Row, text: str, count: int, seed: int, settings: Settings) -> Window:
        tail = None if row.tail is None else lowered(row.tail, row.floor)
        window = Window(text, seed, count)
        if tail is not None:
            # the kept frames come first
            window.frames += tail.num_frames
            window.known, window.keep = self.encode(tail), self.all_but_last_step(tail.num_frames)
        if row.track is not None:
            window.known, window.keep = row.track.held(self, tail, row.done, count)
        guide = row.guide_after(tail, count)
        if guide is not None:
            features = self.encode(guide)
            if row.share:
                window.reference, window.share = features, row.share
            if settings.starts:
                window.start = features
        return window
