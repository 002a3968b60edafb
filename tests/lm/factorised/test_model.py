"""Factorised codes: digits, exact probabilities, every cache, company, penalties on repetition, saving."""

import math

import pytest
import torch
from torch import Tensor

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.factorised.model import MotionFactorisedLM

LEVELS = [4, 3, 5]
SIZE = math.prod(LEVELS)


def tiny(**changes) -> MotionFactorisedLM:
    torch.manual_seed(0)
    shape = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2, context_codes=16)
    options = dict(codebook_size=SIZE, codes="factorised", code_levels=LEVELS, text_dim=12, **shape)
    lm = MotionLM(MotionLMConfig(**{**options, **changes})).eval()
    with torch.no_grad():
        for parameter in lm.parameters():  # fresh weights are too small to tell codes apart
            if parameter.ndim > 1:
                parameter.mul_(5)
    assert isinstance(lm, MotionFactorisedLM)
    return lm


@pytest.fixture(scope="module")
def lm() -> MotionFactorisedLM:
    return tiny()


@pytest.fixture
def text() -> tuple[Tensor, Tensor]:
    """Three rows: seven words, four words and padding, none."""
    features = torch.randn(3, 7, 12, generator=torch.Generator().manual_seed(0))
    return features, torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [0] * 7])


def codes(rows: int = 3, length: int = 6) -> Tensor:
    return torch.randint(SIZE, (rows, length), generator=torch.Generator().manual_seed(1))


def test_digits_are_those_of_a_number_in_mixed_radix(lm):
    every = torch.arange(SIZE)
    digits = lm.split_codes(every)
    assert torch.equal(lm.join_digits(digits), every)
    assert digits[0].tolist() == [0, 0, 0] and digits[1].tolist() == [1, 0, 0] and digits[4].tolist() == [0, 1, 0]
    assert digits.amax(0).tolist() == [3, 2, 4]


def test_digits_are_the_quantizer_s_own(lm):
    """Neighbouring digits of an FSQ code are levels of its channels."""
    from motionmillion.tokenizer.quantizers.registry import build_quantizer

    quantizer = build_quantizer({"type": "fsq", "levels": [8, 5, 5, 5]}, dim=4)
    model = tiny(codebook_size=1000, code_levels=[8, 5, 5, 5])
    assert isinstance(model, MotionFactorisedLM)
    channels = quantizer.embed(torch.arange(1000)[None])[0]  # [1000, 4]
    digits = model.split_codes(torch.arange(1000))
    for channel in range(4):
        order = channels[:, channel].unique(sorted=True)
        assert torch.equal(torch.searchsorted(order, channels[:, channel].contiguous()), digits[:, channel])


def test_probabilities_of_all_codes_and_end_add_up_to_one(lm, text):
    features, mask = (part[:1].expand(SIZE + 1, *part.shape[1:]) for part in text)
    start = codes(1, 2).expand(SIZE + 1, -1)
    tokens = torch.cat([start, torch.arange(SIZE + 1)[:, None]], dim=1)
    labels = tokens.clone()
    labels[:, :2] = -100
    losses = lm(tokens, features, mask, labels=labels).token_losses
    assert losses.shape == (SIZE + 1,)
    assert torch.allclose(losses.neg().exp().sum(), torch.tensor(1.0), atol=1e-4)


def test_losses_by_hand_and_gradients(lm, text):
    tokens = torch.cat([codes(), torch.full((3, 1), SIZE)], dim=1)
    tokens[1, 4:] = torch.tensor([SIZE, SIZE + 1, SIZE + 1])  # END, then padding
    output = lm(tokens, *text, labels=tokens)
    states = output.states
    place, expected = 0, []
    for row in range(3):
        for n, token in enumerate(tokens[row].tolist()):
            if token > SIZE:
                continue
            first = lm.lm_head(states[row, n]).log_softmax(-1)
            if token == SIZE:
                expected.append(-first[LEVELS[0]])
            else:
                digits = lm.split_codes(torch.tensor([token]))
                total = first[digits[0, 0]]
                for level in (1, 2):
                    logits = lm.depth.last(states[row, n][None], digits[:, :level])[0]
                    total = total + logits.log_softmax(-1)[digits[0, level]]
                expected.append(-total)
            place += 1
    assert torch.allclose(output.token_losses, torch.stack(expected), atol=1e-4)
    assert torch.allclose(output.loss, torch.stack(expected).mean(), atol=1e-5)
    model = tiny().train()
    model(tokens, *text, labels=tokens).loss.backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    assert not unused, unused


def test_loss_of_rows_is_what_generation_is_judged_by(lm, text):
    tokens = codes()
    losses = lm.row_losses(tokens, *text, tokens)
    alone = torch.stack(
        [
            lm(tokens[i : i + 1], text[0][i : i + 1], text[1][i : i + 1], labels=tokens[i : i + 1]).token_losses.sum()
            for i in range(3)
        ]
    )
    assert torch.allclose(losses, alone, atol=1e-4)


