"""The calls of a `DiTPipeline` that keep what is there: what lies between two motions, and changes to one.

    motion = pipe.inbetween("a person turns around", start=walk, end=run, seconds=2)
    motion = pipe.edit(motion, "a person claps", frames=(20, 60), joints=["left_arm", "right_arm"])

Masked flow sampling: the numbers that are kept follow the straight path from noise to where they are, and the model
makes the others while it sees them. What it then leaves of a jump is bent away (`motionmillion.kinematics.joining`).
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
    """What a `DiTPipeline` does with motions that are there; its options are in the docstring of that class."""

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
        """A motion that begins with `start`, ends with `end`, and in between does what the prompt says.

        `end` keeps its poses, and is moved along the ground and turned to where a free continuation of `start`
        arrives; of several the one is taken whose pose there is nearest to that of `end`. Then what lies between is
        made with both ends in view.

        Args:
            seconds: what lies between.
            candidates: continuations to draw.
            keep_place: leave `end` where it stands; nothing is drawn ahead then.
            options: see the class.

        Raises:
            ValueError: if it is longer than the model's windows, and for options out of range.
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
        """The motion with some frames, or some joints, made anew as the prompt says; the rest stays exactly.

        The result has the model's frame rate; another one is resampled first, with a warning. Every frame is read by
        itself, whatever `recovery` is.

        Args:
            frames: first frame to change and the one after the last, counted in `motion`; None changes all.
            joints: names of joints or of `motionmillion.pipeline.dit.keeping.GROUPS` to change; None changes all. The
                pelvis stands for where the body is and how it is turned.
            options: see the class; `strength` below 1 starts from what was there.

        Raises:
            ValueError: if nothing is to be kept, for frames that are not there, and unknown joints.
        """
        if not isinstance(prompt, str):
            raise ValueError(f"prompt must be one text, got {prompt!r}")
        text, settings = check_texts(prompt)[0], self.settings(options, starts=True)
        no_lengths(options)
        if self.dit.config.features != "rot276":
            raise ValueError(f"edit must be asked of a model of rot276, got one of {self.dit.config.features!r}")
        if frames is None and joints is None:
            raise ValueError("frames or joints must be given, got neither; a call makes a new motion")
        given = motion
        motion = self.fitted(motion, "motion")
        span = check_span(frames, given, motion)
        numbers, floor = joint_numbers(joints), floor_of(motion)
        settings = dataclasses.replace(settings, recovery="direct")
        longest = self.dit.config.max_frames
        # windows keep frames of both sides in view
        keep = settings.overlap
        begin = span[0]
        for number, size in enumerate(window_sizes(span[1] - span[0], keep, keep, longest - keep)):
            change = Change(text, sample_seed(seed, number), begin, begin + size, span[1], numbers)
            motion = edited(self, motion, floor, change, settings)
            begin += size
        return motion.replace(caption=text)
