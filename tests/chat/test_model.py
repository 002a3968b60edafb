"""What a name of a chat model means, and what is sent for a system message."""

import json
from http.server import BaseHTTPRequestHandler

import pytest

from motionmillion.chat.endpoint import ChatEndpoint
from motionmillion.chat.gemini import GeminiChat
from motionmillion.chat.local import LocalChat
from motionmillion.chat.model import make_by_name
from motionmillion.text.rewriting import GeminiRewriter, RewriteError, make_rewriter


def means(name: str, **options):
    kinds = [lambda *given, kind=kind, **rest: (kind, *given, rest) for kind in ("local", "endpoint", "gemini")]
    return make_by_name(name, *kinds, demand="judge must name a model", example="MODEL", **options)


def test_names_and_the_device():
    assert means("owner/name", device="cuda", a=1) == ("local", "owner/name", {"device": "cuda", "a": 1})
    assert means("http://h/v1#m#n", device="cuda", a=1) == ("endpoint", "http://h/v1", "m#n", {"a": 1})
    assert means("gemini:g-2", device="cuda") == ("gemini", "g-2", {})
    for name, hint in (("https://h/v1", "https://h/v1#"), ("https://h/v1#", "https://h/v1#"), ("gemini:", "gemini:")):
        with pytest.raises(ValueError) as caught:
            means(name)
        assert str(caught.value) == f'judge must name a model, got {name!r}; write "{hint}MODEL"'


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="max_new_tokens must be a whole number of at least 1"):
        LocalChat("some/model", max_new_tokens=0)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        parts = [{"text": "hm", "thought": True}, {"text": "[a person "}, {"text": "waves]"}]
        chat = {"choices": [{"message": {"content": "hello"}}]}
        answer = chat if "messages" in body else {"candidates": [{"content": {"parts": parts}}]}
        if "blocked" in json.dumps(body):
            answer = {"promptFeedback": {"blockReason": "SAFETY"}}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch, serve):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "secret")
    server = serve(Handler)
    server.bodies = []  # type: ignore[attr-defined]
    return server


def test_a_system_message_is_sent_apart(server):
    address = f"http://127.0.0.1:{server.server_port}"
    assert ChatEndpoint(address, "m", {"seed": 1, "top_k": None}).ask("hi", system="be kind") == "hello"
    system, user = {"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}
    assert server.bodies[0] == {"model": "m", "seed": 1, "messages": [system, user]}
    assert GeminiChat("m", {"seed": 1}, base_url=address).ask("hi", system="be kind") == "[a person waves]"
    user = {"role": "user", "parts": [{"text": "hi"}]}
    system = {"parts": [{"text": "be kind"}]}
    assert server.bodies[1] == {"contents": [user], "generationConfig": {"seed": 1}, "systemInstruction": system}


def test_gemini_rewrites(server, tmp_path):
    options = dict(base_url=f"http://127.0.0.1:{server.server_port}", cache=tmp_path / "cache.json", device="cpu")
    rewriter = make_rewriter("gemini:flash", **options)
    assert isinstance(rewriter, GeminiRewriter) and rewriter("say hi")[0].rewritten == "a person waves"
    assert server.bodies[0]["generationConfig"] == {"temperature": 0, "maxOutputTokens": 2048}
    assert make_rewriter("gemini:flash", **options)("say hi") == rewriter("say hi") and len(server.bodies) == 1
    make_rewriter("gemini:other", **options)("say hi")
    assert len(server.bodies) == 2  # another model, another entry of the cache
    with pytest.raises(RewriteError, match=r"Gemini must reply, got no words \(SAFETY\).*on_error"):
        rewriter("blocked")
