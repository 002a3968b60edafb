"""Questions, the offline judge, the cache of replies, and which judge a name stands for."""

import hashlib
import json

import pytest
import torch

from motionmillion.data.synthetic.clips import synthesize
from motionmillion.eval.judges.ask import ask_all, first_failure, tally
from motionmillion.eval.judges.cache import ReplyCache
from motionmillion.eval.judges.chat import EndpointJudge, GeminiJudge, TransformersJudge
from motionmillion.eval.judges.choose import make_judge
from motionmillion.eval.judges.judge import Answer, Question
from motionmillion.eval.judges.retrieval import RetrievalJudge
from motionmillion.motion import Motion
from motionmillion.text.prompts import plain

OTHERS = ("clapping hands", "climbing a ladder", "riding a horse", "typing", "swimming on the back", "a deep bow")


class WordEmbedder:
    """Texts by the words that they hold, motions by those of their captions: near where they share words."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def embed_texts(self, texts: list[str]) -> torch.Tensor:
        self.calls.append(len(texts))
        rows = torch.zeros(len(texts), 256)
        for row, text in zip(rows, texts, strict=True):
            for word in plain(text).split():
                row[hashlib.sha256(word.encode()).digest()[0]] += 1
        return torch.nn.functional.normalize(rows, dim=-1)

    def embed_motions(self, motions: list[Motion]) -> torch.Tensor:
        return self.embed_texts([motion.caption for motion in motions])


@pytest.fixture(scope="module")
def wave() -> Motion:
    return synthesize("wave", seed=0, seconds=2).replace(caption="a person waves")


def retrieval(**options) -> RetrievalJudge:
    return RetrievalJudge(WordEmbedder(), OTHERS, **options)


def test_the_offline_judge_chooses_and_matches(wave):
    questions = [
        Question("1", "choice", wave, "someone waves", OTHERS),
        Question("2", "choice", wave, "clapping hands", ("a person waves", *OTHERS[1:])),
        Question("3", "match", wave, "a person waves a hand"),
        Question("4", "match", wave, "clapping"),
    ]
    judge = retrieval(identity="words 1")
    answers = ask_all(judge, questions)
    assert [answer.right for answer in answers] == [True, False, True, False]
    assert [answer.id for answer in answers] == ["1", "2", "3", "4"]
    assert answers[1].reply == "Answer: a person waves" and answers[2].reply.endswith("Answer: yes")
    assert tally(answers) == {"asked": 4, "right": 2, "wrong": 2, "unclear": 0, "failed": 0}
    assert judge.describe()["evaluator"] == "words 1" and judge.describe()["texts"] == len(OTHERS)


def test_the_offline_judge_embeds_in_batches_and_nothing_twice():
    other = retrieval(batch_size=4)
    moving = [synthesize("wave", seed=i, seconds=2).replace(caption=f"move {i}") for i in range(10)]
    alone = [ask_all(retrieval(), [Question("0", "match", motion, "move 3")])[0].right for motion in moving]
    together = ask_all(other, [Question(str(i), "match", m, "move 3") for i, m in enumerate(moving)])
    assert [answer.right for answer in together] == alone
    assert other.evaluator.calls == [4, 1 + len(OTHERS), 4, 2]  # motions, all texts once, motions, motions
    same = retrieval()
    ask_all(same, [Question(str(i), "match", moving[0], "move 3") for i in range(10)])
    assert same.evaluator.calls == [1, 1 + len(OTHERS)]


def test_a_share_of_the_other_texts_must_be_farther(wave):
    question = Question("1", "match", wave, "a person")
    assert ask_all(retrieval(share=1.0), [question])[0].right
    nearer = RetrievalJudge(WordEmbedder(), ("a person waves", *OTHERS[:3]), share=0.8)  # 3 of 4 are farther
    assert not ask_all(nearer, [question])[0].right
    nearer.share = 0.75
    assert ask_all(nearer, [question])[0].right
    itself = RetrievalJudge(WordEmbedder(), ("A person.", *OTHERS), share=1.0)  # the text is not held against itself
    assert ask_all(itself, [question])[0].right


@pytest.mark.parametrize("options", [{"share": 0}, {"share": 1.5}, {"share": -1}, {"batch_size": 0}])
def test_the_offline_judge_checks_its_numbers(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        retrieval(**options)


def test_the_offline_judge_needs_texts():
    with pytest.raises(ValueError, match="texts must be different, two or more, got 1"):
        RetrievalJudge(WordEmbedder(), ["a walk", "A walk!"])


def test_texts_are_shuffled_by_seed_and_id_and_nothing_else(wave):
    question = Question("17", "choice", wave, "walking", OTHERS)
    texts = question.asked(0).texts
    assert sorted(texts) == sorted((*OTHERS, "walking")) and texts == question.asked(0).texts
    reversed_ = Question("17", "choice", wave, "walking", OTHERS[::-1])
    assert reversed_.asked(0).texts == texts != question.asked(1).texts
    places = [Question(str(i), "choice", wave, "walking", OTHERS).asked(0).texts.index("walking") for i in range(700)]
    counts = [places.count(place) for place in range(7)]
    assert min(counts) > 70 and max(counts) < 130  # 100 each by chance
    assert Question("3", "match", wave, "walking").asked(5).texts == ("walking",)


def test_texts_that_say_the_same_are_shown_once(wave):
    question = Question("1", "choice", wave, "digging", ("Digging.", "sieving", "sieving", "chasing"))
    assert sorted(question.asked(0).texts) == ["chasing", "digging", "sieving"]


def test_bad_questions_are_named(wave):
    with pytest.raises(ValueError, match='kind must be "choice" or "match", got \'guess\''):
        Question("1", "guess", wave, "walking")  # type: ignore[arg-type]
    for texts in (("...",), ("walking", "")):
        with pytest.raises(ValueError, match="must have texts with words, got an empty one in '1'"):
            Question("1", "choice", wave, texts[0], texts[1:])
    with pytest.raises(ValueError, match="must have distractors to choose among, got none in '1'"):
        Question("1", "choice", wave, "walking", ("walking",))
    with pytest.raises(ValueError, match="question ids must be unique"):
        ask_all(retrieval(), [Question("1", "match", wave, "walking")] * 2)
    with pytest.raises(ValueError, match="stop_after must be a whole number"):
        ask_all(retrieval(), [], stop_after=0)
    assert ask_all(retrieval(), []) == []


def test_answers_that_are_none_are_counted():
    answers = [
        Answer("1", "match", True, "Answer: yes"),
        Answer("2", "match", False, "Answer: no"),
        Answer("3", "match", None, "Answer: perhaps", "unclear reply"),
        Answer("4", "match", None, "", "nobody there"),
    ]
    assert tally(answers) == {"asked": 4, "right": 1, "wrong": 1, "unclear": 1, "failed": 1}
    assert [answer.failed for answer in answers] == [False, False, False, True]
    assert first_failure([*answers, Answer("5", "match", None, "", "not asked")]) == "nobody there"
    assert first_failure([Answer("1", "match", None, "", "two\nlines")]) == "two lines"
    assert first_failure(answers[:3]) == ""
    assert [answer.unclear for answer in answers] == [False, False, True, False]


def test_keys_depend_on_everything_that_a_reply_does(wave, tmp_path):
    cache = ReplyCache(None, {"model": "a", "rendering": {"fps": 5}})
    key = cache.key("match", ("walking",), wave)
    noisy = wave.replace(translation=wave.translation + 1e-8, caption="another")
    assert cache.key("match", ("walking",), noisy) == key
    moved = wave.replace(translation=wave.translation + torch.linspace(0, 0.1, wave.num_frames)[:, None])
    changed = [
        cache.key("choice", ("walking",), wave),
        cache.key("match", ("running",), wave),
        cache.key("choice", ("walking", "running"), wave),
        cache.key("choice", ("running", "walking"), wave),
        cache.key("match", ("walking",), moved),
        cache.key("match", ("walking",), wave.replace(fps=20)),
        cache.key("match", ("walking",), wave.slice(0, 10)),
        ReplyCache(None, {"model": "b", "rendering": {"fps": 5}}).key("match", ("walking",), wave),
        ReplyCache(None, {"model": "a", "rendering": {"fps": 4}}).key("match", ("walking",), wave),
    ]
    assert len({key, *changed}) == 1 + len(changed)
    assert ReplyCache(None, {"rendering": {"fps": 5}, "model": "a"}).key("match", ("walking",), wave) == key


def test_a_cache_that_was_cut_off_is_repaired(tmp_path):
    path = tmp_path / "new" / "cache.jsonl"
    cache = ReplyCache(path, {})
    assert not path.exists()
    cache.add("one", "Zwei Zeilen,\n„schön“. Answer: yes", id="1", kind="match")
    cache.add("two", "Answer: no", id="2", kind="match")
    whole = path.read_bytes()
    assert len(whole.splitlines()) == 3 and json.loads(whole.splitlines()[1])["id"] == "1"
    for cut in range(1, len(whole.splitlines()[-1]) + 1):
        path.write_bytes(whole[:-cut])
        again = ReplyCache(path, {})
        assert again.replies == {"one": "Zwei Zeilen,\n„schön“. Answer: yes"}
        again.add("two", "Answer: no", id="2", kind="match")
        assert path.read_bytes() == whole and ReplyCache(path, {}).replies == cache.replies


@pytest.mark.parametrize("content", [b"", b"notes without a line end", b"{}\n", b'["one"]\n', b"\xff\n"])
def test_a_file_that_is_no_cache_is_left_alone(tmp_path, content):
    path = tmp_path / "cache.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cache must be a file of replies.*remove it or name another"):
        ReplyCache(path, {})
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "line", [b'{"key": "o', b'{"key": "o"}', b"[]", b"", b"\xff", b'{"key": 1, "reply": null}', b"[" * 100000]
)
def test_damaged_lines_are_skipped_and_told(tmp_path, line):
    path = tmp_path / "cache.jsonl"
    ReplyCache(path, {}).add("one", "Answer: yes")
    whole = path.read_bytes() + (line + b"\n") * 2 + b'{"key": "two", "reply": "x"}\n'
    path.write_bytes(whole)
    with pytest.warns(
        UserWarning, match="2 of 4 replies in .* cannot be read; their questions are asked again"
    ) as told:
        cache = ReplyCache(path, {})
    assert len(told) == 1 and cache.replies == {"one": "Answer: yes", "two": "x"}
    assert path.read_bytes() == whole  # left as it is


def test_the_newest_line_of_a_key_counts(tmp_path):
    path = tmp_path / "cache.jsonl"
    for reply in ("Answer: perhaps", "Answer: yes"):
        ReplyCache(path, {}).add("one", reply)
    assert ReplyCache(path, {}).replies == {"one": "Answer: yes"} and len(path.read_bytes().splitlines()) == 3


def test_a_cache_must_be_a_file(tmp_path):
    with pytest.raises(ValueError, match="path must name a file, got the folder"):
        ReplyCache(tmp_path, {})


def test_a_judge_that_costs_nothing_is_not_cached(wave, tmp_path):
    ask_all(retrieval(), [Question("1", "match", wave, "walking")], cache=tmp_path / "cache.jsonl")
    assert not (tmp_path / "cache.jsonl").exists()


def test_names_of_judges():
    assert isinstance(make_judge("retrieval", evaluator=WordEmbedder(), texts=OTHERS, device="cpu"), RetrievalJudge)
    endpoint = make_judge("https://host/v1#some/model", device="cpu", parallel=2)
    assert isinstance(endpoint, EndpointJudge) and endpoint.name == "some/model" and endpoint.batch_size == 2
    gemini = make_judge("gemini:gemini-2.5-flash", device="cpu")
    assert isinstance(gemini, GeminiJudge) and gemini.name == "gemini-2.5-flash"
    local = make_judge("some/model", device="cpu")
    assert isinstance(local, TransformersJudge) and local.name == "some/model"
    for spec in ("https://host/v1", "https://host/v1#", "gemini:"):
        with pytest.raises(ValueError, match=f"judge must name a model, got '{spec}'; write .*MODEL"):
            make_judge(spec)
    with pytest.raises(ValueError, match='judge must be "retrieval", "similarity", .*, got \'nobody\''):
        make_judge("nobody")