@pytest.mark.parametrize("cache", ["static", "dynamic"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_cache_gives_the_codes_of_full_recomputation(lm, text, cache, guidance):
    options = dict(max_new_tokens=20, min_new_tokens=12, seeds=[1, 2, 3], guidance_scale=guidance, top_k=3)
    prefix = codes(length=5)
    expected = lm.generate(*text, cache="none", prefix_codes=prefix, **options)
    found = lm.generate(*text, cache=cache, prefix_codes=prefix, **options)
    assert torch.equal(found, expected) and torch.equal(found[:, :5], prefix)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_company_changes_nothing(lm, text, guidance):
    features, mask = (part[[0, 1, 2, 0]] for part in text)
    options = dict(max_new_tokens=12, guidance_scale=guidance)
    together = lm.generate(features, mask, seeds=range(4), **options)
    for row in range(4):
        words = max(int(mask[row].sum()), 1)
        alone = lm.generate(features[row : row + 1, :words], mask[row : row + 1, :words], seeds=[row], **options)[0]
        assert torch.equal(alone, together[row, : len(alone)])
        assert bool((together[row, len(alone) :] == SIZE + 1).all())


def test_draws_follow_the_probabilities(lm, text):
    """Shares of 4,000 draws of one code against the probabilities that the losses give."""
    features, mask = (part[:1].expand(4000, *part.shape[1:]) for part in text)
    drawn = lm.generate(features, mask, max_new_tokens=1, seeds=range(4000))[:, 0]
    shares = torch.bincount(drawn, minlength=SIZE + 1) / 4000
    one = tuple(part[:1].expand(SIZE + 1, *part.shape[1:]) for part in text)
    every = torch.arange(SIZE + 1)[:, None]
    chances = lm(every, *one, labels=every).token_losses.neg().exp()
    assert (shares - chances).abs().max() < 0.03 and chances.max() > 0.05


def test_greedy_takes_the_likeliest_digits_and_never_end_before_its_time(lm, text):
    tokens = lm.generate(*text, max_new_tokens=6, min_new_tokens=6, temperature=0)
    assert torch.equal(
        tokens, lm.generate(*text, max_new_tokens=6, min_new_tokens=6, do_sample=False, seeds=[4, 5, 6])
    )
    assert bool((tokens < SIZE).all())
    state = lm(torch.empty(3, 0, dtype=torch.long), *text).states[:, -1]
    first = lm.lm_head(state)[:, :-1].argmax(-1)
    assert torch.equal(lm.split_codes(tokens[:, 0])[:, 0], first)


def test_no_run_of_codes_comes_twice(lm, text):
    free = lm.generate(*text, max_new_tokens=14, min_new_tokens=14, temperature=0)
    options = dict(max_new_tokens=14, min_new_tokens=14, temperature=0)
    bound = lm.generate(*text, no_repeat_ngram_size=1, **options)
    assert any(len(set(row)) < 14 for row in free.tolist())  # else there is nothing to forbid
    assert all(len(set(row)) == 14 for row in bound.tolist())
    assert not torch.equal(lm.generate(*text, repetition_penalty=5.0, **options), free)


def test_saved_and_loaded(lm, text, tmp_path):
    lm.save_pretrained(tmp_path)
    again = MotionLM.from_pretrained(tmp_path).eval()
    assert isinstance(again, MotionFactorisedLM)
    assert torch.equal(again(codes(), *text).logits, lm(codes(), *text).logits)
    assert lm.embed_tokens.weight.shape[0] == sum(LEVELS) + 2 and lm.lm_head.weight.shape[0] == LEVELS[0] + 1


def test_packed_rows_give_the_numbers_of_single_ones(lm, text):
    features, mask = text
    tokens = torch.cat([codes(2, 4), torch.full((2, 1), SIZE)], dim=1)
    single = [lm(tokens[i : i + 1], features[i : i + 1], mask[i : i + 1], labels=tokens[i : i + 1]) for i in range(2)]
    packed = lm(
        tokens.flatten()[None],
        torch.cat([features[0], features[1]])[None],
        torch.cat([mask[0], mask[1]])[None],
        labels=tokens.flatten()[None],
        text_segments=torch.cat([mask[0], 2 * mask[1]])[None],
        segments=torch.tensor([[1] * 5 + [2] * 5]),
    )
    assert torch.allclose(packed.token_losses, torch.cat([s.token_losses for s in single]), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(code_levels=[4, 3]), "must multiply to codebook_size, 60"),
        (dict(code_levels=[60]), "at least two numbers"),
        (dict(code_levels=None), "at least two numbers"),
        (dict(code_levels=[60, 1]), "code_levels must be a whole number"),
        (dict(codes="split"), "codes must be one of"),
        (dict(codes="joint"), 'code_levels must be left out with codes "joint"'),
        (dict(depth_width=40), "depth_width must be a multiple of 32"),
        (dict(vocab_multiple=64), "vocab_multiple must be 1"),
        (dict(tie_word_embeddings=True), "tie_word_embeddings off"),
        (dict(head="flow", codebook_size=0, latent_dim=4), 'codes must be "joint"'),
    ],
)
def test_configs_that_do_not_fit_are_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)
