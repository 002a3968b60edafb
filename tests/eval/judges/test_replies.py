"""What judges are told, and that no reply is read as more than it says."""

import pytest

from motionmillion.eval.judges.replies import UnclearReplyError, instruction, read_choice, read_match
from motionmillion.text.prompts import plain

OPTIONS = ("clapping", "checking watch", "hurling (sport)", "squat", "doing side lunge squat", "3 steps forward")


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("The arm comes up. Answer: checking watch", 1),
        ("It is not clapping.\n\n**Answer:** *Checking watch*.", 1),
        ("Answer: “hurling (sport)”", 2),
        ("answer : squat\nAnswer: clapping\nThat is all.", 0),  # the last one counts, and only its line
        ('{"reason": "up and down", "answer": "squat"}', 3),
        ("Answer: 3 steps forward", 5),  # a text, not the third
        ("Answer: 3", 2),
        ("Answer: Option 2.", 1),
        ("Answer: (b)", 1),
        ("**Answer: D**", 3),
        ("Answer:\n\n2) checking watch", 1),
        ("Answer: 2 - checking watch", 1),
        ("Answer: doing side lunge squat, slowly", 4),  # "squat" is a part of it
        ("Answer: not clapping, rather one squat", 3),
        ("<think>Answer: squat</think> Answer: clapping", 0),
        ("so it is squat? Answer: squat </think> Answer: clapping", 0),
        ("The movement shows: clapping", 0),
        ("The person is clapping with both hands.", 0),
        ("2", 1),
        ("Answer：clapping", 0),
    ],
)
def test_choices_are_read(reply, place):
    assert read_choice(reply, OPTIONS) == place


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Answer:",
        "Answer: <description>",
        "Answer: none of these",
        "It is clapping. Answer: none of these",
        "Answer: clapping or squat",
        "Answer: 2. squat",  # the second is another
        "Answer: 7",
        "Answer: 0",
        "Answer: 1 or 2",
        "Answer: not clapping",
        "It isn't clapping.",
        "Clapping, or perhaps checking watch.",
        "Answer: a person stands",
        "A person stands.",
        "<think>clapping",
    ],
)
def test_choices_that_are_unclear_are_refused(reply):
    with pytest.raises(UnclearReplyError, match="must name one of the options after 'Answer:'"):
        read_choice(reply, OPTIONS)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("Both hands meet. Answer: yes", True),
        ("No arm moves.\n**Answer:** NO.", False),
        ("Answer: Yes, it does not stop to clap.", True),
        ("Answer: it is a no", False),
        ('{"answer": "yes"}', True),
        ("Yes.", True),
        ("Both hands meet.\nYes", True),
    ],
)
def test_matches_are_read(reply, says):
    assert read_match(reply) is says


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Answer:",
        "Answer: <yes or no>",
        "Answer: maybe",
        "There is no way to tell.",
        "yes and no",
        "Answer: not yes",
    ],
)
def test_matches_that_are_unclear_are_refused(reply):
    with pytest.raises(UnclearReplyError, match="must name yes or no") as caught:
        read_match(reply)
    assert "\n" not in str(caught.value)


def test_instructions_hold_the_texts_in_order_and_ask_for_an_answer():
    text = instruction("choice", OPTIONS, "The 20 pictures are frames.")
    assert text.startswith("The 20 pictures are frames. They are in order") and text.endswith("Answer: <description>")
    places = [text.index(f"\n{place}. {option}\n") for place, option in enumerate(OPTIONS, 1)]
    assert places == sorted(places)
    asked = instruction("match", ("veering {left}",), "One picture.")  # braces in a prompt are no fields
    assert '"veering {left}"' in asked and asked.endswith("Answer: <yes or no>")


def test_only_words_are_compared():
    assert plain(" _Hurling_ (Sport)! ") == "hurling sport"
