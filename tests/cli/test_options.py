"""The command line's options of models: made from the options classes, and the same for every command."""

import dataclasses
from typing import Annotated

import typer
from typer.testing import CliRunner

from motionmillion.cli.app import app
from motionmillion.cli.options import DIT, LENGTH, SAMPLING, SPEED, RunOptions, model_options, with_model_options
from motionmillion.pipeline.options import FLOW, KINDS

TOLD = {field.name: field.metadata for kind in (*KINDS, RunOptions) for field in dataclasses.fields(kind)}


def flags(name: str) -> dict[str, typer.core.TyperOption]:
    """The options of a command, by name."""
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return {each.name: each for each in command.params if isinstance(each, typer.core.TyperOption)}


def test_generate_and_evaluate_take_the_same_options_of_models():
    assert set(model_options()) == set(TOLD) - {"given"}
    generate, evaluate = flags("generate"), flags("evaluate")
    for name in model_options():
        for command in (generate, evaluate):
            assert command[name].help == TOLD[name]["help"]
            assert command[name].rich_help_panel == TOLD[name]["panel"]
            assert command[name].opts == [f"--{name.replace('_', '-')}"]
        assert generate[name].default == evaluate[name].default
    assert {generate[name].rich_help_panel for name in model_options()} == {SAMPLING, LENGTH, FLOW, DIT, SPEED}


def test_help_shows_them_in_panels():
    for name in ("generate", "evaluate"):
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).output
        for option in model_options():
            assert f"--{option.replace('_', '-')}" in shown
            assert TOLD[option]["help"] in shown
        places = [shown.index(f" {panel} ─") for panel in (SAMPLING, LENGTH, FLOW, DIT, SPEED)]
        assert len(set(places)) == 5


def test_what_is_given_arrives_as_one_object():
    got = []

    @with_model_options
    def command(words: Annotated[list[str], typer.Argument()], options: RunOptions, loud: bool = False) -> None:
        """Say something."""
        got.append((words, options, loud))

    small = typer.Typer()
    small.command()(command)
    run = CliRunner().invoke(small, ["a", "b", "--loud"])
    assert run.exit_code == 0 and got == [(["a", "b"], RunOptions(), True)]
    line = ["a", "--temperature", "0", "--compiled", "--guidance-interval", "0.1", "0.9", "--batch-size", "3"]
    assert CliRunner().invoke(small, line).exit_code == 0
    given = {"temperature": 0.0, "compiled": True, "guidance_interval": (0.1, 0.9)}
    assert got[1] == (["a"], RunOptions(given, batch_size=3), False)
    assert CliRunner().invoke(small, ["a", "--no-compiled"]).exit_code != 0


def test_options_go_into_evaluate_only_where_motions_are_generated(run, tmp_path):
    flags = ("evaluate", "--suite", "motionmillion-eval", "-o", tmp_path / "out", "--motions", tmp_path)
    for option in ("--min-p", "--rounds", "--quantization", "--dtype"):
        value = {"--quantization": "4bit", "--dtype": "bfloat16"}.get(option, 1)
        code, _, err = run(*flags, option, value)
        assert code == 2 and f"{option} must be left out with --motions" in err


def test_options_of_another_kind_are_refused_before_the_model_is_loaded(run, tiny_pipeline, tmp_path):
    model = tiny_pipeline.save_pretrained(tmp_path / "model")
    for weights in model.rglob("*.safetensors"):
        weights.unlink()
    code, _, err = run("generate", "jump", "--model", model, "--rounds", 2, "-o", tmp_path / "x.npz")
    assert code == 2 and "rounds must be left out for a language model, got 2; a DiT takes it" in err
