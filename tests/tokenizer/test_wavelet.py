"""The wavelet: equal to PyWavelets for every family, exactly invertible, and blind to padding."""

import pytest
import pywt
import torch

from motionmillion.tokenizer.wavelet import Wavelet

FAMILIES = [name for name in pywt.wavelist(kind="discrete") if name != "dmey"]


@pytest.mark.parametrize("name", FAMILIES)
def test_coefficients_equal_pywavelets_and_invert_exactly(name):
    generator = torch.Generator().manual_seed(0)
    for frames in (2, 5, 16, 33):
        for levels in (1, 2, 3):
            x = torch.randn(2, 3, frames, dtype=torch.float64, generator=generator)
            wavelet = Wavelet(name, levels)
            bands = wavelet(x)
            assert bands.shape == (2, 3 * 2**levels, -(-frames // 2**levels))
            assert (wavelet.inverse(bands, frames) - x).abs().max() < 1e-8
            packet = pywt.WaveletPacket(x[1, 2].numpy(), name, mode="periodization", maxlevel=levels)
            for band, node in enumerate(packet.get_level(levels, order="natural")):
                assert torch.allclose(bands[1, 3 * band + 2], torch.from_numpy(node.data), atol=1e-9)


def test_float32_inversion_error_is_rounding():
    x = torch.randn(1, 4, 301, generator=torch.Generator().manual_seed(1))
    for name in ("haar", "db4", "bior4.4"):
        wavelet = Wavelet(name, 2)
        assert (wavelet.inverse(wavelet(x), 301) - x).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["haar", "db2", "bior4.4", "rearrange"])
def test_padding_never_reaches_a_valid_frame(name):
    x = torch.randn(3, 2, 37, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    lengths = torch.tensor([37, 20, 9])
    wavelet = Wavelet(name, 2)
    bands = wavelet(x, lengths)
    back = wavelet.inverse(bands, 37, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = wavelet(x[row : row + 1, :, :length])
        assert torch.allclose(bands[row, :, : alone.shape[2]], alone[0])
        assert torch.allclose(back[row, :, :length], x[row, :, :length])
        assert back[row, :, length:].abs().sum() == 0


def test_haar_of_a_constant_has_energy_in_the_lowest_band_only():
    bands = Wavelet("haar", 2)(torch.ones(1, 1, 16))
    assert torch.allclose(bands[0, 0], torch.full((4,), 2.0))
    assert bands[0, 1:].abs().max() < 1e-6


def test_energies_tell_slow_from_fast():
    time = torch.arange(64.0)
    slow, fast = torch.sin(time / 20), (-1.0) ** time
    wavelet = Wavelet("haar", 2)
    assert wavelet.energies(slow[None, None])[0] > 0.99
    assert torch.allclose(wavelet.energies(fast[None, None]), torch.tensor([0.0, 0, 1, 0]).double())
    both = wavelet.energies(torch.stack([slow, fast])[None])
    assert torch.isclose(both.sum(), torch.ones(()).double()) and both[2] > 0.5
    padded = torch.cat([slow, 99 * torch.ones(9)])[None, None]
    assert torch.allclose(wavelet.energies(padded, torch.tensor([64])), wavelet.energies(slow[None, None]))


def test_orthogonal_wavelets_keep_the_energy():
    x = torch.randn(1, 3, 64, dtype=torch.float64)
    assert torch.allclose(Wavelet("sym5", 3)(x).square().sum(), x.square().sum())


def test_rearrange_is_even_then_odd_frames_and_none_the_identity():
    x = torch.arange(8.0)[None, None]
    assert Wavelet("rearrange", 1)(x).tolist() == [[[0, 2, 4, 6], [1, 3, 5, 7]]]
    assert Wavelet("none", 0)(x) is x
    assert Wavelet("haar", 0).bands == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Wavelet("morlet"), "wavelet name must be"),
        (lambda: Wavelet("dmey"), "exact inverse"),
        (lambda: Wavelet("haar", -1), "levels must be a whole number in 0..10"),
        (lambda: Wavelet("haar", 30), "levels must be a whole number in 0..10"),
        (lambda: Wavelet("haar", 1).inverse(torch.zeros(1, 2, 5), 12), "bands must have shape"),
        (lambda: Wavelet("haar", 1).inverse(torch.zeros(1, 3, 6), 12), "bands must have shape"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
