"""Verb check: does a text-to-motion model follow its prompts? A classifier trained on real clips predicts the verbs.

    real = VerbClips(clips)                                           # those that show one of ten verbs
    score = real.cross_validated()                                    # accuracy of the classifier on real clips
    result = verb_check(pipe, real.classifier(), {"walk": ["take a stroll", ...], ...}, real=score)

Rules of `clip_verb`, written for the set `cmu_text_motion` (first caption: the take's own title; captions of the
window itself: `clip.own_captions`):

1. Acting, chores, poses, falls, acrobatics and work-outs are excluded.
2. A title with "dance" is dance, regardless of other words. Otherwise clips that go upside down are excluded and the
   title's verbs count. A karate title has no verb; there the take's sentences count, and in a form with punches and
   kicks the windows without a kick are punch.
3. Walking with a turn in the title is turn, and so is a window that "turns around" or "spins around" in its own
   sentence if its title has nothing but walking. Walk is a clip of that category without a turn. 4. A clip with one
   remaining verb shows it; with several ("climb, sit, jump down") it is excluded. A jump must be in the window itself
   if the clip is one of several windows of a take.

Unusual: the rules use texts only, so a clip is assumed to show what its take's text says. The classifier does not see
the position, heading or length of a motion (`motionmillion.eval.verbs.descriptor`).

Shapes: M motions, E examples of one of them, F descriptor size, V verbs.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np
import torch

from motionmillion.data.clips import MotionClip
from motionmillion.eval.verbs.descriptor import motion_descriptor, window_descriptors
from motionmillion.motion import Motion
from motionmillion.progress import tracked

VERBS = ("walk", "run", "jump", "turn", "wave", "sit", "kick", "punch", "dance", "climb")

MORE_VERBS = (
    *("squat", "bend", "stand_up", "side_step", "throw"),
    *("march", "stretch", "wipe", "drink", "sneak"),
)
"""Verbs beside `VERBS`, which only captions that someone wrote while watching the clip name."""

_COMMANDS = {
    "squat": r"squat|crouch",
    "bend": r"^bend|pick(s)? (\w+ )*up|stoop",
    "stand_up": r"^(stand|get|rise|push) up|^rise\b|\b(get|stand) up (from|and)",
    "side_step": r"side ?step|sideways",
    "throw": r"\bthrow(?! (\w+ )?(arms?|hands?|up|both|punch\w*|low|kicks?|spell)\b)|\btoss|\bpitch",
    "march": r"\bmarch",
    "stretch": r"^stretch|stretch\b",
    "wipe": r"wipe|wash (a |the )?(window|wall)|\bmop|sweep the",
    "drink": r"\bdrink|\bsip\b|^eat\b|\beat (soup|some)",
    "sneak": r"sneak|\bcreep|tiptoe",
}

_WORDS = {
    "walk": r"walk",
    "run": r"\brun|\bjog",
    "jump": r"jump|\bleap|\bhop",
    "turn": r"turn|spin",
    "wave": r"\bwav(e|es|ing)\b",
    "sit": r"\bsit",
    "kick": r"kick",
    "punch": r"punch|\bbox",
    "dance": r"dance\b",
    "climb": r"\bclimb",
}
_LEFT_OUT = ("act", "daily", "pose", "ground", "acrobatics", "exercise")


def clip_verb(clip: MotionClip) -> str | None:
    """The one verb of `VERBS` that a clip shows according to its captions and category, None if unclear."""
    own = " ".join(clip.own_captions).lower()
    take = [text.lower() for text in clip.captions if text not in clip.own_captions]
    if not take or clip.category in _LEFT_OUT or re.search("acrobatics|static", take[0]):
        return None
    if "dance" in _named(take[0]):
        return "dance"
    if "upside down" in own:
        return None
    verbs = _named(take[0]) or (_named(" ".join(take)) if clip.category == "fight" else set())
    if verbs == {"punch", "kick"} and "kick" not in own:
        verbs = {"punch"}
    if verbs <= {"walk", "turn"} and ("turn" in verbs or re.search(r"(turn|spin)(s|ning|ing) around", own)):
        return "turn"
    if verbs == {"walk"} and (clip.category != "walk" or "turn" in own):
        return None
    if verbs == {"jump"} and not clip.whole and "jump" not in own:
        return None
    return verbs.pop() if len(verbs) == 1 else None


def clip_verb_of_twenty(clip: MotionClip) -> str | None:
    """The one verb of `VERBS` and `MORE_VERBS` that a clip shows, None if that is not clear.

    `clip_verb` comes first. Where it names none, the first caption by someone who watched the clip, a short command,
    must name one verb of `MORE_VERBS` and none of the others.
    """
    verb = clip_verb(clip)
    pairs = zip(clip.captions, clip.sources, strict=False)
    command = next((text.lower() for text, source in pairs if source == "watched"), "")
    if verb or not command or re.search(r"danc|swim|flip|like a", command) or clip.category == "acrobatics":
        return verb
    verbs = {name for name, pattern in _COMMANDS.items() if re.search(pattern, command)}
    return verbs.pop() if len(verbs) == 1 and not _named(command) - {"turn"} else None


def _named(text: str) -> set[str]:
    return {verb for verb, pattern in _WORDS.items() if re.search(pattern, text)}


def examples_of(motion: Motion) -> np.ndarray:
    """What a classifier learns from a motion, `[E, F]`: descriptors of it, of windows, and of all these mirrored."""
    return torch.cat([window_descriptors(motion), window_descriptors(motion.mirror())]).numpy()


class VerbClassifier:
    """Verb classifier: averaged probabilities of extremely randomised trees and logistic regression.

    Trained on whole motions and on two-second windows of them, each also mirrored, so that length and side carry no
    information; motions of a verb have equal weights, and so have verbs.

    Args:
        seed: seed of the trees; equal seeds and motions give equal classifiers.
        trees: number of trees.
    """

    def __init__(self, seed: int = 0, trees: int = 300) -> None:
        try:
            from sklearn.ensemble import ExtraTreesClassifier
            from sklearn.linear_model import LogisticRegression
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import StandardScaler
        except ImportError as error:
            message = 'scikit-learn must be installed for the verb check; run: pip install "motionmillion[eval]"'
            raise ImportError(message) from error

        self.verbs: list[str] = []
        self._trees = ExtraTreesClassifier(trees, min_samples_leaf=3, random_state=seed)
        self._line = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=500))

    def fit(self, motions: Sequence[Motion], verbs: Sequence[str]) -> "VerbClassifier":
        """Train on `motions`, which show `verbs`.

        Raises:
            ValueError: if there are not as many verbs as motions, or fewer than two different ones.
        """
        return self.fit_examples([examples_of(motion) for motion in motions], verbs)

    def fit_examples(self, examples: Sequence[np.ndarray], verbs: Sequence[str]) -> "VerbClassifier":
        """Train on motions by their `examples_of`, as `fit` does."""
        if len(examples) != len(verbs) or len(set(verbs)) < 2:
            raise ValueError(
                f"verbs must name at least two verbs, one for each of {len(examples)} motions, got {len(verbs)} names "
                f"of {len(set(verbs))} verbs"
            )
        labels = np.repeat(list(verbs), [len(e) for e in examples])
        share = {verb: list(verbs).count(verb) for verb in set(verbs)}
        weight = np.concatenate(
            [np.full(len(e), 1 / len(e) / share[verb]) for e, verb in zip(examples, verbs, strict=True)]
        )
        weight *= len(labels) / weight.sum()
        data = np.concatenate(examples)
        self._trees.fit(data, labels, sample_weight=weight)
        self._line.fit(data, labels, logisticregression__sample_weight=weight)
        self.verbs = [str(verb) for verb in self._trees.classes_]
        return self

    def probabilities(self, motions: Sequence[Motion]) -> np.ndarray:
        """Probability of each of `self.verbs`, `[M, V]`; rows sum to one."""
        if not self.verbs:
            raise ValueError("classifier must be trained before use, got none; call fit")
        data = torch.stack([motion_descriptor(motion) for motion in motions]).numpy()
        return (np.asarray(self._trees.predict_proba(data)) + self._line.predict_proba(data)) / 2

    def predict(self, motions: Sequence[Motion]) -> list[str]:
        """The most likely verb of each motion."""
        return [self.verbs[row] for row in self.probabilities(motions).argmax(1)]


@dataclass(frozen=True)
class VerbScore:
    """Accuracy of verb predictions.

    Args:
        accuracy: fraction of each verb's motions classified correctly; `counts`: their number.
        macro: mean of `accuracy` over the verbs; `plain`: accuracy over all motions.
        macro_interval, plain_interval: 95 % bootstrap intervals over whole takes, or prompts.
        confusion: how often a verb (first key) was predicted as another (second key).
        draws: macro accuracy of each bootstrap draw.
    """

    accuracy: dict[str, float]
    counts: dict[str, int]
    macro: float
    plain: float
    macro_interval: tuple[float, float]
    plain_interval: tuple[float, float]
    confusion: dict[str, dict[str, int]]
    draws: np.ndarray = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The values without the draws, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "draws"}


def score_verbs(
    truth: Sequence[str], named: Sequence[str], groups: Sequence[str], seed: int = 0, draws: int = 2000
) -> VerbScore:
    """Score `named` against `truth`; motions of one group are drawn together in the bootstrap."""
    known = (*VERBS, *MORE_VERBS)
    verbs = [verb for verb in known if verb in truth] + sorted(set(truth) - set(known))
    generator = np.random.default_rng(seed)
    accuracy, counts, confusion, hits_drawn, sizes_drawn = {}, {}, {}, [], []
    for verb in verbs:
        rows = [index for index, name in enumerate(truth) if name == verb]
        names = [named[row] for row in rows]
        confusion[verb] = {name: names.count(name) for name in sorted(set(names))}
        counts[verb], accuracy[verb] = len(rows), names.count(verb) / len(rows)
        own = sorted({groups[row] for row in rows})
        size = np.array([sum(groups[row] == group for row in rows) for group in own])
        hits = np.array([sum(groups[row] == group and named[row] == verb for row in rows) for group in own])
        picked = generator.multinomial(len(own), np.full(len(own), 1 / len(own)), size=draws)  # [draws, groups]
        hits_drawn.append(picked @ hits)
        sizes_drawn.append(picked @ size)
    macro_draws = np.mean([hits / sizes for hits, sizes in zip(hits_drawn, sizes_drawn, strict=True)], axis=0)
    right = sum(confusion[verb].get(verb, 0) for verb in verbs)
    return VerbScore(
        accuracy=accuracy,
        counts=counts,
        macro=float(np.mean(list(accuracy.values()))),
        plain=right / len(truth),
        macro_interval=_interval(macro_draws),
        plain_interval=_interval(np.sum(hits_drawn, axis=0) / np.sum(sizes_drawn, axis=0)),
        confusion=confusion,
        draws=macro_draws,
    )


def _interval(draws: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


class VerbClips:
    """Real clips that show a verb, and how well a classifier names them; it never sees the takes that it names.

    Args:
        clips: of any split; those without a clear verb are left out.
        seed: of the folds and classifiers.
        label: the verb that a clip shows, such as `clip_verb_of_twenty`.
        group: what must not be on both sides of a fold; the take, unless said otherwise.

    Unusual: descriptors are computed once, and classifiers of folds trained once, which takes nearly all of the time.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        seed: int = 0,
        label: Callable[[MotionClip], str | None] = clip_verb,
        group: Callable[[MotionClip], str] = attrgetter("take"),
    ) -> None:
        found = [(clip, verb) for clip in clips if (verb := label(clip))]
        self.clips, self.verbs = [clip for clip, _ in found], [verb for _, verb in found]
        self.seed, self.groups = seed, [group(clip) for clip in self.clips]
        self._examples = [examples_of(clip.motion) for clip in tracked(self.clips, "describing", "clips")]
        self._folds: dict[int, list[tuple[VerbClassifier, list[int]]]] = {}

    def classifier(self, rows: Sequence[int] | None = None) -> VerbClassifier:
        """A classifier trained on some of the clips; None: on all."""
        rows = range(len(self.clips)) if rows is None else rows
        examples, verbs = [self._examples[row] for row in rows], [self.verbs[row] for row in rows]
        return VerbClassifier(self.seed).fit_examples(examples, verbs)

    def cross_validated(self, alter: Callable[[Motion], Motion] | None = None, folds: int = 5) -> VerbScore:
        """Accuracy on all clips, each named by a classifier that was trained without its take.

        Args:
            alter: what is done to a motion before it is named, such as a tokenizer's round trip; training sees
                originals.
        """
        named = [""] * len(self.clips)
        for classifier, rows in self._split(folds):
            motions = [self.clips[row].motion for row in rows]
            motions = motions if alter is None else [alter(motion) for motion in motions]
            for row, name in zip(rows, classifier.predict(motions), strict=True):
                named[row] = name
        return score_verbs(self.verbs, named, self.groups, self.seed)

    def _split(self, folds: int) -> list[tuple[VerbClassifier, list[int]]]:
        """Classifiers, and the rows of the clips that each has not seen."""
        from sklearn.model_selection import StratifiedGroupKFold

        if folds not in self._folds:
            splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=self.seed)
            parts = splitter.split(self.verbs, self.verbs, self.groups)
            self._folds[folds] = [(self.classifier(train.tolist()), test.tolist()) for train, test in parts]
        return self._folds[folds]

    def held_out(self) -> VerbScore:
        """Accuracy on the splits "val" and "test" of a classifier trained on "train".

        Raises:
            ValueError: if no clip is of these splits.
        """
        train = [row for row, clip in enumerate(self.clips) if clip.split == "train"]
        test = [row for row, clip in enumerate(self.clips) if clip.split != "train"]
        if not test:
            raise ValueError("clips must hold some of the splits val and test, got none with a clear verb")
        named = self.classifier(train).predict([self.clips[row].motion for row in test])
        return score_verbs([self.verbs[row] for row in test], named, [self.groups[row] for row in test], self.seed)


