"""Distillation of a MotionDiT: the student takes a few large steps where its teacher takes many small, guided ones.

    distiller = Distiller(teacher, FewStep(steps=4, substeps=8, guidance_scale=2.5))
    batch = distiller.drawn(batch)                   # x, timestep and target instead of labels
    loss = student(**batch).loss

The student's steps are those of `FlowSampling(steps=4)`. The teacher covers one of them in `substeps` Euler steps, and
its mean velocity over them is the student's target. A perfect student reaches in 4 steps what the teacher reaches in
32, with one evaluation per step instead of the two of guidance.

Unusual: guidance is distilled into the student, for rows conditioned on a text; it cannot be changed afterwards.

Letters: B batch, T frames, D feature size, N steps.

Source: progressive distillation (arXiv 2202.00512), in one stage; guidance as in 2210.03142.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from motionmillion.configuration import check_number, check_whole
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.lm.flow import TIMESTEPS, interpolate, shifted

STARTS = ("motion", "teacher")
_CONDITIONS = ("text", "text_mask", "frame_mask", "reference", "reference_mask", "use_reference")


@dataclasses.dataclass(frozen=True)
class FewStep:
    """Options of the distillation.

    Args:
        steps: number of steps N of the student.
        substeps: steps of the teacher within each step of the student.
        guidance_scale: guidance of the teacher; 1 is off.
        shift: of the steps; None takes that of the teacher's training.
        starts: where a step begins: "motion", noised clean motion, or "teacher", the teacher's own path from noise.

    Raises:
        ValueError: for values out of range.
    """

    steps: int = 4
    substeps: int = 8
    guidance_scale: float = 1.0
    shift: float | None = None
    starts: str = "teacher"

    def __post_init__(self) -> None:
        check_whole("steps", self.steps, 1)
        check_whole("substeps", self.substeps, 1)
        check_number("guidance_scale", self.guidance_scale)
        if self.starts not in STARTS:
            raise ValueError(f"starts must be one of {STARTS}, got {self.starts!r}")
        if self.shift is not None and not check_number("shift", self.shift) > 0:
            raise ValueError(f"shift must be above 0, got {self.shift!r}; 1 is off")


class Distiller:
    """Makes training targets for a student from a frozen teacher.

    Raises:
        ValueError: for guidance with a teacher that was trained without text dropout.
    """

    def __init__(self, teacher: MotionDiT, options: FewStep) -> None:
        if options.guidance_scale != 1 and not teacher.config.text_dropout:
            raise ValueError(
                f"guidance_scale must be 1 for a teacher that was trained without text dropout, got "
                f"{options.guidance_scale!r}"
            )
        self.teacher, self.options = teacher.eval().requires_grad_(False), options
        self.shift = teacher.config.flow_matching.shift if options.shift is None else options.shift

    @property
    def made_for(self) -> dict[str, Any]:
        """The `few_step` entry of the student's config."""
        return {"steps": self.options.steps, "shift": self.shift, "guidance_scale": self.options.guidance_scale}

    def drawn(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Replace `labels` `[B, T, D]` of a batch for `MotionDiT.forward` by x, timestep and target."""
        return self._from_motion(batch) if self.options.starts == "motion" else self._on_the_way(batch)

    def loss_counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What `loss_counts` of the student says of `drawn(batch)`."""
        if self.options.starts == "motion":
            return self.teacher.loss_counts(**batch)
        kept = {name: value[: self._kept(value)] for name, value in batch.items()}
        return {name: self.options.steps * count for name, count in self.teacher.loss_counts(**kept).items()}

    def _kept(self, rows: Tensor) -> int:
        """Rows of a batch that are followed from noise."""
        return max(len(rows) // self.options.steps, 1)

    def _from_motion(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One random step for every row, beginning at noised clean motion."""
        rest = dict(batch)
        labels = rest.pop("labels")
        index = torch.randint(self.options.steps, (len(labels),), device=labels.device)
        start, stop = 1 - index / self.options.steps, 1 - (index + 1) / self.options.steps  # [B], before the shift
        sigma, after = shifted(start, self.shift), shifted(stop, self.shift)
        x = interpolate(labels, torch.randn_like(labels), sigma)
        end = self.follow(x, start, stop, batch)
        return {**rest, "x": x, "timestep": TIMESTEPS * sigma, "target": (x - end) / _wide(sigma - after)}

    def _on_the_way(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All N steps of the first B / N rows, beginning at noise; the same cost as `_from_motion`."""
        steps = self.options.steps
        rest = {name: value[: self._kept(value)] for name, value in batch.items()}
        # the clean motion is not needed: the teacher generates its own
        x = torch.randn_like(rest.pop("labels"))
        ones, drawn = x.new_ones(len(x)), []
        for index in range(steps):
            start, stop = ones * (1 - index / steps), ones * (1 - (index + 1) / steps)
            sigma, after = shifted(start, self.shift), shifted(stop, self.shift)
            end = self.follow(x, start, stop, rest)
            drawn.append({"x": x, "timestep": TIMESTEPS * sigma, "target": (x - end) / _wide(sigma - after)})
            x = end
        made = {name: torch.cat([each[name] for each in drawn]) for name in drawn[0]}
        return {name: value.repeat(steps, *[1] * (value.ndim - 1)) for name, value in rest.items()} | made

    @torch.no_grad()
    def follow(self, x: Tensor, start: Tensor, stop: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The teacher's solution from x `[B, T, D]` at `start` to `stop` `[B]`, noise levels before the shift."""
        for number in range(self.options.substeps):
            here, there = (
                shifted(torch.lerp(start, stop, (number + step) / self.options.substeps), self.shift)
                for step in (0, 1)
            )
            x = x + _wide(there - here) * self.velocity(x, here, batch)
        return x

    @torch.no_grad()
    def velocity(self, x: Tensor, sigma: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """The teacher's velocity `[B, T, D]` of x at sigmas `[B]`, guided in rows that follow their text."""
        given = {name: batch[name] for name in _CONDITIONS if name in batch}
        conditional = ask(self.teacher, x, sigma, given)
        if self.options.guidance_scale == 1:
            return conditional
        nothing = {**given, "text_mask": torch.zeros(given["text"].shape[:2], dtype=torch.bool, device=x.device)}
        scale = torch.full((len(x),), float(self.options.guidance_scale), device=x.device)
        if "use_reference" in given:
            scale = torch.where(given["use_reference"], 1.0, scale)
        return torch.lerp(ask(self.teacher, x, sigma, nothing), conditional, _wide(scale))

    @torch.no_grad()
    def gaps(self, student: MotionDiT, batch: Mapping[str, Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """Distance to the teacher's solution in many steps: of the student's, and of the teacher's in N steps.

        Both are root mean squares over normalised features, one per row `[B]`; all start from `noise` `[B, T, D]`.
        """
        whole, ones = noise, noise.new_ones(len(noise))
        few, same = noise, noise
        given = {name: batch[name] for name in _CONDITIONS if name in batch}
        for index in range(self.options.steps):
            start, stop = (ones * (1 - (index + step) / self.options.steps) for step in (0, 1))
            here, there = shifted(start, self.shift), shifted(stop, self.shift)
            whole = self.follow(whole, start, stop, batch)
            few = few + _wide(there - here) * ask(student, few, here, given)
            same = same + _wide(there - here) * self.velocity(same, here, batch)
        mask = batch["frame_mask"][..., None]  # [B, T, 1]
        count = mask.sum((1, 2)) * noise.shape[2]
        own, teachers = (((x - whole) * mask).square().sum((1, 2)).div(count).sqrt() for x in (few, same))
        return own, teachers


def ask(dit: MotionDiT, x: Tensor, sigma: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
    """The velocity `[B, T, D]` of x at sigmas `[B]`, float32."""
    return dit(x, TIMESTEPS * sigma, **conditions).float()


def _wide(rows: Tensor) -> Tensor:
    return rows[:, None, None]
