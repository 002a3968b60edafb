"""Discrete wavelet packets along time, exactly invertible, for any PyWavelets filter bank and any length.

    wavelet = Wavelet("db2", levels=2)
    bands = wavelet(x)                      # [B, C, T] -> [B, 4 * C, ceil(T / 4)]
    x_again = wavelet.inverse(bands, T)

The signal is extended periodically ("periodization" in PyWavelets; an odd length first repeats its last frame), the
only extension that keeps `ceil(T / 2)` coefficients per band and is exactly invertible for every filter; with Haar
nothing wraps around. Every band is split again at each level (a wavelet packet), so all bands have the same rate.
Bands are in PyWavelets' natural order (aa, ad, da, dd for two levels), lowest first, each with all C channels.

Unusual: rows of a padded batch wrap around at their own lengths, so padding never affects a valid frame.
"rearrange" is not a wavelet but the control of an ablation: even frames, then odd frames, in the same shapes.

Shapes: B batch, C channels, T frames.
"""

import math

import pywt
import torch
from torch import Tensor, nn

from motionmillion.precision import widened

MOST_LEVELS = 10
Filters = tuple[list[float], list[float], list[float], list[float]]

_REARRANGE: Filters = ([0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0])


def filter_bank(name: str) -> Filters:
    """Analysis low, analysis high, synthesis low and synthesis high filter of a wavelet.

    Raises:
        ValueError: if PyWavelets has no orthogonal or biorthogonal wavelet of that name.
    """
    if name == "rearrange":
        return _REARRANGE
    if name == "dmey":
        raise ValueError('wavelet name must have an exact inverse, got "dmey", which is cut off; use "db8" or "sym8"')
    if name not in pywt.wavelist(kind="discrete"):  # pyright: ignore[reportAttributeAccessIssue]
        raise ValueError(
            f'wavelet name must be "none", "rearrange" or a discrete wavelet of PyWavelets such as "haar", "db2" or '
            f'"bior4.4", in small letters, got {name!r}'
        )
    return tuple(list(taps) for taps in pywt.Wavelet(name).filter_bank)  # type: ignore[return-value]


