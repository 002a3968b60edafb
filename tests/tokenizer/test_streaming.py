"""Decoding in pieces: streams of codes in any chunks, causal and not, and whole motions chunk by chunk."""

import pytest
import torch

from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig

CHUNKS = [[1] * 40, [40], [3, 0, 11, 1, 25], [17, 23]]
FRONT_ENDS = [("none", 0, [2, 2]), ("haar", 1, [2]), ("haar", 2, [1]), ("rearrange", 1, [3])]


def tiny(**changes) -> MotionTokenizer:
    torch.manual_seed(0)
    settings = dict(width=16, depth=2, dilation_growth=2, refiner_width=8, quantizer={"type": "fsq", "levels": [5, 5]})
    model = MotionTokenizer(MotionTokenizerConfig(**{**settings, **changes})).eval()
    for parameter in model.parameters():  # also the refiner, which starts at zero
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def some_codes(rows: int = 2, count: int = 40) -> torch.Tensor:
    return torch.randint(25, (rows, count), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize(("wavelet", "levels", "strides"), FRONT_ENDS)
@pytest.mark.parametrize("causal", [True, False])
def test_a_stream_gives_the_frames_of_decode(causal, wavelet, levels, strides, chunks):
    tokenizer = tiny(causal=causal, wavelet=wavelet, wavelet_levels=levels, strides=strides)
    codes = some_codes()
    pieces = list(tokenizer.decode_stream(codes.split(chunks, dim=1)))
    assert torch.allclose(torch.cat(pieces, dim=1), tokenizer.decode(codes), atol=1e-4)
    hop = tokenizer.config.frames_per_token
    if causal:  # every code gives its frames at once
        assert [p.shape[1] for p in pieces] == [n * hop for n in chunks if n]
    elif len(chunks) == 40:  # frames leave before the end
        assert len(pieces) == 40 - tokenizer.decoder_reach + 1 > 1


def test_a_wavelet_that_wraps_around_leaves_at_the_end():
    tokenizer = tiny(wavelet="db2")
    pieces = list(tokenizer.decode_stream(some_codes().split(8, dim=1)))
    assert len(pieces) == 1 and torch.allclose(pieces[0], tokenizer.decode(some_codes()), atol=1e-5)


def test_a_long_stream_forgets_what_no_frame_needs():
    tokenizer = tiny()
    seen = []
    tokenizer.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    whole = torch.cat(list(tokenizer.decode_stream(some_codes(1, 400).split(1, dim=1))), dim=1)
    assert torch.allclose(whole, tokenizer.decode(some_codes(1, 400)), atol=1e-4)
    assert seen.pop() == 400  # the one of decode
    assert max(seen) < 60


@pytest.mark.parametrize("causal", [True, False])
def test_continuous_latents_stream_too(causal):
    tokenizer = tiny(causal=causal, quantizer={"type": "none", "channels": 3})
    latents = torch.randn(2, 40, 3)
    pieces = torch.cat(list(tokenizer.decode_stream(latents.split([3, 0, 30, 7], dim=1))), dim=1)
    assert torch.allclose(pieces, tokenizer.decode_latents(latents), atol=1e-4)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (torch.zeros(2, 3, dtype=torch.long), "parts of shape .*got"),
        ([torch.zeros(2, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long)], r"parts of shape \[2, n\]"),
        ([torch.zeros(2, 3)], "codes must be whole numbers"),
        ([torch.full((1, 3), 25)], "codes must be in 0..24"),
    ],
)
def test_bad_parts_are_named(causal, parts, message):
    with pytest.raises(ValueError, match=message):
        list(tiny(causal=causal).decode_stream(parts))


def test_an_empty_stream_is_empty():
    assert list(tiny().decode_stream([])) == [] == list(tiny(causal=True).decode_stream([]))


@pytest.mark.parametrize(("wavelet", "levels", "strides"), FRONT_ENDS)
def test_causal_codes_and_frames_never_look_ahead(wavelet, levels, strides):
    tokenizer = tiny(causal=True, wavelet=wavelet, wavelet_levels=levels, strides=strides)
    hop = tokenizer.config.frames_per_token
    assert tokenizer.decoder_reach == 0
    features = torch.randn(1, 20 * hop, 272)
    changed = features.clone()
    changed[:, 12 * hop :] += 5
    assert torch.equal(tokenizer.encode(features)[:, :12], tokenizer.encode(changed)[:, :12])
    codes = some_codes(1, 20)
    other = codes.clone()
    other[:, 12:] = (other[:, 12:] + 7) % 25
    ours, theirs = tokenizer.decode(codes), tokenizer.decode(other)
    assert torch.equal(ours[:, : 12 * hop], theirs[:, : 12 * hop])
    assert (ours[:, 12 * hop] - theirs[:, 12 * hop]).abs().max() > 1e-4


def test_causal_padding_changes_nothing():
    tokenizer = tiny(causal=True)
    features = torch.randn(2, 37, 272)
    codes = tokenizer.encode(features, torch.tensor([37, 18]))
    assert torch.equal(codes[1:, :5], tokenizer.encode(features[1:, :18]))


@pytest.mark.parametrize("wavelet", ["haar", "db2", "bior4.4"])
@pytest.mark.parametrize("chunk", [1, 7, 32, 100])
def test_decoding_in_chunks_equals_whole_decoding(wavelet, chunk):
    tokenizer = tiny(wavelet=wavelet)
    codes = some_codes(2, 60)
    lengths = torch.tensor([60, 41])
    assert torch.allclose(tokenizer.decode(codes, chunk=chunk), tokenizer.decode(codes), atol=1e-4)
    both = [tokenizer.decode(codes, lengths, chunk=size) for size in (chunk, None)]
    assert torch.allclose(both[0], both[1], atol=1e-4)


def test_chunks_must_hold_a_code():
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        tiny().decode(some_codes(), chunk=0)


@pytest.mark.parametrize("wavelet", ["db2", "bior4.4"])
def test_causal_wavelets_have_two_taps(wavelet):
    with pytest.raises(ValueError, match="cannot be inverted without future frames"):
        MotionTokenizerConfig(causal=True, wavelet=wavelet)
