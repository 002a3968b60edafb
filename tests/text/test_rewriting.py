"""Prompt rewriting: a small language model trained on the spot, a real server on this machine, and every failure."""

import json
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from motionmillion import Motion
from motionmillion.cli.app import main
from motionmillion.text.rewriting import (
    INSTRUCTION,
    EndpointRewriter,
    LocalRewriter,
    RewriteError,
    make_rewriter,
    read_answer,
)

PAIRS = {
    "Anna strolls over": "[ a person walks forward ]",
    "hop hop": "[ a person jumps twice ]",
    "say hi": "[ a person waves ]",
}
SHORT = "Rewrite the sentence of the user ."
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'system' and NO_SYSTEM %}{{ raise_exception('no system role') }}{% endif %}"
    "<{{ message.role }}> {{ message.content }} <end> {% endfor %}<assistant>"
)


def learn(folder, template: str | None) -> str:
    """Train a tiny Llama on what `LocalRewriter` will ask, until it knows `PAIRS` by heart."""
    torch.manual_seed(0)
    prompts = {}
    for prompt in PAIRS:
        if template is None:
            prompts[prompt] = f'{SHORT}\n\nSentence: "{prompt}"\nAnswer: ['
        elif "NO_SYSTEM" in template:
            prompts[prompt] = f"<system> {SHORT} <end> <user> {prompt} <end> <assistant>"
        else:
            prompts[prompt] = f"<user> {SHORT}\n\nThe sentence: {prompt} <end> <assistant>"
    rows = [
        f"{prompts[prompt]} {answer.removeprefix('[' if template is None else '')} </s>"
        for prompt, answer in PAIRS.items()
    ]
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = ["<unk>", "</s>", "<pad>"]
    words = (row.removesuffix(" </s>") for row in rows)
    tokenizer.train_from_iterator(words, trainers.WordLevelTrainer(special_tokens=special, show_progress=False))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>", pad_token="<pad>")
    if template is not None:
        fast.chat_template = template
    fast.save_pretrained(folder)
    batch = fast(rows, padding=True, return_tensors="pt")
    sizes = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(fast), eos_token_id=fast.eos_token_id, bos_token_id=None, pad_token_id=2, **sizes)
    )
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return str(folder)


TEMPLATES = {
    "chat": TEMPLATE.replace("NO_SYSTEM", "false") + "{# NO_SYSTEM #}",
    "no_system": TEMPLATE.replace("NO_SYSTEM", "true"),
    "plain": None,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: learn(tmp_path_factory.mktemp(kind), template) for kind, template in TEMPLATES.items()}


@pytest.mark.parametrize("kind", TEMPLATES)
def test_a_local_model_rewrites(folders, kind):
    rewriter = LocalRewriter(folders[kind], instruction=SHORT, max_new_tokens=12)
    rewrites = rewriter(list(PAIRS))
    assert [rewrite.original for rewrite in rewrites] == list(PAIRS)
    assert [rewrite.rewritten for rewrite in rewrites] == [answer.strip("[] ") for answer in PAIRS.values()]
    assert not any(rewrite.kept for rewrite in rewrites)
    assert rewriter("say hi") == rewrites[2:]  # alone as in company, and the same again


def test_a_model_that_answers_nonsense_is_an_error_or_a_warning(tmp_path, folders):
    silent = dict(instruction=SHORT, max_new_tokens=1)  # no room for an answer
    with pytest.raises(RewriteError, match="must hold one sentence in square brackets.*on_error"):
        LocalRewriter(folders["chat"], **silent)("say hi")
    cache = tmp_path / "cache.json"
    with pytest.warns(UserWarning, match="prompt 'say hi' was kept as it is"):
        rewrites = LocalRewriter(folders["chat"], on_error="keep", cache=cache, **silent)("say hi")
    assert rewrites[0].kept and rewrites[0].rewritten == "say hi" and not cache.exists()


