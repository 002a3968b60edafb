"""Checks that all configurations share: numbers in a range, names of data types."""

import pytest
import torch

from motionmillion.configuration import DTYPES, MODEL_DTYPES, check_share, find_dtype


def test_names_of_dtypes():
    assert [find_dtype(name) for name in DTYPES] == [torch.float32, torch.bfloat16, torch.float16]
    with pytest.raises(ValueError, match=r"dtype must be one of \['bfloat16', 'float16', 'float32'\], got 'int8'"):
        find_dtype("int8")
    with pytest.raises(ValueError, match=r"dtype must be one of \['bfloat16', 'float32'\], got 'float16'"):
        find_dtype("float16", MODEL_DTYPES)


@pytest.mark.parametrize("value", [-0.1, 1.1, "half", True, float("nan")])
def test_shares_are_in_their_range(value):
    assert check_share("x", 0) == 0.0 and check_share("x", 1) == 1.0
    with pytest.raises(ValueError, match="x must be"):
        check_share("x", value)
