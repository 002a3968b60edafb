"""`best_of`: the motion that is kept is the one whose tokens the text makes more likely than any other's."""

import pytest
import torch

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.pipeline.base import sample_seed
from motionmillion.pipeline.ranking import most_fitting

PROMPTS = ["a person waves", "jump"]


@torch.no_grad()
def gain(lm, codes, features, mask) -> float:
    """Nats per token that the text adds to the likelihood of one row of tokens, from the logits alone."""
    sums = []
    for valid in (mask, torch.zeros_like(mask)):
        logits = lm(codes[None], features, valid).logits[0, : len(codes)].log_softmax(-1)
        sums.append(float(logits.gather(1, codes[:, None]).sum()))
    return (sums[0] - sums[1]) / len(codes)


@pytest.mark.parametrize("seconds", [1.0, None])
def test_the_candidate_that_says_most_of_the_text_is_kept(tiny_pipeline, seconds):
    lm = tiny_pipeline.lm
    for prompt in PROMPTS:
        features, mask = tiny_pipeline.read([prompt])
        options = tiny_pipeline.options({"seconds": seconds, "best_of": 6})
        seeds = [sample_seed(3, n) for n in range(6)]
        rows = (features.repeat(6, 1, 1), mask.repeat(6, 1))
        how = {**tiny_pipeline.lengths(options), **tiny_pipeline.decoding(options)}
        tokens = lm.generate(*rows, seeds=seeds, **how)
        gains = [gain(lm, row[lm.valid_motion(row)], features, mask) for row in tokens]
        best = max(range(6), key=gains.__getitem__)
        assert most_fitting(lm, tokens, *rows, many=6).tolist() == [best]
        kept = tiny_pipeline(prompt, seconds=seconds, seed=3, best_of=6)[0]
        every = tiny_pipeline(prompt, seconds=seconds, seed=3, num_samples=6)
        assert kept.num_frames == every[best].num_frames
        assert torch.allclose(kept.rotations, every[best].rotations, atol=1e-4)


def test_other_prompts_and_batches_change_nothing(tiny_pipeline):
    together = tiny_pipeline(PROMPTS, seconds=1, best_of=4, num_samples=2)
    alone = [m for prompt in PROMPTS for m in tiny_pipeline(prompt, seconds=1, best_of=4, num_samples=2, batch_size=1)]
    assert [m.caption for m in together] == [PROMPTS[0]] * 2 + [PROMPTS[1]] * 2
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one.rotations, other.rotations, atol=1e-4)


def test_a_prefix_is_continued_by_the_best_one(tiny_pipeline):
    before = tiny_pipeline("jump", seconds=1)[0]
    after = tiny_pipeline(PROMPTS, seconds=1, prefix=before, best_of=3)
    assert [m.num_frames for m in after] == [60, 60]
    assert all(torch.allclose(m.rotations[:20], before.rotations[:20], atol=1e-4) for m in after)


def test_losses_of_rows_of_unequal_length():
    torch.manual_seed(0)
    shape = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
    lm = MotionLM(MotionLMConfig(codebook_size=50, text_dim=16, **shape)).eval()
    features, mask = torch.randn(2, 3, 16), torch.ones(2, 3, dtype=torch.bool)
    pad = lm.config.padding_token_id
    tokens = torch.tensor([[1, 2, 3, 4], [5, 6, pad, pad]])
    labels = tokens.masked_fill(tokens == pad, -100)
    both = lm.row_losses(tokens, features, mask, labels)
    short = lm.row_losses(tokens[1:, :2], features[1:], mask[1:], labels[1:, :2])
    assert torch.allclose(both[1:], short, atol=1e-5) and both.shape == (2,)


@pytest.mark.parametrize("value", [0, 1.5, "4"])
def test_it_is_a_whole_number(tiny_pipeline, value):
    with pytest.raises(ValueError, match="best_of must be"):
        tiny_pipeline("jump", best_of=value)
