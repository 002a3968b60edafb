"""Options of every kind of model: help, default and check of each, one merge, and errors that name the kind."""

import dataclasses
import json
from typing import Any

import pytest

from motionmillion import MotionPipeline
from motionmillion.lm.latents.sampler import DEFAULT_STEPS
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.pipeline.folder import folder_options, pipeline_defaults
from motionmillion.pipeline.options import (
    KINDS,
    CodesOptions,
    DiTOptions,
    FlowHeadOptions,
    Options,
    RunOptions,
)

BAD: dict[str, Any] = dict(seconds=0, min_seconds=-1, max_seconds=61, transition=0, default_seconds=0)
BAD |= dict(temperature=-1, guidance_scale=101, top_k=-1, top_p=0, min_p=2, repetition_penalty=0)
BAD |= dict(no_repeat_ngram_size=-1, steps=0, solver="rk4", shift=0, guidance_interval=(1.0, 0.0))
BAD |= dict(strength=0, denoising_strength=2, reference_weight=2, rounds=0, smoothing=-1, recovery="both")
BAD |= dict(compiled=1, int8="yes", cache="big", candidates=0, batch_size=0, dtype="int3", quantization="2bit")
"""A value of each option that is out of range; a new option needs one."""

EVERY = [(kind, field) for kind in (*KINDS, RunOptions) for field in dataclasses.fields(kind) if field.name != "given"]


@pytest.mark.parametrize(("kind", "field"), EVERY, ids=[f"{kind.__name__}-{field.name}" for kind, field in EVERY])
def test_every_option_has_a_help_a_default_and_a_check(kind, field):
    assert field.metadata["help"].endswith(".") and field.metadata["panel"]
    assert field.default is not dataclasses.MISSING and getattr(kind(), field.name) == field.default
    with pytest.raises(ValueError, match=f"^{field.name} must"):
        kind(**{field.name: BAD[field.name]})


def test_an_option_reads_the_same_for_every_kind():
    told: dict[str, Any] = {}
    for kind in KINDS:
        for field in dataclasses.fields(kind):
            assert told.setdefault(field.name, field.metadata) == field.metadata
    assert set(told) | {"batch_size", "dtype", "quantization"} == set(BAD)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_overrides_the_built_in_defaults_and_a_call_the_folder(kind):
    folder = kind.from_defaults({"temperature": 0.5, "transition": 1, "guidance_scale": None})
    chosen = folder.updated({"temperature": 0.25, "max_seconds": None, "seconds": 2.0})
    assert kind().temperature == 1.0 and folder.temperature == 0.5 and chosen.temperature == 0.25
    assert chosen.transition == 1 and chosen.guidance_scale == 1.0 and chosen.max_seconds == kind().max_seconds
    assert chosen.sampling().temperature == 0.25  # what the sampler gets
    assert folder.temperature == 0.5 and kind.from_defaults(folder.saved()) == folder
    assert "seconds" not in chosen.saved() and "seconds" in chosen.changed()
    assert json.loads(json.dumps(chosen.saved())) == chosen.saved()


