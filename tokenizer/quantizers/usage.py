"""How much of a codebook is in use."""

import torch
from torch import Tensor


def code_usage(codes: Tensor, size: int) -> dict[str, float]:
    """Fraction of the codebook in use, perplexity and entropy in bits, from counts (no one-hot matrix)."""
    counts = torch.bincount(codes.flatten(), minlength=size).cpu().double()
    fraction = counts / counts.sum().clamp(min=1)
    entropy = float(-(fraction[fraction > 0] * fraction[fraction > 0].log2()).sum())
    return {"usage": float((counts > 0).double().mean()), "perplexity": 2**entropy, "entropy_bits": entropy}


def code_perplexity(codes: Tensor, size: int) -> Tensor:
    """Perplexity `[]` of codes, on their device, cheap enough to log at every training step."""
    counts = torch.bincount(codes.flatten(), minlength=size).float()
    return torch.special.entr(counts / counts.sum()).sum().exp()
