"""Several samples in one row: the loss of each is that of the sample alone, in every attention back end."""

import copy

import pytest
import torch

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.head import OutputHead
from motionmillion.lm.masks import mixed_attention_mask, places


@pytest.fixture
def packed():
    """Row 0: text a b, motion 1 2 E and text d e f, motion 3 E; row 1: no text, motion 4 5 6 E, then padding."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 5, 384, generator=generator)
    return dict(
        text_features=features,
        text_mask=torch.tensor([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]),
        text_segments=torch.tensor([[1, 1, 2, 2, 2], [1, 0, 0, 0, 0]]),
        input_ids=torch.tensor([[1, 2, 125, 3, 125], [4, 5, 6, 125, 126]]),
        segments=torch.tensor([[1, 1, 1, 2, 2], [1, 1, 1, 1, 0]]),
    )


def alone(packed):
    """The same three samples, each a row of its own."""
    features, tokens = packed["text_features"], packed["input_ids"]
    yield tokens[:1, :3], features[:1, :2], torch.ones(1, 2)
    yield tokens[:1, 3:], features[:1, 2:], torch.ones(1, 3)
    yield tokens[1:, :4], features[1:, :1], torch.zeros(1, 1)


def test_the_mask_is_as_drawn(tiny_lm):
    segments = torch.tensor([[1, 1, 2, 2, 1, 1, 1, 2, 2, 0]])
    mask = mixed_attention_mask(tiny_lm.config, torch.zeros(1, 10, 32), segments, text_length=4)
    drawn = """
        11........
        11........
        ..11......
        ..11......
        11..1.....
        11..11....
        11..111...
        ..11...1..
        ..11...11.
        """.split()
    expected = torch.tensor([[letter == "1" for letter in line] for line in drawn])
    assert torch.equal(mask[0, 0, :9], expected)  # the last row is padding, of no interest
    assert not mask[0, 0, :, 9].any()


def test_positions_are_counted_in_each_sample():
    segments = torch.tensor([[1, 1, 2, 2, 1, 1, 1, 2, 2, 0], [0, 1, 0, 1, 1, 0, 0, 1, 0, 0]])
    found = places(segments)
    for row, numbers in enumerate(segments.tolist()):
        seen: dict[int, list[int]] = {}
        for column, number in enumerate(numbers):
            members = seen.setdefault(number, [])
            if number:
                assert found.positions[row, column] == len(members)
                assert found.previous[row, column] == (members[-1] if members else column)
            members.append(column)


def test_packed_samples_have_the_logits_and_losses_that_they_have_alone(tiny_lm, packed):
    together = tiny_lm(**packed, labels=packed["input_ids"])
    places_of = [(0, slice(0, 3)), (0, slice(3, 5)), (1, slice(0, 4))]
    losses = []
    for (row, columns), sample in zip(places_of, alone(packed), strict=True):
        one = tiny_lm(*sample, labels=sample[0])
        assert torch.allclose(together.logits[row, columns], one.logits[0, :-1], atol=1e-4)
        losses += [one.loss] * sample[0].shape[1]
    assert torch.allclose(together.loss, torch.stack(losses).mean(), atol=1e-5)


def test_packing_gives_the_gradients_of_padding(tiny_lm, packed):
    tiny_lm.zero_grad()
    tiny_lm(**packed, labels=packed["input_ids"]).loss.backward()
    ours = {name: p.grad.clone() for name, p in tiny_lm.named_parameters()}
    tiny_lm.zero_grad()
    samples = list(alone(packed))
    width = max(features.shape[1] for _, features, _ in samples)
    features = torch.cat([torch.nn.functional.pad(f, (0, 0, 0, width - f.shape[1])) for _, f, _ in samples])
    mask = torch.cat([torch.nn.functional.pad(m, (0, width - m.shape[1])) for _, _, m in samples])
    tokens = torch.cat([torch.nn.functional.pad(t, (0, 4 - t.shape[1]), value=126) for t, _, _ in samples])
    tiny_lm(tokens, features, mask, labels=tokens).loss.backward()
    for name, parameter in tiny_lm.named_parameters():
        assert torch.allclose(parameter.grad, ours[name], atol=1e-5), name
    tiny_lm.zero_grad(set_to_none=True)


def test_flex_attention_gives_the_logits_of_sdpa(tiny_lm, packed):
    plain = dict(input_ids=packed["input_ids"], text_features=packed["text_features"], text_mask=packed["text_mask"])
    for batch in (packed, plain):
        expected = tiny_lm(**batch).logits
        tiny_lm.set_attn_implementation("flex_attention")
        try:
            # eager: the same function without minutes of compiling; it has no backward pass on CPUs
            with torch.compiler.set_stance("force_eager"), torch.no_grad():
                found = tiny_lm(**batch).logits
        finally:
            tiny_lm.set_attn_implementation("sdpa")
        valid = torch.cat([torch.ones(2, found.shape[1] - 5), packed["segments"] > 0], dim=1).bool()
        assert torch.allclose(found[valid], expected[valid], atol=1e-4)


def test_a_head_in_chunks_gives_the_losses_and_gradients_of_one_piece(monkeypatch):
    torch.manual_seed(0)
    head = OutputHead(8, 12, 11)
    hidden, labels = torch.randn(30, 8, requires_grad=True), torch.randint(11, (30,))
    logits = head(hidden)
    assert logits.shape == (30, 11)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    wanted = torch.autograd.grad(expected, [hidden, head.weight])
    monkeypatch.setattr("motionmillion.lm.head.CHUNK_LOGITS", 12 * 7)
    losses, correct = head(hidden, labels)
    assert torch.allclose(losses.mean(), expected, atol=1e-6)
    assert torch.equal(correct, logits.argmax(-1) == labels)
    found = torch.autograd.grad(losses.mean(), [hidden, head.weight])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


def test_the_head_never_holds_all_logits(monkeypatch):
    monkeypatch.setattr("motionmillion.lm.head.CHUNK_LOGITS", 4 * 1000)
    head = OutputHead(4, 1000, 1000)
    held: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t.numel()) or t, lambda t: t):
        head(torch.randn(64, 4, requires_grad=True), torch.zeros(64, dtype=torch.long))
    assert max(held) <= 4 * 1000  # the weight itself, and no piece of logits beyond a chunk
    assert sum(held) < 64 * 1000


def test_a_padded_vocabulary_is_never_predicted_and_never_read(packed):
    torch.manual_seed(0)
    shape = dict(text_dim=384, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4)
    lm = MotionLM(MotionLMConfig(codebook_size=125, vocab_multiple=64, **shape)).eval()
    assert lm.embed_tokens.weight.shape[0] == lm.lm_head.weight.shape[0] == 128
    output = lm(**packed, labels=packed["input_ids"])
    assert output.logits.shape == (2, 5, 126)
    output.loss.backward()
    assert not lm.lm_head.weight.grad[126:].any() and not lm.embed_tokens.weight.grad[127:].any()
    tied = MotionLM(MotionLMConfig(codebook_size=125, vocab_multiple=64, tie_word_embeddings=True, **shape))
    assert tied.lm_head.weight is tied.embed_tokens.weight
    with pytest.raises(ValueError, match="tie_word_embeddings must be off unless"):
        MotionLMConfig(codebook_size=125, tie_word_embeddings=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"segments": None}, "segments and text_segments must be given together"),
        ({"segments": torch.ones(2, 4)}, "segments must have the shape of input_ids, \\[2, 5\\], got \\[2, 4\\]"),
        (
            {"text_mask": torch.ones(2, 4)},
            "text_mask must have the shape of text_features",
        ),
        ({"text_segments": torch.ones(1, 5)}, "text_segments must have the shape of text_features"),
        ({"input_ids": torch.full((2, 5), 127)}, "tokens must be in 0..126 for 125 codes.* got 127"),
        ({"input_ids": torch.full((2, 5), -1)}, "tokens must be in 0..126 for 125 codes.* got -1"),
    ],
)
def test_shapes_that_do_not_fit_are_named(tiny_lm, packed, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_lm(**{**packed, **changes})


def test_training_can_leave_the_logits_out(tiny_lm, packed):
    lm = copy.deepcopy(tiny_lm).train()
    whole = lm(**packed, labels=packed["input_ids"])
    assert whole.logits.shape == (2, 5, 126)
    lm.lean_training = True
    lean = lm(**packed, labels=packed["input_ids"])
    assert lean.logits is None and torch.equal(lean.loss, whole.loss)
    assert lm(**packed).logits is not None and lm.eval()(**packed, labels=packed["input_ids"]).logits is not None
