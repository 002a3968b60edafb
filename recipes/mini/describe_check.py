"""Are measured captions true? Compares facts measured on motions with what a watcher of the same clips wrote.

    python recipes/mini/describe_check.py --data PATH/TO/cmu_text_motion --clips 1000 --seed 0 --disagreements 3

Prints two tables over train clips that are drawn at random. Sides and directions: of the clips for which both a fact
and the `watched` captions name one side only, how often it is the same one (the rest say nothing about the fact).
Verbs: how often the captions name what was measured at all. A watcher who saw twelve frames leaves much unsaid and is
sometimes wrong, so a verb that is not named is a lower bound, not an error.
"""

import argparse
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from motionmillion.data.clips import ClipReader, list_clips
from motionmillion.data.describing import MotionFacts, measure_facts
from motionmillion.data.describing.facts import (
    ArmsOut,
    Bend,
    Clap,
    HandRaise,
    HandsOnHips,
    Jump,
    Kick,
    KneeLift,
    LegRaise,
    Lunge,
    PostureChange,
    Punch,
    Squat,
    Travel,
    Turn,
    Wave,
)

_BETWEEN = r"(?:(?:around|away|back|sharply|quickly|slightly|slowly|halfway|and|in|place|on|the|spot) )*"
_TURNS = rf"turn\w* {_BETWEEN}(?:to (?:the|his|her) )?(left|right)"
_HANDS = r"\b(left|right) (?:hand|arm|forearm|fist|elbow)"
_LEGS = r"\b(left|right) (?:foot|leg|knee)"
_SIDEWAYS = r"(?:sideways|side ?-?steps?|side ?-?stepping)(?: \w+)?(?: to)?(?: the)? (left|right)"
_JUMP = r"jump|leap|hop|skip|bounc|spring"


@dataclass(frozen=True)
class Question:
    """What the facts say, as a set of sides or names, and the expression that finds it in captions."""

    name: str
    measured: Callable[[MotionFacts], set[str | None]]
    said: str


def _sides(kind: type) -> Callable[[MotionFacts], set[str | None]]:
    return lambda facts: {event.side for event in facts.of(kind)}


def _turned(facts: MotionFacts) -> set[str | None]:
    return {turn.side for turn in facts.of(Turn)} | {t.curve for t in facts.of(Travel) if t.curve}


def _stepped(facts: MotionFacts) -> set[str | None]:
    return {t.direction for t in facts.of(Travel) if t.direction in ("left", "right")}


SIDES = (
    Question("turn or curve", _turned, _TURNS),
    Question("side step", _stepped, _SIDEWAYS),
    Question("raised hand", lambda f: {e.side for e in f.of(HandRaise) if e.level != "chest"}, _HANDS),
    Question("hand at the chest", lambda f: {e.side for e in f.of(HandRaise) if e.level == "chest"}, _HANDS),
    Question("waving hand", _sides(Wave), _HANDS),
    Question("punch", _sides(Punch), _HANDS),
    Question("kick", _sides(Kick), _LEGS),
    Question("lifted knee", _sides(KneeLift), _LEGS),
    Question("raised leg", _sides(LegRaise), _LEGS),
    Question("lunge", _sides(Lunge), _LEGS),
)


def _gait(*names: str) -> Callable[[MotionFacts], set[str | None]]:
    return lambda facts: {t.gait for t in facts.of(Travel) if t.gait in names}


def _any(kind: type) -> Callable[[MotionFacts], set[str | None]]:
    return lambda facts: {kind.__name__} if facts.of(kind) else set()


def _to(*postures: str) -> Callable[[MotionFacts], set[str | None]]:
    return lambda facts: {change.after for change in facts.of(PostureChange) if change.after in postures}