def test_a_cache_asks_and_loads_nothing_twice(tmp_path, folders):
    cache = tmp_path / "cache.json"
    options = dict(instruction=SHORT, max_new_tokens=12, cache=cache)
    first = LocalRewriter(folders["chat"], **options)("say hi")
    again = LocalRewriter(folders["chat"], **options)
    assert again("say hi") == first and again.chat.loaded is None
    assert "a person waves" in cache.read_text()
    other = LocalRewriter(folders["chat"], **{**options, "instruction": SHORT + " Please"})
    assert other.identity != again.identity and other._known.get(other.identity) is None
    for content in ("{", "[]", '{"a": 3}', '{"a": {"b": 3}}'):
        cache.write_text(content)
        with pytest.raises(ValueError, match="cache must be a JSON file of rewritten prompts"):
            LocalRewriter(folders["chat"], **options)


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match='on_error must be "raise" or "keep"'):
        LocalRewriter("x", on_error="ignore")
    with pytest.raises(ValueError, match="causal language model in a folder or on the hub"):
        LocalRewriter(str(tmp_path))("say hi")
    with pytest.raises(ValueError, match="prompt must say what the person does"):
        LocalRewriter(str(tmp_path))("...")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("[a person waves]", "a person waves"),
        ('Sure! Here it is:\n\n["a person waves"]\n\nI hope this helps [really].', "a person waves"),
        ("<think>[no] hmm</think>\n[a person\nwaves]", "a person waves"),
        ("```text\n[a person waves]\n```", "a person waves"),
        ("Rewritten sentence: “a person waves”", "a person waves"),
        ("{a person waves}", "a person waves"),
        ("a person walks: slowly", "a person walks: slowly"),
    ],
)
def test_answers_are_read(answer, sentence):
    assert read_answer(answer) == sentence


@pytest.mark.parametrize(
    "answer", ["", "[]", "[123]", "two\nlines", "<think>endless [a person", "[" + "walks " * 100 + "]", "..."]
)
def test_answers_without_a_sentence_are_refused(answer):
    with pytest.raises(RewriteError, match="must hold one sentence"):
        read_answer(answer)


