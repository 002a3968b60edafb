"""No command destroys a file: with checksums over the folder, for every command that writes."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
import typer

from motionmillion.cli.app import app
from motionmillion.cli.curate import STAGES
from motionmillion.data import synthesize
from motionmillion.data.building.build import build_set
from motionmillion.data.layouts.base import BuildOptions
from motionmillion.eval.prompts import Prompt, Suite
from motionmillion.eval.results import EVERYTHING, Estimate, Measure, ResultGroup, Results, SampleResult

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
FOLDERS = ("results", "other", "set")
"""Folders that are full of files before a command runs."""

COMMANDS = {
    "generate": ["generate", "a person waves", "--model", "MODEL", "-o", "old.html"],
    "generate several": ["generate", "walk", "jump", "--model", "MODEL", "-o", "new.npz", "-o", "many.txt"],
    "generate with a prefix": ["generate", "walk", "--model", "MODEL", "--prefix", "a.bvh", "-o", "a.bvh"],
    "generate from a file": ["generate", "--prompts-file", "old.txt", "--model", "MODEL", "-o", "old.txt"],
    "export": ["export", "a.bvh", "-o", "old.npz"],
    "export, captures": ["export", "a.bvh", "b.bvh", "c.bvh", "new.npz"],
    "export, two captures": ["export", "a.bvh", "b.bvh"],
    "export, to itself": ["export", "a.bvh", "-o", "a.bvh"],
    "export, to a link of itself": ["export", "a.bvh", "-o", "link.bvh"],
    "export, to another source": ["export", "a.bvh", "b.bvh", "-o", ".", "--format", "bvh"],
    "export, two of one name": ["export", "a.bvh", "set/a.npz", "-o", "new", "--format", "npz"],
    "export, old form": ["export", "a.bvh", "old.html"],
    "export, twice the same": ["export", "a.bvh", "-o", "new.npz", "-o", "./new.npz"],
    "retarget": ["retarget", "a.bvh", "--to", "b.bvh", "-o", "c.bvh"],
    "retarget, to the character": ["retarget", "a.bvh", "--to", "b.bvh", "-o", "b.bvh"],
    "retarget, to its source": ["retarget", "a.bvh", "--to", "b.bvh", "-o", "a.bvh"],
    "retarget, its mapping": ["retarget", "a.bvh", "--to", "b.bvh", "--save-mapping", "a.bvh"],
    "repair": ["repair", "a.bvh", "-o", "old.npz"],
    "repair, to itself": ["repair", "a.bvh", "-o", "a.bvh"],
    "view": ["view", "a.bvh", "--no-browser"],
    "view, to a file": ["view", "a.bvh", "--no-browser", "-o", "old.html"],
    "tokenize": ["tokenize", "a.bvh", "--model", "MODEL", "-o", "old.npy"],
    "tokenize, a features file to itself": ["tokenize", "old.npy", "--model", "MODEL", "-o", "old.npy"],
    "tokenize, a folder": ["tokenize", "set", "--model", "MODEL", "--workers", "1", "-o", "other"],
    "tokenize, a folder to itself": ["tokenize", "set", "--model", "MODEL", "--workers", "1", "-o", "set"],
    "detokenize": ["detokenize", "codes.npy", "--model", "MODEL", "-o", "old.html"],
    "detokenize, to itself": ["detokenize", "codes.npy", "--model", "MODEL", "-o", "codes.npy"],
    "convert": ["convert", "tokenizer", "net.pth", "-o", "other"],
    "evaluate": ["evaluate", "--suite", "suite.json", "--motions", "set", "--allow-missing", "-o", "results"],
    "evaluate, into motions": ["evaluate", "tokenizer", "--model", "MODEL", "--data", "set", "-o", "set"],
    "compare results": ["compare", "results", "results", "other", "-o", "results"],
    "compare side-by-side": ["compare", "side-by-side", "results", "other", "-o", "results"],
    "compare votes": ["compare", "votes", "results/votes.json", "-o", "results"],
    "bench": ["bench", "eval", "-o", "results", "--batch-size", "2", "--frames", "30", "--repeats", "1"],
    "data audit": ["data", "audit", "set", "-o", "old.txt"],
    "data describe": ["data", "describe", "set", "-o", "set/clips.jsonl"],
    "data build": ["data", "build", "set", "-o", "other"],
    "data build, to itself": ["data", "build", "set", "-o", "set"],
    "data filter": ["data", "filter", "TABLE", "-o", "other"],
    "data filter, to itself": ["data", "filter", "TABLE", "-o", "TABLE"],
    "data split": ["data", "split", "TABLE", "-o", "other"],
    "data split, to itself": ["data", "split", "TABLE", "-o", "TABLE"],
    "data match": ["data", "match", "TABLE", "-o", "other"],
    "data match, to itself": ["data", "match", "TABLE", "-o", "TABLE"],
    "data merge": ["data", "merge", "TABLE", "-o", "other"],
    "data merge, to itself": ["data", "merge", "TABLE", "-o", "TABLE"],
    "data encode-text": ["data", "encode-text", "old.txt", "--text-encoder", MINILM, "-o", "results"],
    "curate all": ["curate", "film.mp4", "--out", "results"],
    **{f"curate {stage}": ["curate", stage, "film.mp4", "--out", "results"] for stage in STAGES},
    "curate captions": ["curate", "captions", "set", "-o", "results/clips.jsonl"],
    "train": ["train", "tokenizer", "--config", "recipe.yaml"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder in which every output of `COMMANDS` exists."""
    monkeypatch.chdir(tmp_path)
    walk = synthesize("walk", seed=0, seconds=2)
    for name in ("a.bvh", "b.bvh", "c.bvh", "set/a.npz", "set/walk.npz", "old.npz", "old.npy", "old.html", "a.html"):
        walk.save(tmp_path / name)
    (tmp_path / "link.bvh").symlink_to("a.bvh")
    for name in FOLDERS:
        (tmp_path / name).mkdir(exist_ok=True)
        _results(name, "theirs").save(tmp_path / name)
        for file in ("report.md", "comparison.md", "side_by_side.json", "rating.html", "votes.md", "clips.jsonl"):
            (tmp_path / name / file).write_text("mine\n")
    clip = {"clip": "a", "take": "a", "start": 0, "end": 9, "split": "test", "shard": "a.npz", "captions": []}
    (tmp_path / "set" / "clips.jsonl").write_text(json.dumps(clip))
    (tmp_path / "results" / "votes.json").write_text("{}")
    (tmp_path / "old.txt").write_text("a person walks\n")
    (tmp_path / "film.mp4").write_bytes(b"no film")
    (tmp_path / "many-0001.txt").write_text("mine\n")
    np.save(tmp_path / "codes.npy", np.zeros(3, np.int64))
    torch.save({"net": {}}, tmp_path / "net.pth")
    Suite("suite", "1", [Prompt("walk", "a person walks", category="x")]).save(tmp_path / "suite.json")
    (tmp_path / "run" / "final").mkdir(parents=True)
    (tmp_path / "run" / "final" / "config.json").write_text("{}")
    (tmp_path / "recipe.yaml").write_text("output: run\ndata: {synthetic: 4}\ntraining: {max_steps: 1}\n")
    return tmp_path


