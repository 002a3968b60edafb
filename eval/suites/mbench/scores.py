"""Scores of MBench: its dimensions, and substitutes for those that need third-party files.

scores = mbench_scores(batch)               # nine dimensions
"""

from collections import defaultdict

from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup
from motionmillion.eval.suites.mbench.prompts import MBENCH_DIMENSIONS, published
from motionmillion.eval.suites.scores import Batch, Scores

MBENCH = (
    Measure("Motion_Condition_Consistency", "Motion Condition Consistency (1 of 10)", "higher", "condition"),
    Measure("Motion_Generalizability", "Motion Generalizability (yes/no)", "higher", "generalisation"),
    Measure("Jitter_Degree", "Jitter Degree (m/frame^2)", "lower", "quality", 4),
    Measure("Ground_Penetration", "Ground Penetration (m)", "lower", "quality", 4),
    Measure("Foot_Floating", "Foot Floating (share of frames)", "lower", "quality"),
    Measure("Foot_Sliding", "Foot Sliding (m/frame)", "lower", "quality", 4),
    Measure("Dynamic_Degree", "Dynamic Degree (m/frame)", "higher", "quality", 4),
    Measure("Body_Penetration", "Body Penetration (SMPL mesh)", "lower", "quality"),
    Measure("Pose_Quality", "Pose Quality (NRDF x 10)", "lower", "quality"),
    Measure("capsule_penetration", "capsule penetration (ours)", "lower", "quality"),
    Measure("pose_prior_distance", "pose prior distance (ours, degrees)", "lower", "quality", 2),
)
MBENCH_STAND_INS = {"Body_Penetration": "capsule_penetration", "Pose_Quality": "pose_prior_distance"}
"""Substitutes if the files that a dimension needs are missing; named differently, because they are not the same."""
MBENCH_PHYSICS = {
    "Jitter_Degree": "jitter_degree",
    "Ground_Penetration": "ground_penetration",
    "Foot_Floating": "foot_floating",
    "Foot_Sliding": "foot_sliding",
    "Dynamic_Degree": "dynamic_degree",
}


def mbench_scores(batch: Batch) -> Scores:
    """Nine dimensions, each over its own prompts; in a custom suite, each over all prompts."""
    official = published(batch.suite.categories)
    values: dict[str, Estimate] = {}
    by_category: dict[str, dict[str, Estimate]] = defaultdict(dict)
    for measure in MBENCH:
        dimension = next((d for d, stand_in in MBENCH_STAND_INS.items() if stand_in == measure.name), measure.name)
        category = MBENCH_DIMENSIONS[dimension]
        rows = [r for r in batch.rows if not official or r.category == category]
        found = batch.means([measure.name], rows)
        values |= found
        if found and official:
            by_category[category] |= found
    groups = [ResultGroup(EVERYTHING, "all", len(batch.rows), values)]
    for category in batch.suite.categories:
        rows = [row for row in batch.rows if row.category == category]
        own = by_category[category] if official else batch.means([m.name for m in MBENCH], rows)
        if rows:
            groups.append(ResultGroup(category, "category", len(rows), own))
    measures = [measure for measure in MBENCH if measure.name in values]
    notes = ["Low jitter means little where the dynamic degree is low too."]
    for dimension, stand_in in MBENCH_STAND_INS.items():
        if dimension not in values:
            notes.append(
                f"{stand_in} stands in for {dimension}, whose files were not given; it is not the same measure."
            )
    if not official:
        notes.append("The prompts are not MBench's: every dimension is measured on all of them.")
    return Scores(measures, groups, notes)
