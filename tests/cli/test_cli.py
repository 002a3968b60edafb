"""The command line as a user types it: files appear, mistakes end with one line and exit code 2."""

import contextlib
import json
import os
import re
import subprocess
import sys
import termios
import threading

import numpy as np
import pytest
import torch

from motionmillion import Motion
from motionmillion.cli.jobs import output_jobs
from motionmillion.data import synthesize
from motionmillion.data.shards.tokens import load_token_shards


@pytest.fixture(scope="module")
def model(tiny_pipeline, tmp_path_factory):
    """Folder of a pipeline with random weights."""
    return str(tiny_pipeline.save_pretrained(tmp_path_factory.mktemp("model")))


def test_generate_writes_every_output(run, model, tmp_path):
    outputs = [tmp_path / name for name in ("wave.html", "wave.bvh", "sub/wave.npz", "wave.npy")]
    flags = [flag for path in outputs for flag in ("-o", path)]
    code, out, _ = run("generate", "a person waves", *flags, "--model", model, "--seconds", 1, "--seed", 3)
    assert code == 0 and [line for line in out.splitlines()] == [str(path) for path in outputs]
    assert Motion.load(tmp_path / "wave.bvh").num_frames == 30
    code, _, _ = run(
        "generate", "a person waves", "-o", tmp_path / "again.bvh", "--model", model, "--seconds", 1, "--seed", 3
    )
    assert (tmp_path / "again.bvh").read_bytes() == (tmp_path / "wave.bvh").read_bytes()