VERBS = (
    Question("walks backward", lambda f: {t.direction for t in f.of(Travel) if t.direction == "backward"}, "back"),
    Question("runs or jogs", _gait("run", "jog"), r"run|sprint|jog|dash|hurr|fast|quick"),
    Question("crawls", _gait("crawl"), r"crawl|hands and knees|all fours"),
    Question("jumps, hops, leaps", _any(Jump), _JUMP),
    Question("kicks", _any(Kick), r"kick|swing\w* (?:the|a|his|her) \w+ (?:leg|foot)|leg"),
    Question("lifts a knee", _any(KneeLift), r"knee|leg|foot|feet|march|step\w* (?:up|over)|high"),
    Question("lunges", _any(Lunge), r"lunge|stance|stride|step"),
    Question("squats", _any(Squat), r"squat|crouch|bend|bent|knee|duck|dip|sink"),
    Question(
        "bends forward or sideways", _any(Bend), r"bend|bent|lean|bow|stoop|fold|reach|pick|hunch|over|tilt|sway"
    ),
    Question("waves", _any(Wave), r"wav|wip|wash|signal|side to side|to and fro|again and again"),
    Question("punches", _any(Punch), r"punch|box|jab|fight|strik|thrust|fist"),
    Question("claps", _any(Clap), r"clap|hands together"),
    Question("arms out", _any(ArmsOut), r"arms? .*(?:out|wide|spread|wing|stretch|side)|spread|wing|t pose|t-pose"),
    Question("hands on hips", _any(HandsOnHips), r"hips?\b|waist"),
    Question("sits down", _to("sitting", "sitting on the floor"), r"\bs[ia]t|seat|stool|chair"),
    Question("stands up", _to("standing"), r"stand|rise|rising|get|straighten|up\b"),
    Question("kneels", _to("kneeling", "on one knee"), r"kneel|knee|crawl"),
    Question("crouches", _to("crouching"), r"crouch|squat|duck|bend|bent|knees|low\b|sink"),
    Question("lies down", _to("lying"), r"\bl(?:ie|ies|ying|ay)\b|floor|ground|fall|roll|back\b"),
)


def compare(
    clips: Sequence[tuple[str, MotionFacts, str]], question: Question, sides: bool
) -> tuple[int, int, list[str]]:
    """How many clips agree, of how many, and the names and captions of those that do not."""
    agree, wrong = 0, []
    for name, facts, text in clips:
        measured = question.measured(facts)
        if sides:
            found = set(re.findall(question.said, text))
            if len(measured) != 1 or measured & {"both", None} or len(found) != 1:
                continue
            right = measured == found
        elif not measured:
            continue
        else:
            right = re.search(question.said, text) is not None
        agree += right
        wrong += [] if right else [f"{name}: measured {sorted(map(str, measured))}, watched: {text}"]
    return agree, agree + len(wrong), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="copy of cmu_text_motion")
    parser.add_argument("--clips", type=int, default=1000, help="train clips that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disagreements", type=int, default=0, help="of each question, that are shown")
    options = parser.parse_args()
    watched = {}
    for line in (options.data / "clips.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        watched[entry["clip"]] = [c["text"] for c in entry["captions"] if c["source"] == "watched"]
    records = [record for record in list_clips(options.data, ("train",)) if watched[record.name]]
    drawn = random.Random(options.seed).sample(records, min(options.clips, len(records)))
    read = ClipReader(options.data)
    clips = [
        (record.name, measure_facts(read(record).motion), " | ".join(watched[record.name]).lower())
        for record in sorted(drawn, key=lambda record: record.file)
    ]
    for title, questions in (("side", SIDES), ("verb", VERBS)):
        print(f"\n| {title} | agree | of clips | precision |\n|---|---|---|---|")
        for question in questions:
            agree, total, wrong = compare(clips, question, title == "side")
            print(f"| {question.name} | {agree} | {total} | {f'{agree / total:.1%}' if total else '-'} |")
            for text in wrong[: options.disagreements]:
                print(f"    {text}")


if __name__ == "__main__":
    main()
