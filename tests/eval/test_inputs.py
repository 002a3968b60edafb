"""Measures take tensors, NumPy arrays and nested lists alike, and name the argument that is none of them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from motionmillion.data import synthesize
from motionmillion.eval.body.capsules import capsule_depths, capsule_penetration, capsule_penetrations
from motionmillion.eval.distribution import (
    diversity,
    frechet_distance,
    matching_distance,
    multimodality,
    r_precision,
)
from motionmillion.eval.inputs import to_tensor, to_tensors
from motionmillion.eval.physics import (
    PHYSICS,
    dynamic_degree,
    foot_contact,
    foot_floating,
    foot_sliding,
    ground_penetration,
    jitter_degree,
    physics_measures,
)
from motionmillion.eval.reconstruction import (
    acceleration_error,
    accelerations,
    compare_features,
    evaluate_tokenizer,
    excess_acceleration,
    excess_jerk,
    global_mpjpe,
    jerk,
    measure_clip,
    mpjpe,
    pa_mpjpe,
    rotation_error,
)

WALK = synthesize("walk", seed=0, seconds=2)
POSITIONS = WALK.positions()
ROWS = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
PAIRS: dict[Callable, tuple[Tensor, Tensor]] = {
    **dict.fromkeys((frechet_distance, r_precision, matching_distance), (ROWS, ROWS + 0.1)),
    **dict.fromkeys((mpjpe, global_mpjpe, pa_mpjpe, acceleration_error), (POSITIONS, POSITIONS * 1.01)),
    **dict.fromkeys((excess_acceleration, excess_jerk), (POSITIONS, POSITIONS * 1.01)),
    rotation_error: (WALK.rotations, WALK.rotations.flip(0)),
}
SINGLES = (jitter_degree, dynamic_degree, ground_penetration, foot_sliding, foot_floating, foot_contact)
SINGLES = (*SINGLES, jerk, accelerations, capsule_penetration, capsule_depths)


@pytest.mark.parametrize("form", [Tensor.numpy, Tensor.tolist], ids=["array", "list"])
def test_arrays_and_lists_give_the_figures_of_tensors(form: Callable, tiny_tokenizer):
    for function, (a, b) in PAIRS.items():
        assert function(form(a), form(b)) == pytest.approx(function(a, b), rel=1e-4, abs=1e-7), function
    for function in SINGLES:
        close = pytest.approx(np.asarray(function(POSITIONS)), rel=1e-3, abs=1e-6)
        assert np.asarray(function(form(POSITIONS))) == close, function
    assert diversity(form(ROWS), pairs=20) == pytest.approx(diversity(ROWS, pairs=20))
    prompts = ROWS.view(4, 10, 5)
    assert multimodality(form(prompts)) == pytest.approx(multimodality(prompts))
    for function in (physics_measures, capsule_penetrations):
        many, one = function([form(POSITIONS), POSITIONS]), function([POSITIONS, POSITIONS])
        for name in PHYSICS if function is physics_measures else [...]:
            assert torch.allclose(many[name], one[name], atol=1e-6)  # type: ignore[index]
    features = tiny_tokenizer.representation.encode(WALK.canonicalize())
    values, _ = measure_clip(tiny_tokenizer, features)
    assert measure_clip(tiny_tokenizer, form(features))[0] == pytest.approx(values)
    assert evaluate_tokenizer(tiny_tokenizer, [form(features)])["mpjpe_mm"] == pytest.approx(values["mpjpe_mm"])
    same = compare_features(tiny_tokenizer.representation, form(features), form(features))
    assert same["mpjpe_mm"] == 0


def test_rates_may_be_an_array():
    rates = np.array([20.0, 30.0], dtype=np.float32)
    given = physics_measures([POSITIONS, POSITIONS], fps=rates)  # type: ignore[arg-type]
    assert torch.equal(given["jerk"], physics_measures([POSITIONS, POSITIONS], fps=[20.0, 30.0])["jerk"])


def test_odd_arrays_become_plain_tensors():
    array = np.arange(6.0, dtype=">f4").reshape(2, 3)[::-1]
    array.flags.writeable = False
    assert to_tensor("a", array).tolist() == [[3, 4, 5], [0, 1, 2]] and to_tensor("a", array).dtype == torch.float32
    assert to_tensor("a", [[1, 2]]).dtype == to_tensor("a", torch.tensor([1])).dtype == torch.float64
    assert to_tensor("a", [np.ones(2), torch.ones(2)]).shape == (2, 2)
    assert to_tensor("a", ROWS) is ROWS
    assert [len(row) for row in to_tensors("a", np.zeros((2, 3, 4)))] == [3, 3]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance("a", ROWS), "a must be real numbers in a tensor, an array or nested lists, got str"),
        (lambda: frechet_distance(ROWS, None), "b must be real numbers .*, got NoneType"),
        (lambda: matching_distance(ROWS, WALK), "motion must be real numbers .*, got Motion"),
        (lambda: multimodality([[1.0], [1.0, 2.0]]), "motion must be .*, got a list that is not an array"),
        (lambda: diversity(np.array(["x"])), "motion must be .*, got an array of <U1"),
        (lambda: diversity(ROWS > 0), "motion must be .*, got a tensor of torch.bool"),
        (lambda: mpjpe(POSITIONS, WALK), "target must be .*, got Motion"),
        (lambda: jerk({}), "positions must be .*, got dict"),
        (lambda: rotation_error("x", WALK.rotations), "predicted must be .*, got str"),
        (lambda: jitter_degree(WALK), "positions must be .*, got Motion"),
        (lambda: physics_measures(WALK), "clips must be a list with one array per motion, got Motion"),
        (lambda: physics_measures([POSITIONS, WALK]), r"clips\[1\] must be .*, got Motion"),
        (lambda: physics_measures(POSITIONS), r"clips\[0\] must have shape \[T, 22, 3\] .*, got \(22, 3\)"),
        (lambda: physics_measures([POSITIONS], fps="20"), "fps of clips.0. must be a positive number, got '20'"),
        (lambda: capsule_penetration(WALK), "positions must be .*, got Motion"),
        (lambda: capsule_penetrations(3), "clips must be a list with one array per motion, got int"),
        (lambda: capsule_penetrations([POSITIONS], names=[]), "names must have one entry per clip, got 0 for 1 clips"),
        (lambda: capsule_depths(np.zeros((5, 21, 3))), r"positions must have shape \[..., 22, 3\], got \(5, 21, 3\)"),
    ],
)
def test_anything_else_is_one_line_that_names_the_argument(call: Callable, message: str):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_clips_for_a_tokenizer_are_checked(tiny_tokenizer):
    for call, message in (
        (lambda: measure_clip(tiny_tokenizer, WALK), "features must be .*, got Motion"),
        (lambda: measure_clip(tiny_tokenizer, np.zeros((4, 263))), r"features must have shape \[T, 272\]"),
        (lambda: measure_clip(tiny_tokenizer, np.full((4, 272), np.nan)), "features must be finite"),
        (lambda: evaluate_tokenizer(tiny_tokenizer, []), "clips must hold the features of at least one motion"),
        (lambda: compare_features(tiny_tokenizer.representation, None, ROWS), "predicted must be .*, got NoneType"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_motions_too_short_for_an_acceleration_have_the_figure_0():
    assert jitter_degree(POSITIONS[:2]) == 0 and acceleration_error(POSITIONS[:1], POSITIONS[:1] + 1) == 0