class Wavelet(nn.Module):
    """Wavelet-packet transform along the last axis; without parameters, computed in float32 or better.

    Args:
        name: a discrete wavelet of PyWavelets, "rearrange", or "none" for the identity.
        levels: how often every band is split in two; 0 is the identity.
    """

    def __init__(self, name: str = "haar", levels: int = 1) -> None:
        super().__init__()
        if not isinstance(levels, int) or isinstance(levels, bool) or not 0 <= levels <= MOST_LEVELS:
            raise ValueError(f"wavelet levels must be a whole number in 0..{MOST_LEVELS}, got {levels!r}")
        self.name = name
        self.levels = 0 if name == "none" else levels
        self.filters = ([], [], [], []) if name == "none" else filter_bank(name)

    @property
    def bands(self) -> int:
        """Number of bands, which is also the number of frames per coefficient."""
        return 2**self.levels

    @property
    def wraps(self) -> bool:
        """Whether the periodic extension couples the ends of a signal; filters of two taps never do."""
        return self.levels > 0 and len(self.filters[0]) > 2

    def extra_repr(self) -> str:
        return f"{self.name!r}, levels={self.levels}"

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Coefficients `[B, C * bands, ceil(T / bands)]` of signals `[B, C, T]`.

        Args:
            lengths: valid frames of each row `[B]`; coefficients beyond a row's own are zero.
        """
        x = x if x.dtype == torch.float64 else x.float()
        channels = x.shape[1]
        for _ in range(self.levels):
            x = self._analyse(x, channels, lengths)
            lengths = None if lengths is None else (lengths + 1) // 2
        return x

    def inverse(self, bands: Tensor, length: int, lengths: Tensor | None = None) -> Tensor:
        """Signals `[B, C, length]` of coefficients `[B, C * bands, ceil(length / bands)]`.

        Raises:
            ValueError: if the number of coefficients does not belong to `length`.
        """
        if bands.shape[1] % self.bands or bands.shape[2] != math.ceil(length / self.bands):
            raise ValueError(
                f"bands must have shape [B, C * {self.bands}, {math.ceil(length / self.bands)}] for length {length}, "
                f"got {tuple(bands.shape)}"
            )
        x = bands if bands.dtype == torch.float64 else bands.float()
        channels = x.shape[1] // self.bands
        # from the coarsest level to the finest; odd lengths are restored at each
        for level in reversed(range(self.levels)):
            step = 2**level
            own = None if lengths is None else -(-lengths // step)
            x = self._synthesise(x, channels, -(-length // step), own)
        return x

    def energies(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Fraction of the energy of signals `[B, C, T]` in each band, `[bands]`, lowest band first; they sum to 1.

        Args:
            lengths: valid frames of each row `[B]`.
        """
        bands = self(x, lengths).unflatten(1, (self.bands, -1))  # [B, bands, C, N]
        energy = widened(bands).square().sum((0, 2, 3))
        return energy / energy.sum().clamp(min=torch.finfo(energy.dtype).tiny)

    def _analyse(self, x: Tensor, channels: int, lengths: Tensor | None) -> Tensor:
        low, high, _, _ = self._filters_like(x)
        taps, frames = low.shape[0], x.shape[2]
        count = (frames + 1) // 2
        # coefficient o is the sum over j of filter[j] * x[taps / 2 + 2 o - j], indices modulo the even length
        own = torch.tensor([frames], device=x.device) if lengths is None else lengths
        if taps > 2 or frames % 2 or lengths is not None:
            reach = torch.arange(taps // 2 - taps + 1, taps // 2 + 2 * count - 1, device=x.device)
            even = (own + own % 2).clamp(min=2)[:, None]
            x = _gather_time(x, torch.remainder(reach, even).minimum((own - 1).clamp(min=0)[:, None]))
        weights = torch.stack([low.flip(0), high.flip(0)], dim=1)  # [taps, 2]
        split = _windows(x.unflatten(-1, (-1, 2)), count) @ weights  # [B, bands * C, count, 2]
        split = split.unflatten(1, (-1, channels)).permute(0, 1, 4, 2, 3).flatten(1, 3)  # [B, 2 * bands * C, count]
        return split if lengths is None else _zero_beyond(split, (lengths + 1) // 2)

    def _synthesise(self, x: Tensor, channels: int, frames: int, lengths: Tensor | None) -> Tensor:
        _, _, low, high = self._filters_like(x)
        taps, count = low.shape[0], x.shape[2]
        x = x.unflatten(1, (-1, 2, channels)).permute(0, 1, 3, 4, 2)  # [B, bands, C, count, 2]
        # frame 2 m + phase is the sum over shifts d of filter[2 d + phase + taps / 2 - 1] * coefficient[m - d]
        shifts = range(-(taps // 4), (taps // 2) // 2 + 1)
        weights = x.new_zeros(len(shifts), 2, 2)  # position in the window, low or high, phase
        for position, shift in enumerate(reversed(shifts)):
            for phase in range(2):
                tap = 2 * shift + phase + taps // 2 - 1
                if 0 <= tap < taps:
                    weights[position, 0, phase] = low[tap]
                    weights[position, 1, phase] = high[tap]
        if len(shifts) > 1:
            own = torch.tensor([count], device=x.device) if lengths is None else (lengths + 1) // 2
            reach = torch.arange(-shifts[-1], count - shifts[0], device=x.device)
            index = torch.remainder(reach, own.clamp(min=1)[:, None])
            flat = x.permute(0, 1, 2, 4, 3).flatten(1, 3)
            x = _gather_time(flat, index).unflatten(1, (*x.shape[1:3], 2)).transpose(3, 4)
        merged = _windows(x, count) @ weights.flatten(0, 1)  # [B, bands, C, count, 2]
        merged = merged.flatten(3, 4).flatten(1, 2)[..., :frames]
        return merged if lengths is None else _zero_beyond(merged, lengths)

    def _filters_like(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.tensor(taps, dtype=x.dtype, device=x.device) for taps in self.filters)


def _gather_time(x: Tensor, index: Tensor) -> Tensor:
    """`x[..., index]` with `index` `[1, E]` shared by all rows, or `[B, E]` with one per row."""
    if index.shape[0] == 1:
        return x[..., index[0]]
    return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))


def _windows(pairs: Tensor, count: int) -> Tensor:
    """Sliding windows over pairs `[..., M, 2]`, flattened: `[..., count, 2 * (M - count + 1)]`."""
    extra = pairs.shape[-2] - count
    return torch.cat([pairs[..., s : s + count, :] for s in range(extra + 1)], dim=-1) if extra else pairs


def _zero_beyond(x: Tensor, lengths: Tensor) -> Tensor:
    return x * (torch.arange(x.shape[-1], device=x.device) < lengths[:, None])[:, None]
