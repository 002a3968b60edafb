"""DiTPipeline: text, reference motion, or both, to motion; and editing of given motions.

    pipe = MotionPipeline.from_pretrained("mini-dit")            # a DiTPipeline, because of its folder
    motion = pipe("a person waves", seconds=4)[0]
    motion = pipe("a person waves", reference=rough)[0]          # follows `rough` if the gate finds it good enough
    motion = pipe("a person waves", reference=rough, strength=0.6, reference_mode="text")[0]
    motion = pipe.edit(motion, "a person claps", frames=(20, 60), joints=["left_arm", "right_arm"])

`timeline`, `inbetween`, `stream`, prefixes and saving are those of every `MotionPipeline`. A folder holds
`pipeline.json` (with `"kind": "dit"`), `dit/` and `text_encoder.json`.

Unusual: a DiT generates all frames at once, so it does not choose the length of a motion, and `stream` yields whole
windows. As in every pipeline, the result of a row does not depend on the rest of the batch.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from motionmillion.configuration import check_whole
from motionmillion.kinematics.joining import joined
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.motion import Motion
from motionmillion.pipeline.base import batches, check_parts, rewritten, sample_seed
from motionmillion.pipeline.choosing import best_fit
from motionmillion.pipeline.dit.editing import DiTEditing
from motionmillion.pipeline.dit.gate import Decision, Gate
from motionmillion.pipeline.dit.references import check_modes, check_start, check_told
from motionmillion.pipeline.dit.steps import Settings
from motionmillion.pipeline.dit.tracks import Track
from motionmillion.pipeline.dit.windows import Row, floor_of, last_frames, lowered
from motionmillion.pipeline.options import DiTOptions, leave_out
from motionmillion.pipeline.ways import Way
from motionmillion.text.encoder import TextEncoder, check_texts
from motionmillion.text.rewriting import PromptRewriter


class DiTPipeline(DiTEditing):
    """Text encoder and flow-matching transformer in one object.

    Calls that take `options` accept

    | option | meaning |
    |---|---|
    | steps, solver, shift | see `motionmillion.lm.flow.FlowSampling`; the default shift is that of the training |
    | guidance_scale, guidance_interval | classifier-free guidance, how closely to follow the text, see there |
    | temperature | scale of the noise; 0 gives the same result for every seed |
    | candidates | motions sampled for each one asked for, of which the one that fits the prompt best is kept, see \
