"""MBench's measures of single motions, with its names and units.

    values = mbench_values(samples, rows)          # a dictionary for each sample

Judged dimensions are added by `motionmillion.eval.run.evaluate`. `axes="released"` reproduces the released code on its
own files: they are y up, but it uses the third axis, which points forward, as height; and each joint of a pose is
mistaken for the next one (`motionmillion.eval.body.nrdf`).

Source: ViMoGen (arXiv 2510.26794), MBench; formulas as in its released evaluation.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from motionmillion.eval.body.mesh import BodyMesh, body_penetrations
from motionmillion.eval.body.nrdf import Nrdf, pose_qualities
from motionmillion.eval.physics import physics_measures
from motionmillion.eval.results import SampleResult
from motionmillion.eval.suites.mbench.prompts import MBENCH_DIMENSIONS, published
from motionmillion.eval.suites.mbench.scores import MBENCH_PHYSICS

if TYPE_CHECKING:
    from motionmillion.eval.scoring import Sample


def mbench_values(
    samples: "Sequence[Sample]",
    rows: Sequence[SampleResult],
    axes: Literal["corrected", "released"] = "corrected",
    nrdf: Nrdf | None = None,
    body: BodyMesh | None = None,
) -> list[dict[str, float]]:
    """Dimensions without a judge, for every sample; with MBench's prompts, those of its category.

    Args:
        rows: the samples' other measures.
        axes: "corrected" or "released".
        nrdf: model for Pose_Quality, which is left out without it.
        body: model for Body_Penetration, which is left out without it.
    """
    motions = [sample.motion for sample in samples]
    if axes == "released":
        clips = [sample.positions for sample in samples]
        physics = physics_measures(clips, "z", [motion.fps for motion in motions], [sample.id for sample in samples])
        columns = {name: physics[own].tolist() for name, own in MBENCH_PHYSICS.items()}
    else:
        columns = {name: [row.values[own] for row in rows] for name, own in MBENCH_PHYSICS.items()}
    if nrdf is not None:
        columns["Pose_Quality"] = pose_qualities(motions, nrdf, axes).tolist()
    if body is not None:
        columns["Body_Penetration"] = body_penetrations(motions, body).tolist()
    asked = [sample.prompt.category for sample in samples]
    official = published(asked)
    return [
        {name: v[index] for name, v in columns.items() if not official or MBENCH_DIMENSIONS[name] == asked[index]}
        for index in range(len(samples))
    ]
