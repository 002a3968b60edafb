"""Devices without float64, such as Apple's GPUs: nothing on the way of a model may need it."""

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from motionmillion import features
from motionmillion.data import synthesize
from motionmillion.kinematics.joints import rotations_from_joints
from motionmillion.lm.dit.layers import frame_sines, time_sines
from motionmillion.precision import widened, widest
from motionmillion.tokenizer import Wavelet

REFUSAL = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64"


class WithoutDoubles(Tensor):
    """A tensor as on MPS: it says that it is there, and every float64 on it raises what MPS raises."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("mps")

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = {name: "cpu" if name == "device" else value for name, value in (kwargs or {}).items()}
        args = tuple(torch.device("cpu") if isinstance(value, torch.device) else value for value in args)
        result = super().__torch_function__(function, types, args, kwargs)
        if isinstance(result, WithoutDoubles) and result.dtype == torch.float64:
            raise TypeError(REFUSAL)

        if function is Tensor.cpu:
            return result.as_subclass(Tensor)
        return result


class NewTensorsThere(TorchFunctionMode):
    """New tensors on "mps" are made on the CPU, as `WithoutDoubles`."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        there = str(kwargs.get("device", "")) == "mps"
        if there:
            kwargs["device"] = "cpu"
        result = function(*args, **kwargs)
        if there and result.dtype == torch.float64:
            raise TypeError(REFUSAL)

        return result.as_subclass(WithoutDoubles) if there else result


def there(values: Tensor) -> Tensor:
    return values.as_subclass(WithoutDoubles)


def test_the_widest_type_is_float64_except_on_mps():
    assert widest(torch.device("cpu")) == widest(torch.device("cuda")) == torch.float64
    assert widest(torch.device("mps")) == torch.float32
    assert widened(torch.ones(2)).dtype == torch.float64
    assert widened(there(torch.ones(2))).dtype == torch.float32


def test_the_stand_in_refuses_float64():
    with pytest.raises(TypeError, match="float64"):
        there(torch.ones(2)).double()
    with pytest.raises(TypeError, match="float64"), NewTensorsThere():
        torch.zeros(2, dtype=torch.float64, device="mps")


@pytest.mark.parametrize("name", ["rot272", "rot276", "rot276_velocity", "hml263"])
def test_representations_are_read_without_float64(name):
    representation = features.get(name)
    encoded = representation.encode(synthesize("walk", seed=0, seconds=2).resample(representation.fps))
    rotations, root = representation.rotations(encoded)
    with NewTensorsThere():
        again, path = representation.rotations(there(encoded))
        positions = representation.positions(there(encoded))
    assert torch.allclose(again.cpu(), rotations, atol=1e-3)
    assert torch.allclose(path.cpu(), root, atol=1e-3)
    assert torch.allclose(positions.cpu(), representation.positions(encoded), atol=1e-3)


def test_rotations_are_recovered_without_float64():
    positions = synthesize("walk", seed=0, seconds=2).positions()
    with NewTensorsThere():
        found = rotations_from_joints(there(positions))
    assert torch.allclose(found.cpu(), rotations_from_joints(positions), atol=1e-2)


def test_places_and_times_are_encoded_without_float64():
    times = torch.tensor([0.0, 0.5, 999.0])
    with NewTensorsThere():
        frames, sines = frame_sines(40, 32, torch.device("mps")), time_sines(there(times), 32)
    assert torch.allclose(frames.cpu(), frame_sines(40, 32, torch.device("cpu")), atol=1e-4)
    assert torch.allclose(sines.cpu(), time_sines(times, 32), atol=1e-3)


def test_energies_of_bands_are_measured_without_float64():
    wavelet, signal = Wavelet("db2", levels=2), torch.randn(1, 3, 40, generator=torch.Generator().manual_seed(0))
    with NewTensorsThere():
        found = wavelet.energies(there(signal))
    assert torch.allclose(found.cpu().double(), wavelet.energies(signal), atol=1e-5)