class Server(ThreadingHTTPServer):
    """Speaks chat completions; `script` holds statuses or bodies to answer with before it does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list = []
        self.retry_after = "0"
        self.requests: list[tuple[str, dict, dict]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        step = self.server.script.pop(0) if self.server.script else 200
        if step == "hang up":
            self.connection.close()
            return
        prompt = body["messages"][-1]["content"]
        answer = {"choices": [{"message": {"role": "assistant", "content": PAIRS.get(prompt, "[]")}}]}
        status, content = (step, answer) if isinstance(step, int) else (200, step)
        if status != 200:
            content = {"error": {"message": "something\nis wrong"}}
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_rewrites(server, monkeypatch, tmp_path):
    rewriter = make_rewriter(f"{server.address}#tiny", cache=tmp_path / "cache.json", device="cpu")
    assert [rewrite.rewritten for rewrite in rewriter(["hop hop", "say hi"])] == [
        "a person jumps twice",
        "a person waves",
    ]
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions" and "Authorization" not in headers
    assert body["model"] == "tiny" and body["temperature"] == 0 and body["max_tokens"] == 200
    assert body["messages"] == [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "hop hop"}]
    make_rewriter(f"{server.address}#tiny", cache=tmp_path / "cache.json")(["say hi", "hop hop"])
    assert len(server.requests) == 2
    monkeypatch.setenv("MY_KEY", "secret")
    changed = EndpointRewriter(server.address + "/", "tiny", "MY_KEY", body={"max_tokens": None, "seed": 1})
    assert changed("say hi")[0].rewritten == "a person waves"
    path, headers, body = server.requests[2]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body["seed"] == 1 and "max_tokens" not in body


def test_a_busy_endpoint_is_asked_again(server):
    server.script = [503, 429, "hang up"]
    rewriter = EndpointRewriter(server.address, "tiny", retries=3, backoff=0.01)
    assert rewriter("say hi")[0].rewritten == "a person waves" and len(server.requests) == 4
    server.script = [500] * 3
    with pytest.raises(RewriteError, match="must answer, got none in 3 attempts: 500 something is wrong"):
        EndpointRewriter(server.address, "tiny", retries=2, backoff=0.01)("say hi")
    server.script = [500]
    with pytest.warns(UserWarning, match="kept as it is"):
        rewriter = EndpointRewriter(server.address, "tiny", retries=0, backoff=0.01, on_error="keep")
        assert rewriter("say hi")[0].kept


def test_no_wait_is_longer_than_a_minute(server, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("motionmillion.chat.endpoint.time.sleep", waits.append)
    for header, backoff, expected in (
        ("3600", 0.5, [60, 60, 60]),
        ("0", 40, [40, 60, 60]),
        ("3", 0.5, [3, 3, 3]),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 0.5, [0.5, 1, 2]),
    ):
        server.retry_after, server.script = header, [503] * 3
        rewriter = EndpointRewriter(server.address, "tiny", retries=3, backoff=backoff)
        assert rewriter("say hi")[0].rewritten == "a person waves"
        assert waits == expected, header
        waits.clear()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (401, "refused the request: 401 something is wrong; set OPENAI_API_KEY"),
        (404, "refused the request: 404 something is wrong"),
        (302, "refused the request: 302"),
        (b"<html>", "must speak OpenAI's chat completions, got b'<html>'"),
        ({"choices": []}, "must speak OpenAI's chat completions"),
        ({"choices": [{"message": {"content": None}}]}, "must speak OpenAI's chat completions"),
        ({"choices": [{"message": {"content": "[]"}}]}, "must hold one sentence"),
    ],
)
def test_answers_that_say_no_are_not_asked_again(server, step, message):
    server.script = [step]
    with pytest.raises(RewriteError, match=message):
        EndpointRewriter(server.address, "tiny", backoff=0.01)("say hi")
    assert len(server.requests) == 1


def test_nobody_there(server):
    address = server.address.replace(str(server.server_port), "1")
    with pytest.raises(RewriteError, match="must answer, got none in 2 attempts: .*refused.*; check the address"):
        EndpointRewriter(address, "tiny", retries=1, backoff=0.01)("say hi")


def test_a_slow_endpoint_is_given_up(monkeypatch):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(RewriteError, match="in 1 attempts: .*timed out"):
            EndpointRewriter(address, "tiny", timeout=0.1, retries=0)("say hi")


def test_addresses_and_numbers_are_checked(monkeypatch):
    for address in ("localhost:8000", "ftp://host/v1", "https:///v1"):
        with pytest.raises(ValueError, match="base_url must be an address"):
            EndpointRewriter(address, "tiny")
    for options, message in (
        ({"timeout": 0}, "timeout must be above 0"),
        ({"retries": -1}, "retries must be a whole number of at least 0"),
        ({"backoff": -1}, "backoff must be a number"),
    ):
        with pytest.raises(ValueError, match=message):
            EndpointRewriter("https://host/v1", "tiny", **options)
    with pytest.raises(ValueError, match='write "https://host/v1#model"'):
        make_rewriter("https://host/v1")
    assert isinstance(make_rewriter("some/model", device="cpu"), LocalRewriter)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with pytest.raises(ValueError, match="must be https where a key is sent") as caught:
        EndpointRewriter("http://example.invalid/v1", "tiny", retries=0)("say hi")
    assert "secret" not in str(caught.value)


def test_nothing_warns_when_all_goes_well(server):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EndpointRewriter(server.address, "tiny")("say hi")


def test_a_pipeline_reads_what_was_rewritten(server, tiny_pipeline):
    rewriter = EndpointRewriter(server.address, "tiny")
    motions = tiny_pipeline(["hop hop", "say hi"], seconds=1, rewriter=rewriter)
    assert [motion.caption for motion in motions] == ["a person jumps twice", "a person waves"]
    plain = tiny_pipeline("a person waves", seconds=1)[0]
    assert torch.allclose(motions[1].positions(), plain.positions(), atol=1e-3)
    assert tiny_pipeline("say hi", seconds=1)[0].caption == "say hi" and len(server.requests) == 2  # never unasked


def test_the_command_line_shows_both_forms(server, tiny_pipeline, tmp_path, monkeypatch, capsys):
    folder = tiny_pipeline.save_pretrained(tmp_path / "model")
    command = ["motionmillion", "generate", "say hi", "--rewrite", f"{server.address}#tiny", "--model", str(folder)]
    monkeypatch.setattr("sys.argv", [*command, "-o", str(tmp_path / "hi.npz"), "--seconds", "1"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert "rewritten: 'say hi' -> 'a person waves'" in capsys.readouterr().err
    assert Motion.load(tmp_path / "hi.npz").num_frames == 30
    server.script.append(400)
    monkeypatch.setattr("sys.argv", [*command, "-o", str(tmp_path / "kept.npz"), "--rewrite-errors", "keep"])
    with pytest.raises(SystemExit) as stop, pytest.warns(UserWarning, match="was kept as it is"):
        main()
    assert stop.value.code == 0 and (tmp_path / "kept.npz").exists()
