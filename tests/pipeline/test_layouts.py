"""Repositories on the hub, served by a local server: what is downloaded, and what cannot be."""

import contextlib
import hashlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from motionmillion import MotionPipeline
from motionmillion.pipeline.folder import find_pipeline, layout_of, pipeline_defaults
from motionmillion.pipeline.layouts import find_layout, layouts

COMMIT = "1" * 40
MOTIONMILLION = ["mm_config.json", "fsq.safetensors", "ar.safetensors", "mean.npy", "std.npy"]
VIMOGEN = ["model.pt", "model_index.json", "assets/meta/mean.npy", "assets/meta/std.npy"]


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's interface that downloads use, for the files in `files`; `refusal` is a status and code."""

    files: dict[str, bytes] = {}
    fetched: list[str] = []
    refusal: tuple[int, str] | None = None

    def log_message(self, format: str, *args) -> None:
        pass

    def answer(self, status: int, content: bytes = b"", head: bool = False, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if not head:
            self.wfile.write(content)

    def do_GET(self, head: bool = False) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.refusal is not None:
            status, code = self.refusal
            return self.answer(status, b"{}", head, X_Error_Code=code)
        if path.startswith("/api/models/"):
            siblings = [{"rfilename": name} for name in self.files]
            content = {"id": "someone/model", "sha": COMMIT, "siblings": siblings}
            if "/tree/" in path:
                content = [
                    {"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in self.files.items()
                ]
            return self.answer(200, json.dumps(content).encode(), head, Content_Type="application/json")
        name = path.split(f"/resolve/{COMMIT}/")[-1].split("/resolve/main/")[-1]
        if name not in self.files:
            return self.answer(404, b"{}", head, X_Error_Code="EntryNotFound")
        if not head:
            self.fetched.append(name)
        tag = f'"{hashlib.sha256(self.files[name]).hexdigest()[:40]}"'
        return self.answer(200, self.files[name], head, ETag=tag, X_Repo_Commit=COMMIT)

    def do_HEAD(self) -> None:
        self.do_GET(head=True)


@contextlib.contextmanager
def serving(handler: type[Hub]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[type[Hub]]:
    """A hub of one repository, `someone/model`, and an empty cache."""

    class Own(Hub):
        files: dict[str, bytes] = {}
        fetched: list[str] = []

    with serving(Own) as address:
        set_endpoint(monkeypatch, address, tmp_path)
        yield Own


def set_endpoint(monkeypatch, address: str, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (
            ["pipeline.json", "README.md", "tokenizer/model.safetensors", "lm/config.json"],
            "tokenizer/model.safetensors",
        ),
        ([*MOTIONMILLION, "text_encoder/spiece.model", "text_encoder/model.safetensors"], "ar.safetensors"),
        (VIMOGEN, "model.pt"),
    ],
)
def test_a_repository_is_downloaded_without_foreign_files(hub, files, weights):
    hub.files = {name: name.encode() for name in [*files, "demo.mp4", "optimizer.bin", "wan/models_t5.pth"]}
    folder = find_pipeline("someone/model")
    assert sorted(hub.fetched) == sorted(files) and hub.fetched.index(weights) >= 1
    assert all((folder / name).read_bytes() == name.encode() for name in files)
    hub.fetched.clear()
    assert find_pipeline("someone/model") == folder and not hub.fetched


def test_of_a_foreign_repository_no_weights_are_downloaded(hub):
    hub.files = {name: name.encode() for name in ("config.json", "model.safetensors", "model_index.json")}
    message = "must be a repository with a pipeline.json or the weights of MotionMillion or ViMoGen as published"
    with pytest.raises(ValueError, match=message):
        find_pipeline("someone/model")
    assert sorted(hub.fetched) == ["config.json", "model_index.json"]


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "GatedRepo", "it is gated: accept its terms at https://huggingface.co/someone/model, then run hf auth"),
        (401, "RepoNotFound", "there is no such repository, or it is private: check the spelling, or run hf auth"),
        (404, "RepoNotFound", "there is no such repository"),
    ],
)
def test_a_repository_without_access_is_one_line_and_writes_nothing(hub, run, tmp_path, status, code, reason):
    hub.refusal = (status, code)
    with pytest.raises(ValueError, match="must be a folder or on the hub, got 'someone/model'") as caught:
        MotionPipeline.from_pretrained("someone/model")
    assert reason in str(caught.value) and "\n" not in str(caught.value)
    exit_code, out, err = run("generate", "jump", "--model", "someone/model", "-o", tmp_path / "out" / "x.bvh")
    assert exit_code == 2 and not out and reason in " ".join(err.split()) and "Traceback" not in err
    assert not (tmp_path / "out").exists() and not list(tmp_path.rglob("*.json"))


def test_without_a_network_it_is_one_line(monkeypatch, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    set_endpoint(monkeypatch, address, tmp_path)
    with pytest.raises(ValueError, match="it is not in the cache and the hub cannot be reached: check the network"):
        find_pipeline("someone/model")
    assert not list(tmp_path.rglob("*.json"))


def test_a_layout_is_found_by_any_of_its_files(tmp_path):
    assert find_layout(tmp_path) is None
    assert [layout.name for layout in layouts()] == ["MotionMillion", "ViMoGen"]
    for number, (name, layout) in enumerate([("fsq.safetensors", "MotionMillion"), ("model.pt", "ViMoGen")]):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(b"")
        found = find_layout(folder)
        assert found is not None and found.name == layout
        assert pipeline_defaults(folder)["temperature"] == (0 if number == 0 else 1)
        (folder / "pipeline.json").write_text("{}")  # a folder of ours comes first
        assert layout_of(folder) is None


def test_a_folder_that_is_nothing_is_told_what_there_is(tmp_path):
    with pytest.raises(
        ValueError, match="a pipeline.json or the weights of MotionMillion or ViMoGen as published, got"
    ):
        MotionPipeline.from_pretrained(tmp_path)
