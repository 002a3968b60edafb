"""Judges behind services: a real server on this machine that speaks both protocols, and everything that goes wrong."""

import base64
import io
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from motionmillion.chat.endpoint import ChatEndpoint, Endpoint
from motionmillion.data.synthetic.clips import synthesize
from motionmillion.eval.judges.ask import ask_all, first_failure, tally
from motionmillion.eval.judges.chat import EndpointJudge, GeminiJudge
from motionmillion.eval.judges.choose import make_judge
from motionmillion.eval.judges.judge import Question
from motionmillion.eval.judges.pictures import Rendering

Image = pytest.importorskip("PIL.Image")

SEEN = "waving a hand"
OTHERS = ("clapping", "riding a horse", "typing")
SMALL = Rendering(fps=2, size=64)


class Server(ThreadingHTTPServer):
    """Sees `SEEN` in every motion; `script` holds statuses, bodies or words to answer with before it does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list = []
        self.requests: list[tuple[str, dict, dict]] = []
        self.address = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        step = self.server.script.pop(0) if self.server.script else 200
        pictures, question = self._chat(body) if "messages" in body else self._gemini(body)
        assert pictures and all(Image.open(io.BytesIO(picture)).size == (64, 64) for picture in pictures)
        if "Which one" in question:
            words = f"A hand moves. Answer: {SEEN if SEEN in question else 'none'}"
        else:
            words = f"A hand moves. Answer: {'yes' if SEEN in question else 'no'}"
        words = step if isinstance(step, str) else words
        content = {"choices": [{"message": {"role": "assistant", "content": words}}]}
        if "messages" not in body:
            thought = {"text": "Answer: hm", "thought": True}
            parts = [thought, {"text": words[:9]}, {"text": words[9:]}]
            content = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
        status = step if isinstance(step, int) else 200
        if isinstance(step, dict):
            content = step
        if status != 200:
            content = {"error": {"message": "something is wrong"}}
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _chat(self, body: dict) -> tuple[list[bytes], str]:
        (message,) = body["messages"]
        *images, text = message["content"]
        start = "data:image/jpeg;base64,"
        assert message["role"] == "user" and all(image["image_url"]["url"].startswith(start) for image in images)
        return [base64.b64decode(image["image_url"]["url"].removeprefix(start)) for image in images], text["text"]

    def _gemini(self, body: dict) -> tuple[list[bytes], str]:
        (content,) = body["contents"]
        *images, text = content["parts"]
        assert all(image["inline_data"]["mime_type"] == "image/jpeg" for image in images)
        return [base64.b64decode(image["inline_data"]["data"]) for image in images], text["text"]

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    motions = [synthesize("wave", seed=seed, seconds=2) for seed in range(5)]
    return [
        Question("0", "choice", motions[0], SEEN, OTHERS),
        Question("1", "choice", motions[1], "clapping", (SEEN, "typing")),
        Question("2", "match", motions[2], SEEN),
        Question("3", "match", motions[3], "clapping"),
        Question("4", "choice", motions[4], "clapping", ("typing", "riding a horse")),  # what it sees is not there
    ]


def judge_at(server: Server, kind: str, **options):
    options = {"rendering": SMALL, "parallel": 1, "backoff": 0.01, **options}
    if kind == "gemini":
        return make_judge("gemini:gemini-2.5-flash", base_url=server.address, **options)
    return make_judge(f"{server.address}#tiny", **options)


@pytest.mark.parametrize("kind", ["endpoint", "gemini"])
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_service_answers(server, questions, kind, parallel):
    answers = ask_all(judge_at(server, kind, parallel=parallel), questions)
    assert [answer.right for answer in answers] == [True, False, True, False, None]
    assert answers[4].unclear and "must name one of the options" in answers[4].error
    assert tally(answers) == {"asked": 5, "right": 2, "wrong": 2, "unclear": 1, "failed": 0}
    assert len(server.requests) == 5


def test_unclear_replies_can_be_asked_again(server, questions, tmp_path):
    cache = tmp_path / "cache.jsonl"
    server.script = ["It is broken.", 200, "Answer: perhaps", 200]
    first = ask_all(judge_at(server, "endpoint"), questions[:4], cache=cache)
    assert [answer.right for answer in first] == [None, False, None, False]
    assert ask_all(judge_at(server, "endpoint"), questions[:4], cache=cache) == first  # nothing is asked
    assert len(server.requests) == 4
    server.script = [400]  # the first one fails, and is kept as it was
    again = ask_all(judge_at(server, "endpoint"), questions[:4], cache=cache, ask_again=True)
    assert [answer.right for answer in again] == [None, False, True, False] and len(server.requests) == 6
    assert again[0].failed and "something is wrong" in first_failure(again)
    assert ask_all(judge_at(server, "endpoint"), questions[:1], cache=cache)[0].unclear
    last = ask_all(judge_at(server, "endpoint"), questions[:4], cache=cache, ask_again=True)
    assert [answer.right for answer in last] == [True, False, True, False] and len(server.requests) == 7
    assert ask_all(judge_at(server, "endpoint"), questions[:4], cache=cache, ask_again=True) == last
    assert len(server.requests) == 7  # all is clear


def test_requests_of_chat_completions(server, questions, monkeypatch):
    monkeypatch.setenv("MY_KEY", "key")
    judge = judge_at(server, "endpoint", api_key_env="MY_KEY", body={"max_tokens": None, "top_k": 1})
    ask_all(judge, questions[:1])
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer key"
    assert {name: body[name] for name in body if name != "messages"} == {
        "model": "tiny",
        "temperature": 0,
        "seed": 0,
        "top_k": 1,
    }
    *images, text = body["messages"][0]["content"]
    assert len(images) == 4 and f". {SEEN}\n" in text["text"] and "4 pictures" in text["text"]
    assert "key" not in json.dumps(judge.describe())


def test_requests_of_gemini(server, questions):
    judge = judge_at(server, "gemini", config={"maxOutputTokens": None, "thinkingConfig": {"thinkingBudget": 0}})
    ask_all(judge, questions[2:3])
    path, headers, body = server.requests[0]
    headers = {name.lower(): value for name, value in headers.items()}
    assert path == "/v1/models/gemini-2.5-flash:generateContent"
    assert headers["x-goog-api-key"] == "secret" and "authorization" not in headers
    assert body["generationConfig"] == {"temperature": 0, "seed": 0, "thinkingConfig": {"thinkingBudget": 0}}
    assert "secret" not in json.dumps(judge.describe())


@pytest.mark.parametrize("kind", ["endpoint", "gemini"])
def test_nothing_is_asked_twice(server, questions, kind, tmp_path):
    cache = tmp_path / "cache.jsonl"
    first = ask_all(judge_at(server, kind), questions, cache=cache, seed=3)
    assert len(cache.read_text().splitlines()) == 6  # the unclear reply was paid for too
    assert ask_all(judge_at(server, kind), questions, cache=cache, seed=3) == first
    assert len(server.requests) == 5
    ask_all(judge_at(server, kind, rendering=Rendering(fps=3, size=64)), questions[2:3], cache=cache, seed=3)
    assert len(server.requests) == 6
    cache.write_bytes(cache.read_bytes()[:-9])
    ask_all(judge_at(server, kind, rendering=Rendering(fps=3, size=64)), questions[2:3], cache=cache, seed=3)
    assert len(server.requests) == 7 and len(cache.read_text().splitlines()) == 7
    orders = {questions[0].asked(seed).texts for seed in range(10)}
    for seed in range(10):
        ask_all(judge_at(server, kind), questions[:1], cache=cache, seed=seed)
    assert len(server.requests) == 7 + len(orders) - 1


def test_a_busy_service_is_asked_again(server, questions):
    server.script = [503, 429]
    answers = ask_all(judge_at(server, "gemini"), questions[2:3])
    assert answers[0].right and len(server.requests) == 3


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_service_that_goes_down_keeps_what_it_said(server, questions, tmp_path, parallel):
    cache = tmp_path / "cache.jsonl"
    server.script = [200] * parallel + [500] * 10
    judge = judge_at(server, "endpoint", retries=0, parallel=parallel)
    answers = ask_all(judge, questions, cache=cache, stop_after=2)
    assert [answer.failed for answer in answers] == [False] * parallel + [True] * (5 - parallel)
    assert "got none in 1 attempts: 500 something is wrong" in answers[parallel].error
    assert answers[-1].error == "not asked after 2 failures in a row"
    assert tally(answers)["failed"] == 5 - parallel and len(server.requests) == parallel + 2
    server.script = []
    again = ask_all(judge, questions, cache=cache)
    assert [answer.right for answer in again] == [True, False, True, False, None]
    assert len(server.requests) == parallel + 2 + 5 - parallel  # only those that were open


def test_one_failure_does_not_stop_the_rest(server, questions):
    server.script = [200, 500, 200, 500, 200]
    answers = ask_all(judge_at(server, "endpoint", retries=0), questions, stop_after=2)
    assert [answer.failed for answer in answers] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("kind", "step", "message"),
    [
        ("endpoint", 401, "refused the request: 401 something is wrong; set OPENAI_API_KEY"),
        ("gemini", 403, "refused the request: 403 something is wrong; set GEMINI_API_KEY"),
        ("endpoint", {"choices": []}, "must speak OpenAI's chat completions"),
        ("gemini", {"choices": []}, "must speak Gemini's generateContent"),
        ("gemini", {"candidates": [3]}, "must speak Gemini's generateContent"),
        ("endpoint", "  ", "tiny must reply, got no words; allow more tokens"),
        ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}, r"must reply, got no words \(SAFETY\)"),
        (
            "gemini",
            {"candidates": [{"finishReason": "MAX_TOKENS"}]},
            r"\(MAX_TOKENS\); .*maxOutputTokens",
        ),
        ("gemini", {"candidates": []}, r"got no words \(no reason given\)"),
    ],
)
def test_refusals_and_other_protocols_are_failures(server, questions, tmp_path, kind, step, message):
    import re

    server.script = [step]
    cache = tmp_path / "cache.jsonl"
    (answer,) = ask_all(judge_at(server, kind), questions[2:3], cache=cache)
    assert answer.failed and re.search(message, answer.error) and "\n" not in answer.error
    assert len(server.requests) == 1 and not cache.exists()


def test_nobody_there(server, questions):
    server.address = server.address.replace(str(server.server_port), "1")
    (answer,) = ask_all(judge_at(server, "endpoint", retries=1), questions[2:3])
    assert answer.failed and "must answer, got none in 2 attempts" in answer.error


def test_keys_are_kept_safe(questions, monkeypatch, tmp_path, server):
    cache = tmp_path / "cache.jsonl"
    known = ask_all(judge_at(server, "gemini"), questions[:1], cache=cache)
    monkeypatch.delenv("GEMINI_API_KEY")
    judge = judge_at(server, "gemini")
    with pytest.raises(ValueError, match="GEMINI_API_KEY must hold a key"):
        judge.check()
    with pytest.raises(ValueError, match="GEMINI_API_KEY must hold a key"):
        ask_all(judge, questions, cache=cache)
    assert ask_all(judge, questions[:1], cache=cache) == known  # what is known needs none
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    for judge in (
        EndpointJudge("http://example.invalid/v1", "x"),
        GeminiJudge("x", base_url="http://example.invalid"),
    ):
        monkeypatch.setenv("GEMINI_API_KEY", "secret")
        with pytest.raises(ValueError, match="base_url must be https where a key is sent") as caught:
            judge.check()
        assert "secret" not in str(caught.value)
    EndpointJudge("https://example.invalid/v1", "x").check()


@pytest.mark.parametrize(
    "address", ["https://me:word@host/v1", "https://host/v1?key=3", "https://host/v1#x", "https://[host/v1", "host"]
)
def test_addresses_hold_nothing_else(address):
    with pytest.raises(ValueError, match="base_url must be an address such as"):
        Endpoint(address, "KEY")
    with pytest.raises(ValueError, match="base_url must be an address such as"):
        ChatEndpoint(address, "model", {})


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="parallel must be a whole number of at least 1"):
        EndpointJudge("https://host/v1", "x", parallel=0)
    with pytest.raises(ValueError, match="timeout must be above 0"):
        GeminiJudge("x", timeout=0)


KILLED = """
import sys
from motionmillion.data.synthetic import synthesize
from motionmillion.eval.judges.pictures import Rendering
from motionmillion.eval.judges import Question, ask_all, make_judge

motion = synthesize("wave", seed=0, seconds=2)
questions = [Question(str(i), "match", motion, f"waving a hand {i} times") for i in range(60)]
ask_all(make_judge(sys.argv[1] + "#tiny", rendering=Rendering(fps=2, size=64), parallel=1), questions, sys.argv[2])
"""


@pytest.mark.slow
def test_a_killed_run_goes_on(server, tmp_path):
    cache = tmp_path / "cache.jsonl"
    run = subprocess.Popen([sys.executable, "-c", KILLED, server.address, str(cache)])
    try:
        end = time.monotonic() + 60
        while len(server.requests) < 4 and run.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
    finally:
        run.kill()
        run.wait()
    asked = len(server.requests)
    assert 4 <= asked < 60
    motion = synthesize("wave", seed=0, seconds=2)
    again = [Question(str(i), "match", motion, f"waving a hand {i} times") for i in range(60)]
    judge = judge_at(server, "endpoint", rendering=SMALL)
    assert all(answer.right for answer in ask_all(judge, again, cache=cache))
    assert 60 <= len(server.requests) <= 62  # but for what was on its way
