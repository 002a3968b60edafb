"""The choice of the next token: penalties, limits, truncation and the checks of every option."""

import pytest
import torch

from motionmillion.lm import MotionLMConfig
from motionmillion.lm.generation.sampling import Sampler, Sampling

SHAPE = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
CONFIG = MotionLMConfig(codebook_size=4, text_dim=4, **SHAPE)
END, PAD = 4, 5


def choose(logits: list[list[float]], history: list[list[int]], forbid_end: bool = False, **options) -> list[int]:
    sampler = Sampler(Sampling(**options), CONFIG, range(len(history)))
    return sampler(torch.tensor(logits), torch.tensor(history), forbid_end).tolist()


def test_the_penalty_spares_the_end():
    logits = [[0.9, 0.0, 0.0, 0.0, 1.0]]
    for behind in (END, PAD):  # as in a row that has ended while others go on
        assert choose(logits, [[1, 2, behind]], repetition_penalty=5.0, do_sample=False) == [END]
    assert choose(logits, [[0, 1, END]], forbid_end=True, repetition_penalty=5.0, do_sample=False) != [END]


def test_the_penalty_divides_what_has_been_used():
    logits = [[3.0, 2.0, 1.0, 0.0, -9.0]] * 2
    assert choose(logits, [[0, 0], [1, 1]], repetition_penalty=2.0, do_sample=False) == [1, 0]
    assert choose(logits, [[0, 0], [0, 1]], repetition_penalty=1.4, do_sample=False) == [0, 0]
    assert choose(logits, [[0, 1], [1, 0]], no_repeat_ngram_size=1, do_sample=False) == [2, 2]


def test_the_end_can_be_forbidden_and_the_given_logits_stay():
    logits = torch.tensor([[0.0, 1.0, 0.0, 0.0, 9.0]])
    before = logits.clone()
    sampler = Sampler(Sampling(do_sample=False), CONFIG, [0])
    history = torch.zeros(1, 2, dtype=torch.long)
    assert sampler(logits, history, True).tolist() == [1] and sampler(logits, history, False).tolist() == [END]
    assert torch.equal(logits, before)


def test_a_temperature_of_zero_is_greedy_for_every_seed():
    logits = [[0.0, 0.1, 0.0, 0.0, 0.0]] * 50
    assert choose(logits, [[0]] * 50, temperature=0) == [1] * 50
    assert len(set(choose(logits, [[0]] * 50, temperature=1.0))) == 5


def test_guidance_goes_from_without_text_to_with_it_and_beyond():
    with_text, without = [0.0, 1.0, 0.8, 0.0, 0.0], [0.0, 1.0, 0.6, 1.5, 0.0]
    for scale, expected in ((0, 3), (1.5, 1), (3, 2)):  # token 2: 0.6 + 0.2 * scale, token 1: always 1
        found = choose([with_text, without], [[0]], guidance_scale=scale, do_sample=False)
        assert found == [expected], scale


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"top_p": 1}, {"top_p": 1.01}),
        ({"top_p": 0.001}, {"top_p": 0}),
        ({"min_p": 1}, {"min_p": 1.01}),
        ({"min_p": 0}, {"min_p": -0.01}),
        ({"temperature": 0}, {"temperature": -0.01}),
        ({"guidance_scale": 0}, {"guidance_scale": -0.01}),
        ({"guidance_scale": 100}, {"guidance_scale": 100.01}),
        ({"repetition_penalty": 0.01}, {"repetition_penalty": 0}),
        ({"top_k": 0}, {"top_k": -1}),
        ({"no_repeat_ngram_size": 0}, {"no_repeat_ngram_size": -1}),
    ],
    ids=str,
)
def test_options_reach_exactly_their_limits(good, bad):
    Sampling(**good)
    with pytest.raises(ValueError, match=f"{next(iter(bad))} must"):
        Sampling(**bad)
