"""How much of a codebook is in use."""

import torch
from torch import Tensor


def code_usage(codes: Tensor, size: int) -> dict[str, float]:
    """Fraction of the codebook in use, perplexity and entropy in bits, from counts (no one-hot matrix)."""
    counts = codes.flatten().unique(return_counts=True)[1].cpu().double()
    fraction = counts / counts.sum().clamp(min=1)
    entropy = float(-(fraction * fraction.log2()).sum())
    return {"usage": len(counts) / size, "perplexity": 2**entropy, "entropy_bits": entropy}


def code_perplexity(codes: Tensor) -> Tensor:
    """Perplexity `[]` of codes, on their device, cheap enough to log at every training step."""
    counts = codes.flatten().unique(return_counts=True)[1].float()
    return torch.special.entr(counts / counts.sum()).sum().exp()