def _results(suite, system):
    group = ResultGroup(EVERYTHING, "all", 1, {"x": Estimate(1.0)})
    return Results(suite, system, {}, [Measure("x", "x")], [group], [SampleResult("walk", "walk", values={"x": 1.0})])


def _checksums(folder):
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def model(tiny_pipeline, tmp_path_factory):
    return str(tiny_pipeline.save_pretrained(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A data set on disk of two motions."""
    source = tmp_path_factory.mktemp("motions")
    for name in ("a", "b"):
        synthesize("walk", seed=0, seconds=2).save(source / f"{name}.npz")
        (source / f"{name}.txt").write_text("a person walks\n")
    build_set(source, source.parent / "table", None, BuildOptions(), workers=1)
    return source.parent / "table"


@pytest.fixture
def words_of(folder, model, table):
    """A function that returns the words of a command of the list, in `folder`."""

    def words(name):
        if "TABLE" in COMMANDS[name]:
            shutil.copytree(table, folder / "table", dirs_exist_ok=True)
        names = {"MODEL": model, "TABLE": "table"}
        return [names.get(word, word) for word in COMMANDS[name]]

    return words


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_writes_over_a_file(run, folder, words_of, name):
    words = words_of(name)
    before = _checksums(folder)
    code, out, err = run(*words)
    assert _checksums(folder) == before
    assert code == 2 and out == "" and len(err.strip().splitlines()) == 1, err
    assert any(word in err for word in ("output", "overwrite", "config")), err


SOURCES = [name for name, words in COMMANDS.items() if "itself" in name or "prefix" in name or "file" in name]
SOURCES += ["export, to another source", "export, two captures", "export, captures", "compare votes"]


@pytest.mark.parametrize("name", [name for name in SOURCES if "view" not in name])
def test_a_source_is_not_even_overwritten_on_request(run, folder, words_of, name):
    words = words_of(name)
    before = _checksums(folder)
    code, _, err = run(*words, "--overwrite")
    assert _checksums(folder) == before and code == 2, err


@pytest.mark.parametrize(
    ("name", "replaced"),
    [
        ("generate", ["old.html"]),
        ("export", ["old.npz"]),
        ("export, old form", ["old.html"]),
        ("repair", ["old.npz"]),
        ("view", ["a.html"]),
        ("tokenize", ["old.npy"]),
        ("detokenize", ["old.html"]),
        ("data audit", ["old.txt"]),
    ],
)
def test_other_files_are_overwritten_on_request(run, folder, words_of, name, replaced):
    if name == "data audit":
        (folder / "set" / "clips.jsonl").unlink()
    before = _checksums(folder)
    code, _, err = run(*words_of(name), "--overwrite", *(["--seconds", "1"] if name == "generate" else []))
    after = _checksums(folder)
    assert code == 0, err
    assert sorted(file for file in after if after[file] != before.get(file)) == replaced


def test_every_command_that_writes_is_in_the_list():
    reads_only: set[str] = {"data check", "data stats", "data verify", "serve"}
    known = {" ".join(words[: 2 if words[0] in ("compare", "data") else 1]) for words in COMMANDS.values()}
    known = {word for word in known if word != "curate"} | {name for name in COMMANDS if name.startswith("curate ")}
    commands = set()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        commands |= {f"{name} {sub}" for sub in command.commands} if hasattr(command, "commands") else {name}
    assert commands - reads_only == known


def test_captures_are_exported_into_a_folder(run, folder):
    before = _checksums(folder)
    code, out, err = run("export", "a.bvh", "b.bvh", "c.bvh", "-o", "made", "--format", "npz", "--format", ".html")
    assert code == 0, err
    assert out.split() == [f"made/{name}.{suffix}" for name in "abc" for suffix in ("npz", "html")]
    assert {name: digest for name, digest in _checksums(folder).items() if "made" not in name} == before


def test_the_old_form_of_export_takes_exactly_two_files(run, folder):
    assert run("export", "a.bvh", "new.npz")[0] == 0
    code, out, err = run("export", "a.bvh", "new2.npz", "new.html")
    assert code == 2 and "output must be named with -o, got 3 files" in err and not (folder / "new2.npz").exists()
    code, _, err = run("export", "a.bvh")
    assert code == 2 and "output must be named with -o, got none" in err
    code, _, err = run("export", "a.bvh", "new.npz")
    assert code == 2 and "write export a.bvh -o NEW_FILE" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.bvh", "-o", "made"], "format must come with an output folder, got none for 'made'; add --format"),
        (["a.bvh", "-o", "x.npz", "--format", "npz"], "format must come with an output folder, got '.npz'"),
        (["a.bvh", "-o", "made", "--format", "docx"], "format must be one of"),
        (["a.bvh", "b.bvh", "-o", "all.npz"], "output must be a folder for 2 sources, got 'all.npz'; write -o FOLDER"),
        (["a.bvh", "nosuch.bvh", "-o", "made", "--format", "npz"], "path must name an existing file, got 'nosuch"),
        (["a.bvh", "broken.bvh", "-o", "made", "--format", "npz"], "broken.bvh"),
    ],
)
def test_mistakes_of_export_write_nothing(run, folder, words, message):
    (folder / "broken.bvh").write_text("no motion")
    before = _checksums(folder)
    code, out, err = run("export", *words)
    assert code == 2 and out == "" and message in err, err
    assert _checksums(folder) == before and not (folder / "made").exists()


def test_a_repeated_evaluation_may_replace_its_own_results(tmp_path):
    from motionmillion.eval.results import check_results_folder

    check_results_folder(tmp_path, ["report.md"], "suite", "mini")
    _results("suite", "mini").save(tmp_path)
    (tmp_path / "report.md").write_text("")
    check_results_folder(tmp_path, ["report.md"], "suite", "mini")
    with pytest.raises(ValueError, match="made with the system 'mini' instead of 'other'.*--overwrite"):
        check_results_folder(tmp_path, ["report.md"], "suite", "other")
    with pytest.raises(ValueError, match="made with the split None instead of 'val'"):
        check_results_folder(tmp_path, ["report.md"], "suite", "mini", same={"split": "val"})
    check_results_folder(tmp_path, ["report.md"], "suite", "other", overwrite=True)
    (tmp_path / "results.json").unlink()
    with pytest.raises(ValueError, match="report.md', which is not the result of an evaluation"):
        check_results_folder(tmp_path, ["report.md"], "suite", "mini")
