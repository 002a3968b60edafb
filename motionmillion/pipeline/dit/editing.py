"""The calls of a `DiTPipeline` that keep given frames: inbetweening, and editing of a motion.

    motion = pipe.inbetween("a person turns around", start=walk, end=run, seconds=2)
    motion = pipe.edit(motion, "a person claps", frames=(20, 60), joints=["left_arm", "right_arm"])

Masked flow sampling (inpainting): kept values follow the straight path from noise to their final values, and the model
generates the others with them as context. Remaining jumps at the seams are blended away
(`motionmillion.kinematics.joining`).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from motionmillion.configuration import check_number, check_whole
from motionmillion.kinematics.joining import fill_in, place
from motionmillion.motion import Motion
from motionmillion.pipeline.codes_steps import sample_seed
from motionmillion.pipeline.dit.keeping import Change, arrived, bridged, check_span, edited, joint_numbers
from motionmillion.pipeline.dit.steps import DiTParts
from motionmillion.pipeline.dit.windows import floor_of, last_frames, lowered, window_sizes
from motionmillion.pipeline.options import no_lengths
from motionmillion.text.encoder import check_texts


class DiTEditing(DiTParts):
    """Editing methods of `DiTPipeline`; the options are described in that class."""

    def inbetween(  # type: ignore[override]
        self,
        prompt: str,
        start: Motion,
        end: Motion,
        seconds: float,
        candidates: int = 4,
        seed: int = 0,
        keep_place: bool = False,
        **options: Any,
    ) -> Motion:
        """A motion that begins with `start`, ends with `end`, and follows the prompt in between.

        `end` keeps its poses; it is moved along the ground and turned to where a free continuation of `start` arrives.
        Of several continuations the one whose pose there is closest to that of `end` is used. Then the frames in
        between are generated with both ends as context.

        Args:
            seconds: length of the new motion in between.
            candidates: number of continuations to sample.
            keep_place: leave `end` where it is; no continuations are sampled then.
            options: see the class.

        Raises:
            ValueError: if it does not fit into one window of the model, and for options out of range.
        """
        if not isinstance(prompt, str):
            raise ValueError(f"prompt must be one text, got {prompt!r}")
        text, settings = check_texts(prompt)[0], self.settings(options)
        check_number("seconds", seconds)
        if not isinstance(keep_place, bool):
            raise ValueError(f"keep_place must be True or False, got {keep_place!r}")
        count = self.frames(seconds, options)
        check_whole("candidates", candidates, 1)
        start, end = self.fitted(start, "start"), self.fitted(end, "end")
        # context on both sides, moved to the floor as in training
        first = lowered(last_frames(start, settings.overlap), floor_of(start))
        last = lowered(end.slice(0, settings.overlap), floor_of(end))
        spare = self.dit.config.max_frames - first.num_frames - last.num_frames
        if count > spare:
            raise ValueError(f"seconds must be at most {spare / self.fps:g} between two motions, got {seconds!r}")
        told = (text, count)
        if not keep_place:
            seeds = [sample_seed(seed, n) for n in range(candidates)]
            seed, last = arrived(self, first, last, told, seeds, settings)
        whole = bridged(self, first, last, told, seed, settings)
        # back to where `start` ends
        whole = place(whole, first.num_frames - 1, start, start.num_frames - 1)
        between = whole.slice(first.num_frames, first.num_frames + count)
        return fill_in(start, between, end, moves=not keep_place).replace(caption=text)

    def edit(  # type: ignore[override]
        self,
        motion: Motion,
        prompt: str,
        frames: tuple[int, int] | None = None,
        joints: str | Sequence[str] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Motion:
        """Regenerate some frames or joints of a motion according to the prompt; the rest stays exactly as it is.

        The result has the model's frame rate; a motion with another one is resampled first, with a warning. Every
        frame is decoded by itself, whatever `recovery` is.

        Args:
            frames: first frame to change and the one after the last, counted in `motion`; None changes all.
            joints: names of joints or of `motionmillion.pipeline.dit.keeping.GROUPS` to change; None changes all. The
                pelvis represents the position and orientation of the whole body.
            options: see the class; `strength` below 1 starts from the given motion.

        Raises:
            ValueError: if nothing is to be kept, for frames out of range, and unknown joints.
        """
        if not isinstance(prompt, str):
            raise ValueError(f"prompt must be one text, got {prompt!r}")
        text, settings = check_texts(prompt)[0], self.settings(options, starts=True)
        no_lengths(options)
        if self.dit.config.features != "rot276":
            raise ValueError(f"edit must be called on a model of rot276, got one of {self.dit.config.features!r}")
        if frames is None and joints is None:
            raise ValueError("frames or joints must be given, got neither; a call makes a new motion")
        given = motion
        motion = self.fitted(motion, "motion")
        span = check_span(frames, given, motion)
        numbers, floor = joint_numbers(joints), floor_of(motion)
        settings = dataclasses.replace(settings, recovery="direct")
        longest = self.dit.config.max_frames
        # each window has `keep` frames of context on both sides
        keep = settings.overlap
        begin = span[0]
        for number, size in enumerate(window_sizes(span[1] - span[0], keep, keep, longest - keep)):
            change = Change(text, sample_seed(seed, number), begin, begin + size, span[1], numbers)
            motion = edited(self, motion, floor, change, settings)
            begin += size
        return motion.replace(caption=text)
