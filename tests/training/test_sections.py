"""Sections of recipes: keys, defaults and checks of the dataclasses, and the tables that show them."""

import dataclasses
import json

import pytest

from motionmillion.data.composition.composing import ComposeOptions
from motionmillion.tokenizer import MotionTokenizerConfig
from motionmillion.training import evaluator, tokenizer
from motionmillion.training.dit import distillation
from motionmillion.training.dit import train as dit_train
from motionmillion.training.dit.distillation import FewStepSection
from motionmillion.training.dit.sources import DiTSection
from motionmillion.training.lm import preference
from motionmillion.training.lm import train as lm_train
from motionmillion.training.lm.options import LMSection, motion_of
from motionmillion.training.lm.preference import PreferenceSection, PreferenceTraining
from motionmillion.training.sections import EvaluatorSection, key_table, option, read_section
from motionmillion.training.tokenizer import TokenizerSection

LM = {"synthetic": 3, "tokenizer": "runs/tokenizer/final"}
DIT = {"synthetic": 3}


@pytest.mark.parametrize(
    ("module", "kind", "section"),
    [
        (tokenizer, TokenizerSection, "data"),
        (evaluator, EvaluatorSection, "data"),
        (lm_train, LMSection, "data"),
        (dit_train, DiTSection, "data"),
        (distillation, FewStepSection, "model"),
        (preference, PreferenceSection, "data"),
        (preference, PreferenceTraining, "training"),
    ],
)
def test_the_module_shows_every_key(module, kind, section):
    assert f"{key_table(kind, section)}\n\n" in module.__doc__


def test_keys_with_the_same_meaning_share_a_row():
    @dataclasses.dataclass(frozen=True)
    class Kind:
        a: int = option(1, "one")
        b: int = option(2, "one")
        c: int = option(3, "three", int)

    assert key_table(Kind).splitlines()[2:] == ["| a, b | one |", "| c | three |"]
    assert read_section(Kind, {"c": "4"}) == Kind(1, 2, 4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Kind().a = 2  # type: ignore[misc]
    with pytest.raises(
        ValueError, match="data section must hold known keys only, got 'x'; the known ones are a, b, c"
    ):
        read_section(Kind, {"x": 1})


def test_sections_convert_what_they_hold():
    data = read_section(LMSection, {**LM, "compose": {"sequences": 0.5}, "sampling": {"top_k": None, "top_p": 0.9}})
    assert data.compose == ComposeOptions(sequences=0.5)
    assert data.sampling == {"top_p": 0.9} and data.balance == 0.5
    assert read_section(DiTSection, {**DIT, "corruption": {"jitter": 0.0}}).corruption.jitter == 0.0
    assert read_section(DiTSection, DIT).balance == 0.0


@pytest.mark.parametrize(
    ("kind", "base", "data", "message"),
    [
        (TokenizerSection, {}, {"frames": 0}, "data.frames must be a whole number of at least 1, got 0"),
        (TokenizerSection, {}, {"copies": 0}, "data.copies must be a whole number of at least 1, got 0"),
        (TokenizerSection, {}, {"mixed": -1}, "data.mixed must be a whole number of at least 0, got -1"),
        (TokenizerSection, {}, {"kinematics_from": "a"}, "data.kinematics_from must be a whole number"),
        (TokenizerSection, {}, {"speed": -1}, "data.speed must be a number that is not negative, got -1"),
        (EvaluatorSection, {}, {"synthetic": -3}, "data.synthetic must be a whole number of at least 0, got -3"),
        (EvaluatorSection, {}, {"variants": 1.5}, "data.variants must be a whole number of at least 0, got 1.5"),
        (EvaluatorSection, {}, {"trim": "much"}, "data.trim must be a number that is not negative, got 'much'"),
        (EvaluatorSection, {}, {"own_caption_share": 2}, r"data.own_caption_share must be in \[0, 1\], got 2"),
        (LMSection, LM, {"balance": 1.5}, r"data.balance must be in \[0, 1\], got 1.5"),
        (LMSection, LM, {"corruption": 2}, r"data.corruption must be in \[0, 1\], got 2"),
        (LMSection, LM, {"caption_dropout": 1.0}, r"caption_dropout must be in \[0, 1\), got 1.0"),
        (LMSection, LM, {"text_length": 0}, "data.text_length must be a whole number of at least 1, got 0"),
        (LMSection, LM, {"packing": -1}, "data.packing must be a whole number of at least 0, got -1"),
        (LMSection, LM, {"sampling": [1]}, r"data.sampling must be a mapping of options, got \[1\]"),
        (LMSection, LM, {"folder": "x"}, "data must name one of folder, tokens and synthetic, got .*folder"),
        (LMSection, LM, {"tokenizer": None}, "data must name the folder of a trained tokenizer, got none"),
        (DiTSection, DIT, {"text_share": 2}, r"data.text_share must be in \[0, 1\], got 2"),
        (DiTSection, DIT, {"shortest": 1}, "data.shortest must be a whole number of at least 2, got 1"),
        (DiTSection, {}, {}, "data must name one of folder, synthetic and sources, got none"),
        (DiTSection, {}, {"sources": "x"}, "data.sources must be a list of mappings, got 'x'"),
        (DiTSection, DIT, {"corruption": 3}, "data.corruption must be a mapping, got 3"),
        (FewStepSection, {"teacher": "x"}, {"steps": 0}, "steps must be a whole number of at least 1, got 0"),
    ],
)
def test_values_are_checked(kind, base, data, message):
    with pytest.raises(ValueError, match=message):
        read_section(kind, {**base, **data})


def test_what_a_recipe_leaves_out_is_that_of_the_pipeline(tmp_path):
    (tmp_path / "text_encoder.json").write_text(json.dumps({"name": "own", "sentence": False, "max_length": 20}))
    (tmp_path / "pipeline.json").write_text(json.dumps({"defaults": {"temperature": 0.7}}))
    given = {**LM, "text_length": 30}
    data = read_section(LMSection, given).completed(tmp_path, given)
    assert (data.text_encoder, data.sentence, data.text_length) == ("own", False, 30)
    assert data.sampling == {"temperature": 0.7}
    given |= {"text_encoder": "other", "sampling": {}}
    data = read_section(LMSection, given).completed(tmp_path, given)
    assert (data.text_encoder, data.sentence, data.sampling) == ("other", True, {})


@pytest.mark.parametrize(
    ("quantizer", "levels"),
    [
        ({"type": "fsq", "levels": [8, 6, 5]}, [8, 6, 5]),
        ({"type": "residual_fsq", "levels": [5, 3], "stages": 3}, [5, 3, 5, 3, 5, 3]),
    ],
)
def test_factorised_codes_take_the_levels_of_the_tokenizer(quantizer, levels):
    config = MotionTokenizerConfig(width=8, depth=1, quantizer=quantizer)
    found = motion_of(config, {"codes": "factorised"}, "x")
    assert found == {"codebook_size": config.codebook_size, "code_levels": levels}
    own = {"codes": "factorised", "code_levels": [2, 2]}
    for model in ({}, {"codes": "joint"}, own):
        assert motion_of(config, model, "x") == {"codebook_size": config.codebook_size}


def test_factorised_codes_need_levels():
    config = MotionTokenizerConfig(width=8, depth=1, quantizer={"type": "vq", "size": 16})
    with pytest.raises(
        ValueError, match='quantizer with levels for factorised codes, got .x. with quantizer "vq"; set'
    ):
        motion_of(config, {"codes": "factorised"}, "x")