def test_defaults_of_a_folder_are_honoured_and_overridden(tiny_pipeline, tmp_path, monkeypatch):
    tiny_pipeline.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "pipeline.json").read_text())
    settings["defaults"] |= {"temperature": 0.0, "max_seconds": 1.0}
    (tmp_path / "pipeline.json").write_text(json.dumps(settings))
    pipe = MotionPipeline.from_pretrained(tmp_path)
    assert isinstance(pipe, CodesPipeline) and pipe.defaults == pipeline_defaults(tmp_path)
    assert pipe.default_options == folder_options(tmp_path)
    seen, generate = [], pipe.lm.generate

    def watched(*args: Any, **options: Any):
        seen.append((options["sampling"].temperature, options["max_new_tokens"]))
        return generate(*args, **options)

    monkeypatch.setattr(pipe.lm, "generate", watched)
    for options in ({}, {"temperature": 0.7, "max_seconds": 0.5}):
        pipe("jump", **options)
    assert [temperature for temperature, _ in seen] == [0.0, 0.7]
    assert seen[0][1] == 2 * seen[1][1] or abs(seen[0][1] - 2 * seen[1][1]) == 1
    pipe.set_defaults({"temperature": 0.9})
    assert pipe.defaults["temperature"] == 0.9 and pipe.defaults["max_seconds"] == 1.0
    with pytest.raises(ValueError, match="temperature must not be negative"):
        pipe.set_defaults({"temperature": -1})


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (CodesOptions(), {"steps": 4}, "steps must be left out for a model of codes, which has no flow, got 4; use"),
        (CodesOptions(), {"strength": 0.5}, "strength must be left out for a language model, got 0.5; a DiT takes it"),
        (CodesOptions(), {"reference_mode": "both"}, "reference_mode must be left out for a language model"),
        (FlowHeadOptions(), {"top_k": 4}, "top_k must be left out for a model of latents, which has no codes"),
        (FlowHeadOptions(), {"recovery": "direct"}, "recovery must be left out for a language model, got 'direct'"),
        (DiTOptions(), {"top_p": 0.5}, "top_p must be left out for a DiT, which has no codes to choose from, got 0.5"),
        (DiTOptions(), {"cache": "none"}, "cache must be left out for a DiT"),
        (DiTOptions(), {"chunk_tokens": 4}, "chunk_tokens must be left out for a DiT"),
        (DiTOptions(), {"reference": 3}, "reference must be left out here, got 3; only a call takes it"),
        (CodesOptions(), {"chunk_tokens": 4}, "options must hold known keys only, got 'chunk_tokens'"),
        (DiTOptions(), {"step": 4}, "options must hold known keys only, got 'step'; did you mean steps"),
        (CodesOptions(), {"seconds": 2.0, "max_seconds": 3.0}, "max_seconds must be left out where seconds are given"),
        (DiTOptions(), {"seconds": 2.0, "default_seconds": 3.0}, "default_seconds must be left out where seconds"),
        (CodesOptions(), {"min_seconds": 11.0}, "min_seconds must be at most max_seconds, 10.0, got 11.0"),
        (DiTOptions(), {"rounds": 2, "strength": 0.5}, "rounds must be 1 where strength or denoising_strength is"),
    ],
)
def test_what_a_kind_does_not_have_is_an_error_that_names_it(options: Options, given, message):
    with pytest.raises(ValueError, match=message):
        options.updated(given)
    nothing = dict.fromkeys(set(given) - {"step", "chunk_tokens"})
    assert options.updated(nothing) == options  # None is nothing


def test_bounds_of_the_length_go_with_no_timeline():
    for kind in KINDS:
        with pytest.raises(ValueError, match="min_seconds must be left out where seconds are given, got 1.0"):
            kind().updated({"min_seconds": 1.0}, timed=True)


@pytest.mark.parametrize(
    ("kind", "defaults", "message"),
    [
        (CodesOptions, [1], "mine must be a mapping of options, got .1."),
        (CodesOptions, {"steps": 4}, "mine must hold known keys only, got 'steps'"),
        (FlowHeadOptions, {"seconds": 4}, "mine must hold known keys only, got 'seconds'"),
        (DiTOptions, {"strength": 0.5}, "mine must hold known keys only, got 'strength'"),
        (DiTOptions, {"steps": 0}, "steps must be a whole number of at least 1"),
    ],
)
def test_defaults_of_folders_are_checked(kind, defaults, message):
    with pytest.raises(ValueError, match=message):
        kind.from_defaults(defaults, "mine")


def test_samplers_get_what_was_chosen():
    codes = CodesOptions().updated({"top_k": 5, "min_p": 0.1, "compiled": True}).sampling()
    assert (codes.top_k, codes.min_p, codes.top_p, codes.do_sample) == (5, 0.1, 1.0, True)
    flow = FlowHeadOptions().updated({"guidance_interval": [0.1, 0.9]})
    assert flow.sampling().steps == DEFAULT_STEPS and flow.sampling().guidance_interval == (0.1, 0.9)
    assert flow.sampling(3.0).shift == 3.0 and flow.updated({"shift": 2.0}).sampling(3.0).shift == 2.0
    dit = DiTOptions(denoising_strength=0.7)
    assert dit.sampling().strength == 0.7 and dit.updated({"strength": 0.4}).sampling().strength == 0.4


def test_options_of_no_kind_are_refused_before_a_model_is_known():
    assert RunOptions({"top_k": 5, "steps": 4}).given == {"top_k": 5, "steps": 4}
    with pytest.raises(ValueError, match="options must hold known keys only, got 'tempo'"):
        RunOptions({"tempo": 2})