def test_an_interrupted_batch_is_finished_by_resume(run, model, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a person walks\n\na person jumps\nsomeone waves\n")
    flags = ("--prompts-file", prompts, "-n", 2, "--model", model, "--seconds", 1, "--batch-size", 4)
    assert run("generate", *flags, "-o", tmp_path / "whole" / "clip.bvh")[0] == 0
    files = sorted((tmp_path / "whole").iterdir())
    assert [f.name for f in files] == [f"clip-{n:04d}.bvh" for n in range(6)]
    expected = {f.name: f.read_bytes() for f in files}
    for name in ("clip-0001.bvh", "clip-0005.bvh"):
        (tmp_path / "whole" / name).unlink()
    (tmp_path / "whole" / "clip-0000.bvh").write_text("kept")
    code, out, _ = run("generate", *flags, "-o", tmp_path / "whole" / "clip.bvh", "--resume")
    assert code == 0 and len(out.splitlines()) == 2
    for name in ("clip-0001.bvh", "clip-0005.bvh"):
        assert (tmp_path / "whole" / name).read_bytes() == expected[name]
    assert (tmp_path / "whole" / "clip-0000.bvh").read_text() == "kept"


@pytest.mark.parametrize("suffix", [".txt", ".npz"])
def test_resume_refuses_files_of_other_prompts(tmp_path, suffix):
    outputs = [tmp_path / "clip.bvh", tmp_path / f"clip{suffix}"]
    for number, prompt in enumerate(("a person walks", "someone waves")):
        motion = synthesize("walk", seed=number, seconds=2).replace(caption=prompt)
        for path in outputs:
            motion.save(path.with_stem(f"clip-{number:04d}"))
    assert not output_jobs(["a person  walks", "someone waves"], outputs, 1, 0, resume=True)
    assert not output_jobs(["a person walks", "a person sits"], outputs, 1, 0, resume=True, settled=False)
    with pytest.raises(ValueError, match=r"resume, 'someone waves', got 'a person sits' for '.*clip-0001.*; remove"):
        output_jobs(["a person walks", "a person sits"], outputs, 1, 0, resume=True)
    outputs[1].with_stem("clip-0001").write_text("" if suffix == ".txt" else "no arrays")
    assert not output_jobs(["a person walks", "a person sits"], outputs, 1, 0, resume=True)


def test_tokenize_and_detokenize(run, model, tmp_path, tiny_tokenizer):
    source = synthesize("walk", seed=0, seconds=2).save(tmp_path / "walk.npz")
    assert run("tokenize", source, "-o", tmp_path / "codes.npy", "--model", model)[0] == 0
    codes = np.load(tmp_path / "codes.npy")
    assert codes.dtype == np.int64 and codes.shape == (15,)
    assert run("detokenize", tmp_path / "codes.npy", "-o", tmp_path / "back.npz", "--model", model)[0] == 0
    decoded = tiny_tokenizer.representation.decode(tiny_tokenizer.decode(torch.from_numpy(codes)[None])[0])
    assert torch.allclose(Motion.load(tmp_path / "back.npz").positions(), decoded.positions(), atol=1e-4)


def test_tokenize_a_folder(run, model, tmp_path):
    for seed, name in enumerate(("a/one", "a/two", "b/three")):
        source = synthesize("walk", seed=seed, seconds=2).save(tmp_path / "motions" / f"{name}.npz")
        source.with_suffix(".txt").write_text(f"walk {seed}")
    (tmp_path / "motions" / "val.txt").write_text("b/three")
    (tmp_path / "motions" / "broken.npz").write_text("no motion")
    flags = ("--model", model, "--workers", 1, "--shard-size", 2, "--batch-size", 2)
    arguments = ("tokenize", tmp_path / "motions", "-o", tmp_path / "codes", *flags)
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and re.search("'broken.npz'.*--skip-bad", err)
    code, out, err = run(*arguments, "--skip-bad")
    assert code == 0 and out == f"{tmp_path / 'codes'}\n" and "3 clips" in err
    clips = list(load_token_shards(tmp_path / "codes", codebook_size=125))
    assert [(clip.name, clip.captions) for clip in clips] == [
        ("a/one", ("walk 0",)),
        ("a/two", ("walk 1",)),
        ("b/three", ("walk 2",)),
    ]
    code, _, err = run(*arguments, "--split", "val")
    assert code == 2 and "a difference in splits" in err
    assert run(*arguments, "--split", "val", "--overwrite")[0] == 0
    assert [clip.name for clip in load_token_shards(tmp_path / "codes")] == ["b/three"]


def test_checkpoints_that_do_not_fit_are_not_converted(run, tmp_path):
    torch.save({"net": {}}, tmp_path / "net.pth")
    np.save(tmp_path / "mean.npy", np.zeros(272))
    arguments = ("convert", "tokenizer", tmp_path / "net.pth", "-o", tmp_path / "folder")
    code, _, err = run(*arguments, "--mean", tmp_path / "mean.npy", "--std", tmp_path / "mean.npy")
    assert code == 2 and "std must be above 0" in err
    code, _, err = run(*arguments)
    assert code == 2 and re.search("checkpoint must fit its options, got 66 weights missing", err)
    assert not (tmp_path / "folder").exists()


def test_export_and_view(run, tmp_path):
    motion = synthesize("turn", seed=0, seconds=2)
    source = motion.save(tmp_path / "turn.npz")
    code, out, _ = run("export", source, "-o", tmp_path / "turn.bvh", "-o", tmp_path / "turn.html", "--fps", 60)
    assert code == 0 and len(out.splitlines()) == 2
    (tmp_path / "turn.html").unlink()
    assert Motion.load(tmp_path / "turn.bvh").fps == pytest.approx(60, abs=0.01)
    assert run("view", source, "--no-browser", "-o", tmp_path / "page.html")[0] == 0
    assert "<html" in (tmp_path / "page.html").read_text()
    plain = motion.replace(caption="").save(tmp_path / "plain.bvh")
    assert run("view", source, plain, "--body", "stick", "--no-browser")[0] == 0
    page = (tmp_path / "turn.html").read_text()
    assert '"body":"stick"' in page and f"<title>{motion.caption} | plain</title>" in page


def test_view_replaces_its_own_pages_only_and_tells_motions_apart(run, tmp_path):
    motion = synthesize("turn", seed=0, seconds=2)
    sources = [motion.save(tmp_path / name) for name in ("a.npz", "b.npz", "other/b.npz")]
    assert run("view", sources[0], "--no-browser")[0] == 0
    code, _, err = run("view", *sources, "--no-browser")
    assert code == 0, err
    titles = [f"{motion.caption} ({name})" for name in ("a.npz", sources[1], sources[2])]
    assert f"<title>{' | '.join(titles)}</title>" in (tmp_path / "a.html").read_text(encoding="utf-8")
    for write in (lambda path: motion.save(path), lambda path: path.write_bytes(b"\xff mine")):
        write(tmp_path / "b.html")
        code, _, err = run("view", sources[1], "--no-browser")
        assert code == 2 and "which exists; choose another name or add --overwrite" in err
        assert run("view", sources[1], "-o", sources[1].with_suffix(".html"), "--no-browser", "--overwrite")[0] == 0
        (tmp_path / "b.html").unlink()


def test_joint_positions_are_exported_with_their_frame_rate_and_axis(run, tmp_path):
    positions = synthesize("walk", seed=0, seconds=2, fps=20).positions()
    x, y, z = positions.unbind(-1)
    source = tmp_path / "joints.npy"
    np.save(source, torch.stack([x, -z, y], dim=-1).numpy())
    code, _, error = run("export", source, tmp_path / "walk.bvh")
    assert code == 2 and "fps must be given for joint positions" in error and "--source-fps" in error
    assert run("export", source, tmp_path / "walk.bvh", "--source-fps", 20, "--up", "z")[0] == 0
    again = Motion.load(tmp_path / "walk.bvh")
    assert again.fps == pytest.approx(20, abs=0.01)
    assert (again.positions() - positions).norm(dim=-1).mean() < 0.01


def test_motions_are_put_together_from_the_command_line(run, tmp_path):
    walk, longer, between = (tmp_path / name for name in ("walk.bvh", "longer.npz", "between.npz"))
    assert run("generate", "--timeline", "1: a person walks", "--timeline", "0.5: a person jumps", "-o", walk)[0] == 0
    assert Motion.load(walk).num_frames == 45
    assert run("generate", "a person waves", "--prefix", walk, "--seconds", 1, "-o", longer, "-n", 2)[0] == 0
    assert [Motion.load(tmp_path / f"longer-000{n}.npz").num_frames for n in range(2)] == [75, 75]
    code, _, err = run("generate", "jump", "--prefix", walk, "--end", walk, "--seconds", 2, "-o", between)
    assert code == 0, err
    assert Motion.load(between).num_frames == 45 + 60 + 45
    code, out, err = run("generate", "jump", "--end", walk, "-o", tmp_path / "x.npz")
    assert code == 2 and "end must come with prefix and seconds" in err and not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "-o", "x.html"], "prompts must hold at least one"),
        (["generate", " ", "-o", "x.html"], "prompt must say"),
        (["generate", "walk"], "output must name at least one file"),
        (["generate", "walk", "-o", "x.docx"], "path must end in one of.*x.docx"),
        (["generate", "walk", "-o", "x"], "path must end in one of"),
        (["generate", "walk", "-o", "x.html", "--seconds", "-1"], "seconds must be above 0"),
        (["generate", "walk", "-o", "x.html", "--seconds", "1e9"], "seconds must be.*at most 60"),
        (["generate", "walk", "-o", "x.html", "-n", "0"], "num_samples must be a whole number of at least 1"),
        (["generate", "walk", "-o", "x.html", "--batch-size", "0"], "batch_size must be a whole number of at least 1"),
        (["generate", "walk", "-o", "x.html", "--model", "nosuch"], "pipeline must be one of"),
        (["generate", "walk", "-o", "x.html", "--device", "toaster"], "device must be one"),
        (["generate", "--prompts-file", "nosuch.txt", "-o", "x.html"], "prompts file must be an existing"),
        (["generate", "walk", "-o", "/dev/null/x.html"], "writable folder"),
        (["generate", "--timeline", "walk", "-o", "x.html"], 'timeline must look like "4: a person walks", got'),
        (["generate", "jump", "--timeline", "2: walk", "-o", "x.html"], "prompts must be left out with timeline"),
        (
            ["generate", "--timeline", "2: walk", "--seconds", "3", "-o", "x.html"],
            "seconds must be left out with time",
        ),
        (["generate", "--timeline", "0: walk", "-o", "x.html"], "seconds of part 0 must be above 0"),
        (["generate", "walk", "--prefix", "nosuch.bvh", "-o", "x.html"], "prefix must name an existing file"),
        (["generate", "walk", "-o", "x.html", "--rewrite-cache", "x.json"], "rewrite_cache must come with rewrite"),
        (["generate", "walk", "-o", "x.html", "--dtype", "int3"], "dtype must be one of"),
        (["generate", "walk", "-o", "x.html", "--quantization", "2bit"], "quantization must be one of"),
        (["generate", "walk", "-o", "x.html", "--min-p", "3"], "min_p must be in"),
        (["generate", "walk", "-o", "x.html", "--min-seconds", "11"], "min_seconds must be at most max_seconds"),
        (["generate", "walk", "-o", "x.html", "--rewrite", "nosuch/model/at/all"], "nosuch/model/at/all"),
        (["export", "nosuch.bvh", "x.html"], "path must name an existing file"),
        (["export", "nosuch.xyz", "x.html"], "path must end in one of"),
        (["tokenize", "nosuch.npz", "-o", "codes.txt"], "code file must end in .npy"),
        (["tokenize", ".", "-o", "codes"], "folder must hold motions"),
        (["tokenize", ".", "-o", "codes.npy"], "output must be a folder where the source is one"),
        (["tokenize", ".", "-o", "codes", "--split", "tset"], "splits must be among train, val, test, got tset"),
        (["tokenize", ".", "-o", "codes", "--workers", "0"], "workers must be at least 1"),
        (["tokenize", ".", "-o", "codes", "--device", "toaster"], "device must be one"),
        (["convert", "tokenizer", "nosuch.pth", "-o", "folder"], "checkpoint must be an existing file"),
        (["convert", "tokenizer", "x.pth", "-o", "folder", "--options", "nosuch.json"], "must name an existing file"),
        (["convert", "tokenizer", "x.pth", "-o", "folder", "--mean", "nosuch.npy"], "must name an existing file"),
        (["convert", "nosuch", "x.pth", "-o", "folder"], "nosuch"),
        (["detokenize", "nosuch.npy", "-o", "x.bvh"], "source must be an existing"),
        (["generate", "walk", "-o", "x.html", "--seconds", "abc"], "--seconds"),
        (["generate", "walk", "-o", "x.html", "--seed", "9" * 30], "seed must be"),
        (["train", "nosuch", "--config", "x.yaml"], "nosuch"),
        (["nosuch"], "nosuch"),
        (["view", "x.bvh", "-o", "x.bvh", "--no-browser"], "output must end in .html"),
        (["train", "lm", "--config", "nosuch.yaml"], "config must be an existing YAML"),
    ],
)
def test_mistakes_end_with_one_line_and_no_file(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    line = err.strip().splitlines()[-1]
    assert code == 2 and out == ""
    assert line.startswith("motionmillion: ") and re.search(message, line), err
    assert list(tmp_path.iterdir()) == []


def test_code_files_with_pickles_or_wrong_content_are_refused(run, model, tmp_path):
    np.save(tmp_path / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "float.npy", np.zeros(4))
    np.save(tmp_path / "large.npy", np.array([1, 5000]))
    for name, message in (
        ("pickle", "without pickled"),
        ("float", "whole numbers"),
        ("large", "codes must be in 0..124"),
    ):
        code, _, err = run("detokenize", tmp_path / f"{name}.npy", "-o", tmp_path / "x.bvh", "--model", model)
        assert code == 2 and message in err
    assert not (tmp_path / "x.bvh").exists()


def test_help_imports_neither_torch_nor_transformers():
    script = (
        "import sys; sys.argv = ['motionmillion', '--help']\n"
        "from motionmillion.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=True,
        timeout=200,
    )
    assert "generate" in done.stdout and "train" in done.stdout
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_the_package_runs_as_a_module():
    words = [sys.executable, "-m", "motionmillion", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=200)
    assert done.stdout.startswith("motionmillion ")


def test_a_single_motion_has_a_bar_of_codes_on_a_terminal(run, model, tmp_path, monkeypatch):
    mine, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (30, 90))
    pieces: list[bytes] = []

    def read() -> None:  # all along: a terminal takes a few kilobytes that nobody has read, and then waits
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(mine, 1 << 16):
                pieces.append(piece)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with open(theirs, "w", buffering=1) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        code, out, _ = run(
            "generate", "a person walks", "--seconds", "2", "--model", model, "-o", tmp_path / "walk.npz"
        )
    reader.join(20)
    os.close(mine)
    drawn = b"".join(pieces).decode(errors="replace")
    assert code == 0 and out == f"{tmp_path / 'walk.npz'}\n"
    assert "loading the model ..." in drawn and "generating: 0/" in drawn and " codes |" in drawn
    assert drawn.split("\r")[-2].strip() == ""


def test_lines_of_a_prompts_file_without_words_are_named(run, model, tmp_path):
    (tmp_path / "prompts.txt").write_text("a person walks\n\n!!!\nein Mann geht\n\U0001f938\n", encoding="utf-8")
    code, _, err = run(
        "generate", "--prompts-file", tmp_path / "prompts.txt", "--model", model, "-o", tmp_path / "x.npz"
    )
    assert code == 2 and "got '!!!' in line 3 of" in err and "prompts.txt', and in lines 5" in err
    assert not list(tmp_path.glob("x*"))


def test_pages_show_the_texts_of_a_timeline(run, model, tmp_path):
    page = tmp_path / "both.html"
    parts = ("--timeline", "1: a person walks", "--timeline", "0.5: a person jumps")
    assert run("generate", *parts, "--model", model, "-o", page)[0] == 0
    told = json.loads(re.search(r'"parts": ?(\[\[.*?\]\])', page.read_text())[1])
    assert told == [[0.0, 1.0, "a person walks"], [1.0, 1.5, "a person jumps"]]
