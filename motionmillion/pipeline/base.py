"""What pipelines of every kind share: seeds of samples."""

import hashlib


def sample_seed(seed: int, sample: int) -> int:
    """Seed of sample number `sample` of a prompt; sample 0 has `seed` itself.

    Raises:
        ValueError: unless `seed` is in 0..2**63-1.
    """
    if not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be a whole number in 0..2**63-1, got {seed!r}")
    if sample == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{sample}".encode()).digest()[:4], "big")
