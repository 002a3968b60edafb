"""Errors of the command line name what exists there: options, keys, packages, the help of the command at hand."""

import json
import os
import subprocess
import sys

import pytest

from motionmillion import __version__
from motionmillion.cli.messages import message_of, packages_of


def test_the_version_is_shown(run):
    code, out, _ = run("--version")
    assert (code, out) == (0, f"motionmillion {__version__}\n")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["generate", "walk", "--nosuch", "1"], "motionmillion generate"),
        (["view"], "motionmillion view"),
        (["data", "audit"], "motionmillion data audit"),
        (["compare", "votes", "--nosuch"], "motionmillion compare votes"),
    ],
)
def test_usage_errors_point_to_the_help_of_the_command(run, words, command):
    code, _, err = run(*words)
    assert code == 2 and err.strip().endswith(f"See {command} --help.")


def test_extras_are_named_as_packages():
    if not packages_of("train"):
        pytest.skip("motionmillion is not installed")
    line = message_of(ImportError('accelerate must be installed;\n run: pip install "motionmillion[lora]"'))
    assert "motionmillion[" not in line and '"accelerate' in line and '"peft' in line and "\n" not in line
    assert message_of(ValueError('"motionmillion[nosuch]"')) == '"motionmillion[nosuch]"'


def test_view_reads_joint_positions(run, tmp_path):
    import numpy as np

    from motionmillion.data import synthesize

    np.save(tmp_path / "joints.npy", synthesize("walk", seed=0, seconds=2).positions().numpy())
    code, _, err = run("view", tmp_path / "joints.npy", "--no-browser")
    assert code == 2 and "--source-fps" in err
    assert run("view", tmp_path / "joints.npy", "--no-browser", "--source-fps", 30)[0] == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.max_step=3", "training must hold known keys only, got 'max_step'; did you mean max_steps"),
        ("training.learning_rate=fast", "training.learning_rate must be a number, got 'fast'"),
        ("data.skip_bad=maybe", "data.skip_bad must be true or false, got 'maybe'"),
    ],
)
def test_misspelt_settings_of_a_recipe(run, tmp_path, setting, message):
    (tmp_path / "r.yaml").write_text(f"output: {tmp_path}/run\ndata: {{synthetic: 4}}\ntraining: {{max_steps: 1}}\n")
    code, _, err = run("train", "tokenizer", "--config", tmp_path / "r.yaml", "--set", setting)
    assert code == 2 and message in err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "x",\n "version": 1,,\n "prompts": []}', "which is no JSON at line 2, column 15"),
        ('{"name": "x", "prompts": []}', "without the key 'version'"),
        ('{"name": "x", "version": "1", "prompts": {}}', "with prompts that are a dict"),
        ('{"name": "x", "version": "1", "prompts": [], "prompt": []}', "with the unknown key 'prompt'"),
        ('{"name": "x", "version": "1", "prompts": [], "format": 7}', "of format 7 instead of 1"),
        ("[]", "with a list at its top"),
        ('{"name": "x", "version": "1", "prompts": [{"id": "a", "text": "b"}]}', "got no category in prompt 1"),
    ],
)
def test_errors_in_suites_name_the_key_or_the_line(run, tmp_path, text, message):
    (tmp_path / "suite.json").write_text(text)
    code, _, err = run("evaluate", "--suite", tmp_path / "suite.json", "-o", tmp_path / "out")
    assert code == 2 and message in err and "suite.json" in err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": [], "machine": {}}, "a table of motionmillion bench"),
        ({"outcomes": [], "totals": {}}, "a table of motionmillion compare"),
        ({"format": 99, "protocol": {}}, "of format 99, that of another version"),
    ],
)
def test_files_of_other_commands_are_recognised(run, tmp_path, content, message):
    (tmp_path / "results.json").write_text(json.dumps(content))
    code, _, err = run("compare", "results", tmp_path, tmp_path / "x", "-o", tmp_path / "out")
    assert code == 2 and f"which is {message}" in err


def test_counted_votes_are_not_votes(run, tmp_path):
    (tmp_path / "votes.json").write_text(json.dumps({"suite": "x", "outcomes": []}))
    code, _, err = run("compare", "votes", tmp_path / "votes.json", "-o", tmp_path / "out")
    assert code == 2 and "name the raters' files" in err


@pytest.mark.parametrize(
    "words",
    [["generate", "walk", "-o", "x.docx"], ["export", "a.bvh", "-o", "x.docx"], ["view", "a.bvh", "-o", "x.txt"]],
)
def test_a_wrong_suffix_is_refused_before_anything_heavy_is_imported(words, tmp_path):
    (tmp_path / "a.bvh").touch()
    script = (
        f"import sys; sys.argv = ['motionmillion', *{words!r}]\n"
        "from motionmillion.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as stop: print(stop.code)\n"
        "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        cwd=tmp_path,
        check=True,
        timeout=200,
    )
    assert done.stdout.split("\n")[:2] == ["2", "[]"] and "must end in" in done.stderr