`motionmillion.pipeline.choosing`; of calls and edits |
    | strength | noise level, at most 1, at which to start from a motion (the reference, or the one being edited) |
    | denoising_strength | noise level of the first step, though it starts from pure noise; released ViMoGen: 0.7 |
    | recovery | "direct" decodes every frame by itself, "velocity" integrates velocities, as ViMoGen's renderer does |
    | smoothing | Gaussian smoothing over time, sigma in frames; 0 is off, ViMoGen uses 1 |
    | default_seconds | length of motions for which neither `seconds` nor a reference gives one |
    | min_seconds, max_seconds | bounds of lengths that follow from a reference |
    | transition | seconds of the preceding motion that a window, a part or a continuation uses as context |
    | rounds | resampling rounds per step, so that new frames fit kept ones better; the cost grows in proportion |
    | reference_weight | weight of the reference where `reference_mode` is "both" |
    | compiled | run the transformer through torch.compile; worth it for many motions |

    Args:
        dit, text_encoder: the parts.
        defaults: default values of all options but `strength` and `compiled`.

    `gate` decides whether references are used, see `motionmillion.pipeline.dit.gate`; assign another one to change the
    rule.
    """

    kind = "dit"
    noun = "a DiT"

    def __init__(self, dit: MotionDiT, text_encoder: TextEncoder, defaults: Mapping[str, Any] | None = None) -> None:
        super().__init__(dit, text_encoder, defaults)
        self.gate = Gate()

    def __call__(
        self,
        prompts: str | list[str],
        seconds: float | None = None,
        num_samples: int = 1,
        seed: int = 0,
        *,
        batch_size: int = 32,
        prefix: Motion | None = None,
        rewriter: PromptRewriter | None = None,
        reference: Motion | Sequence[Motion | None] | None = None,
        reference_mode: str | Sequence[str] = "auto",
        path: Any = None,
        speed: float | None = None,
        turn: float | None = None,
        facing: float | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate motions for prompts, `num_samples` consecutive ones for each.

        A motion begins near the origin, on the floor and facing +z (as far as the model does so), wherever its
        reference is; `motionmillion.kinematics.joining.place` can move it there. With a prefix it continues from the
        prefix.

        Args:
            prompts: sentences; "" to be conditioned on the reference alone.
            seconds: length of every motion; None takes that of its reference (even if the gate rejects it), else
                `default_seconds`.
            seed: the same seed gives the same motions.
            batch_size: rows generated together, or with candidates those of one prompt; bounds memory and does not
                change results.
            prefix: a motion to continue; the result begins with it, and `seconds` counts the new part only.
            rewriter: rewrites each prompt before it is encoded, see `motionmillion.text.rewriting`.
            reference: a motion for all prompts, or one (or None) per prompt; of any frame rate, and any skeleton that
                can be retargeted. A longer one is truncated; after the end of a shorter one, the text alone counts.
            reference_mode: "motion" is conditioned on the reference, "text" on the text, "both" on a mixture; "auto"
                lets `gate` decide between the first two. One for all prompts, or one per prompt.
            path, speed, turn, facing: where to go, see `motionmillion.pipeline.ways`; by masked sampling: the place of
                the pelvis on the floor is given in every frame, its heading (for turn in place and facing) twice a
                second. Without prefix and reference.
            options: see the class.

        Raises:
            ValueError: for prompts without words, options out of range, and references that the model cannot follow.
        """
        texts, references = check_told(prompts, reference)
        # checked before calls of a rewriter or judge, which can be slow or cost money
        way = Way.of(path, speed, turn, facing, seconds)
        chosen = self.options({**options, "seconds": way.seconds if way else seconds})
        self.check(references, chosen)
        self._check_way(way, prefix, references)
        texts = rewritten(texts, rewriter)
        rows = list(zip(texts, references, self.modes(texts, references, reference_mode), strict=True))
        motions = []
        for own_texts, own, own_modes, seeds in batches(rows, num_samples, seed, batch_size):
            motions += self._sample(own_texts, seeds, chosen, prefix, own, own_modes, way)
        return motions

    def sample(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        seconds: float | None = None,
        prefix: Motion | None = None,
        reference: Motion | Sequence[Motion | None] | None = None,
        reference_mode: str | Sequence[str] = "auto",
        path: Any = None,
        speed: float | None = None,
        turn: float | None = None,
        facing: float | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate one batch: a motion per prompt, each with its own seed; other arguments as in a call."""
        texts, references = check_told(list(prompts), reference)
        way = Way.of(path, speed, turn, facing, seconds)
        chosen = self.options({**options, "seconds": way.seconds if way else seconds})
        self.check(references, chosen)
        self._check_way(way, prefix, references)
        modes = self.modes(texts, references, reference_mode)
        return self._sample(texts, seeds, chosen, prefix, references, modes, way)

    def _sample(
        self,
        texts: Sequence[str],
        seeds: Sequence[int],
        options: DiTOptions,
        prefix: Motion | None,
        references: Sequence[Motion | None],
        modes: Sequence[str],
        way: Way | None = None,
    ) -> list[Motion]:
        """One motion per prompt, the best of several where there are candidates."""
        many = options.candidates or 1
        if many > 1:
            alone = dataclasses.replace(options, candidates=1)
            given, found = 0.0 if prefix is None else prefix.seconds, []
            for text, seed, reference, mode in zip(texts, seeds, references, modes, strict=True):
                count = many if text else 1  # without words there is nothing to choose by
                drawn = [sample_seed(seed, n) for n in range(count)]
                motions = self._sample([text] * count, drawn, alone, prefix, [reference] * count, [mode] * count, way)
                found.append(best_fit(text, motions, self.text_encoder, self.matcher, given) if text else motions[0])
            return found
        # 1. settings
        settings = self.settings(options, starts=all(each is not None for each in references))
        self._check_lights(references, settings)
        # 2. bring motions to the model's skeleton and frame rate
        guides = self._guides(references)
        before = None if prefix is None else self.fitted(prefix, "prefix")
        rows = []
        for text, seed, guide, mode in zip(texts, seeds, guides, modes, strict=True):
            share = {"text": 0.0, "motion": 1.0, "both": options.reference_weight}[mode]
            frames = self.frames(options, guide)
            check_start(guide, frames, settings, self.fps)
            row = self._row([(text, frames)], seed, settings, before, guide, share)
            row.track = None if way is None else Track.of(way, frames, self.fps)
            rows.append(row)
        # 3. generate
        motions = self._after(before, rows, settings)
        return [motion.replace(caption=text) for text, motion in zip(texts, motions, strict=True)]

    def check(
        self,
        references: Sequence[Motion | None],
        options: DiTOptions | Mapping[str, Any],
    ) -> None:
        """Check the options of a call before any computation, without warnings.

        Args:
            references: one per prompt.
            options: of the call, see `options`; or those that are not the defaults.

        Raises:
            ValueError: for options that do not fit.
        """
        self.settings(options, starts=all(each is not None for each in references), quiet=True)

    def modes(
        self,
        texts: Sequence[str],
        references: Sequence[Motion | None],
        mode: str | Sequence[str] = "auto",
        say: Callable[[int, Decision], None] | None = None,
    ) -> list[str]:
        """The mode "text", "motion" or "both" of each row; the gate decides where `mode` is "auto".

        Args:
            say: callback with the index of each row that the gate decides, and its decision.

        Raises:
            ValueError: for an unknown mode, and for a text or reference that a mode needs and a row lacks.
        """
        modes = check_modes(mode, texts, references, bool(self.dit.config.num_reference_layers))
        open_rows = [row for row, own in enumerate(modes) if own == "auto"]
        if open_rows:
            asked = self.gate([texts[row] for row in open_rows], [references[row] for row in open_rows])
            for row, decision in zip(open_rows, asked, strict=True):
                modes[row] = "motion" if decision.use else "text"
                if say is not None:
                    say(row, decision)
        return modes

    def _check_way(self, way: Way | None, prefix: Motion | None, references: Sequence[Motion | None]) -> None:
        """Raise `ValueError` for a way that the model cannot be held on, or that a motion contradicts."""
        if way is None:
            return
        representation = self.dit.representation
        if not representation.floor_channels:
            raise ValueError(
                f"path must be asked of a DiT of features with floor_channels, got {representation.name!r}"
            )
        if prefix is not None or any(each is not None for each in references):
            raise ValueError("path, speed, turn and facing must come without prefix and reference, got both")

    def _check_lights(self, references: Sequence[Motion | None], settings: Settings) -> None:
        """Raise `ValueError` for a reference that would have no effect."""
        light = not self.dit.config.num_reference_layers
        if light and not settings.starts and any(each is not None for each in references):
            raise ValueError(
                "reference must come with strength below 1 for a text-only model, got one without; such a model "
                "can start from a motion, not follow it"
            )

    def _guides(self, references: Sequence[Motion | None]) -> list[Motion | None]:
        """References on the floor, with the model's skeleton and frame rate; each is fitted once."""
        fitted: dict[int, Motion] = {}
        for motion in references:
            if motion is not None and id(motion) not in fitted:
                own = self.fitted(motion, "reference")
                fitted[id(motion)] = lowered(own, floor_of(own))
        return [None if motion is None else fitted[id(motion)] for motion in references]

    def _row(
        self,
        parts: Sequence[tuple[str, int]],
        seed: int,
        settings: Settings,
        before: Motion | None = None,
        guide: Motion | None = None,
        share: float = 0.0,
    ) -> Row:
        frames = 0 if before is None else before.num_frames
        steps = self.plan(parts, seed, frames, settings.overlap)
        if before is None:
            return Row(steps, guide=guide, share=share)
        return Row(steps, last_frames(before, settings.overlap), floor_of(before), guide, share)

    def _after(self, before: Motion | None, rows: Sequence[Row], settings: Settings) -> list[Motion]:
        """Generate `rows`; each motion is appended to the prefix `before`."""
        made = self.make(rows, settings)
        return made if before is None else [joined([before, motion]) for motion in made]

    def timeline(
        self,
        parts: Sequence[tuple[str, float]],
        num_samples: int = 1,
        seed: int = 0,
        prefix: Motion | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate one motion through several texts, each with its own length; `num_samples` versions of it.

        Args:
            parts: pairs of text and seconds, in order.
            prefix: a motion to continue, as in a call.
            options: see the class.

        Raises:
            ValueError: for parts without words or without length, and options out of range.
        """
        leave_out(options, ("candidates",), "with a timeline, which samples one")
        settings, counts = self.settings(self.options(options, timed=True)), self._part_frames(parts)
        check_whole("num_samples", num_samples, 1)
        before = None if prefix is None else self.fitted(prefix, "prefix")
        rows = [self._row(counts, sample_seed(seed, n), settings, before) for n in range(num_samples)]
        motions = self._after(before, rows, settings)
        return [motion.replace(caption="; ".join(text for text, _ in parts)) for motion in motions]

    def _part_frames(self, parts: Sequence[tuple[str, float]]) -> list[tuple[str, int]]:
        """Texts and frames of the parts of a timeline; rounding errors do not accumulate over the parts."""
        check_parts(parts)
        found, sofar, done = [], 0.0, 0
        for text, seconds in parts:
            sofar += seconds
            # rounding the cumulative length keeps the total exact
            frames = max(round(sofar * self.fps) - done, 1)
            found.append((text.strip(), frames))
            done += frames
        return found

    def stream(
        self,
        prompt: str | Sequence[tuple[str, float]],
        seconds: float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Iterator[Motion]:
        """Yield a motion window by window; concatenated, the pieces are `pipe(prompt)`.

        With the option `candidates` they are `pipe(prompt, candidates=1)`.

        Args:
            prompt: a sentence, or the parts of a timeline.
            options: see the class.
        """
        leave_out(options, ("candidates",), "with a stream, which samples one")
        chosen = self.options({**options, "seconds": seconds}, timed=not isinstance(prompt, str))
        settings = self.settings(chosen)
        if isinstance(prompt, str):
            caption = check_texts(prompt)[0]
            counts = [(caption, self.frames(chosen))]
        else:
            if seconds is not None:
                raise ValueError(f"seconds must be left out where the parts have their own, got {seconds!r}")
            counts, caption = self._part_frames(prompt), "; ".join(text for text, _ in prompt)
        row = self._row(counts, sample_seed(seed, 0), settings)
        # a generator: options are checked before the first window is requested
        return (piece.replace(caption=caption) for made in self.follow([row], settings) for _, piece in made)

    @classmethod
    def load(
        cls,
        folder: Path,
        defaults: Mapping[str, Any] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        quantization: str | None = None,
    ) -> "DiTPipeline":
        """Load the pipeline in a folder; `MotionPipeline.from_pretrained` calls it for a DiT.

        Raises:
            ValueError: if a part of it is missing or damaged, and for low-bit weights.
        """
        if quantization is not None:
            raise ValueError(f"quantization must be left out for a DiT, got {quantization!r}; use bfloat16")
        dit = MotionDiT.from_pretrained(folder / "dit", dtype=dtype)
        return cls(dit, TextEncoder.from_pretrained(folder), defaults).to(device)

    def weighted_parts(self) -> dict[str, PreTrainedModel]:
        return {"dit": self.dit}
