"""Training clips made out of others: how many, from whom, with which sources, and every check."""

import re
from collections import Counter

import pytest
import torch

from motionmillion.data import MotionClip, synthesize
from motionmillion.data.augment import change_speed
from motionmillion.data.composition.composing import ComposeOptions, _Maker, compose_clips
from motionmillion.data.composition.pace import change_pace
from motionmillion.data.describing import describe_motion, measure_facts
from motionmillion.data.describing.facts import Travel


def clip(name: str, action: str, title: str, seconds: float = 2, **fields) -> MotionClip:
    captions = (title, f"a person {action}s")
    return MotionClip(
        name, synthesize(action, seed=len(name), seconds=seconds), captions, sources=("cmu_index", "watched"), **fields
    )


def _walk() -> MotionClip:
    window = dict(ends=False, whole=False, own_captions=("a person walks",), category="walk")
    return clip("walk0", "walk", "walk", **window)


@pytest.fixture(scope="module")
def clips():
    few = [clip("wave0", "wave", "Waving"), _walk()]
    return [*few, *(few[0].replace(name=f"wave{n}") for n in range(1, 8))]


def test_without_any_option_nothing_changes(clips):
    same, refused = compose_clips(clips, ComposeOptions(), seed=0)
    assert same == clips and not refused


def test_sequences_have_their_number_source_and_end(clips, capsys):
    pytest.importorskip("motionmillion.data.composition.sequence")
    made, refused = compose_clips(clips, ComposeOptions(sequences=0.5, wordings=2), seed=1)
    new = made[len(clips) :]
    assert made[: len(clips)] == clips and 1 <= len(new) <= round(0.5 * len(clips))
    for each in new:
        assert set(each.sources) == {"composed"} and 1 <= len(each.captions) <= 2
        assert each.ends == (not each.name.endswith("walk0"))
        assert each.motion.seconds <= 12
    said = capsys.readouterr().err
    assert f"composed {len(new)} sequences, 0 overlays, 0 reversals" in said and said.count("\n") == 1
    for reason, count in refused.items():
        assert f"{reason}: {count}" in said
    again, _ = compose_clips(clips, ComposeOptions(sequences=0.5, wordings=2), seed=1)
    assert [each.name for each in again] == [each.name for each in made]


def test_partners_are_drawn_by_description(clips):
    maker = _Maker(clips, ComposeOptions(), torch.Generator().manual_seed(0))
    drawn = Counter(maker._clip().description for _ in range(400))
    assert set(drawn) == {"waving", "walk"} and drawn["walk"] == pytest.approx(200, abs=50)  # one of nine clips


def test_reversals_and_sentences_have_their_sources(clips):
    pytest.importorskip("motionmillion.data.composition.reversal")
    pytest.importorskip("motionmillion.data.describing.wording")
    sit = clip("sit", "squat", "Sitting").replace(captions=("a person sits down",), sources=("watched",))
    made, refused = compose_clips([sit, *clips], ComposeOptions(reversals=True, describe=3), seed=0)
    described, new = made[: len(clips) + 1], made[len(clips) + 1 :]
    assert len(new) + sum(refused.values()) == len(clips) + 1
    assert all(set(each.sources) == {"composed"} and each.ends == ("walk0" not in each.name) for each in new)
    for old, each in zip([sit, *clips], described, strict=True):
        assert each.captions[: len(old.captions)] == old.captions
        assert set(each.sources[len(old.captions) :]) <= {"described"}
        assert set(each.captions[len(old.captions) :]) <= set(each.own_captions)
    assert any("described" in each.sources for each in described)
    some, _ = compose_clips([sit, *clips], ComposeOptions(reversals=0.1), seed=0)
    assert len(some) - len(clips) - 1 == min(1, len(new))


def test_what_cannot_be_made_is_counted_and_never_fatal(clips, capsys):
    pytest.importorskip("motionmillion.data.composition.sequence")
    made, refused = compose_clips(clips, ComposeOptions(sequences=0.3, max_seconds=1.0), seed=0)
    assert made == clips and sum(refused.values()) == 25 * 3
    assert "refused: sequences, longer than max_seconds: 75" in capsys.readouterr().err

    def fails() -> MotionClip:
        raise ValueError("clips must dance")

    maker = _Maker(clips, ComposeOptions(), torch.Generator())
    assert maker._made("overlays", fails, True) is None and maker.refused == {"overlays, clips must dance": 1}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"sequence": 0.2}, r"compose .*describe, max_seconds, .*'sequence'; did you mean sequences"),
        ([0.2], r"compose must be a mapping of options, got \[0.2\]"),
        ({"overlays": -1}, "compose.overlays must be a number that is not negative"),
        ({"reversals": 2}, r"compose.reversals must be true, false or a share in \[0, 1\], got 2"),
        ({"describe": True}, "compose.describe must be a whole number of at least 0"),
        ({"wordings": 0}, "compose.wordings must be a whole number of at least 1"),
        ({"max_seconds": 0}, "compose.max_seconds must be positive, got 0"),
    ],
)
def test_mistakes_are_named(section, message):
    with pytest.raises(ValueError, match=message):
        ComposeOptions.from_section(section)


def test_a_section_gives_its_options():
    assert ComposeOptions.from_section(None) is None
    given = ComposeOptions.from_section({"sequences": 0.25, "reversals": True, "describe": 6})
    assert given == ComposeOptions(sequences=0.25, reversals=True, describe=6)


def test_walks_at_another_pace_are_captioned_by_what_they_became():
    generator = torch.Generator().manual_seed(0)
    walk = synthesize("walk", 3, seconds=8)
    (travel,) = measure_facts(walk).of(Travel)
    clip = MotionClip("walk", walk, ("a person walks",), sources=("watched",), category="daily")
    pace = travel.distance / (travel.end - travel.start)
    for name, wanted, words in (("fast", 1.2, "fast|quick"), ("slow", 0.95, "slow")):
        start = change_speed(clip, wanted / pace)  # metres per second
        made = change_pace(start, generator, wordings=3)
        assert isinstance(made, MotionClip) and 1 <= len(made.captions) <= 3
        assert all(re.search(words, text) for text in made.captions)
        assert set(made.captions) <= set(describe_motion(made.motion))
        assert [travel.pace for travel in measure_facts(made.motion).of(Travel)] == [name]
        assert made.motion.num_frames < 241 * wanted if name == "fast" else made.motion.num_frames > 200
        assert made.category == {"fast": "walk quickly", "slow": "walk slowly"}[name] and made.whole and not made.ends
    assert change_pace(clip.replace(motion=synthesize("wave", 0, seconds=4)), generator, 3) == "no walking"
    assert change_pace(change_speed(clip, 0.4 / pace), generator, 3) == "its pace does not fit"


def test_paces_have_their_number_and_reasons():
    walks = [clip(f"walk{n}", "walk", "walk", seconds=8) for n in range(6)]
    made, refused = compose_clips([*walks, clip("wave", "wave", "Waving")], ComposeOptions(paces=1.0), seed=0)
    new = made[7:]
    assert new and len(new) + sum(refused.values()) == 7 and refused["paces, no walking"] == 1
    assert all(set(each.sources) == {"described"} for each in new)