def verb_check(
    pipe: Any,
    classifier: VerbClassifier,
    prompts: dict[str, list[str]],
    seconds: float | None = 4.0,
    seed: int = 0,
    real: VerbScore | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Generate a motion for each prompt, classify it, and compare with the accuracy on real clips.

    Args:
        pipe: a `MotionPipeline`, or a callable with the same interface; `options` are passed to it.
        prompts: sentences for each verb.
        seconds: length of every motion; None: the model decides.
        real: the classifier's score on unseen real clips.

    Returns:
        JSON values: the score `generated`; with `real` also that score and the `ratio` of the macro accuracies
        with its 95 % `ratio_interval` (resampling both prompts and takes); `motions`, each with prompt, verb and name.
    """
    texts = [text for group in prompts.values() for text in group]
    truth = [verb for verb, group in prompts.items() for _ in group]
    named = classifier.predict(pipe(texts, seconds=seconds, seed=seed, **options))
    score = score_verbs(truth, named, [str(index) for index in range(len(texts))], seed + 1)
    result: dict[str, Any] = {"generated": score.as_dict()}
    if real is not None:
        result["real"] = real.as_dict()
        result["ratio"] = score.macro / real.macro
        result["ratio_interval"] = _interval(score.draws / np.maximum(real.draws, 1e-9))
    rows = zip(texts, truth, named, strict=True)
    result["motions"] = [{"prompt": text, "verb": verb, "named": name} for text, verb, name in rows]
    return result
