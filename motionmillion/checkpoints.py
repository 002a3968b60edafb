"""Loading and saving of checkpoints: safetensors only, and missing or unexpected weights are errors.

    state = open_state("net_last.pth", "trans")      # of another project: name -> tensor, on disk until it is read

Checkpoints of other projects are safetensors or pickles, which are read with `weights_only=True`: nothing that they
contain is run. Tensors are mapped from the file, so memory is taken as they are read and given back when the state is
dropped. Unusual: a pickle in PyTorch's format of before 1.6 cannot be mapped and is read whole.

    MotionLM.from_state(config, {"norm.weight": StoredWeight(read, torch.bfloat16), ...}, "net_last.pth")

loads a model from weights that are read one at a time, straight into their data type.
"""

import contextlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers.utils import logging

_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


class StrictLoading:
    """Mix-in before `PreTrainedModel`: `from_pretrained` that accepts exactly the weights of the model."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Self:
        """Load a folder or hub id.

        Raises:
            ValueError: if there is no safetensors file, it is damaged, or weights are missing, unexpected or of
                another shape.
        """
        source = str(pretrained_model_name_or_path)
        folder = Path(source) / kwargs.get("subfolder", "")
        if folder.is_dir() and not any(folder.glob("*.safetensors")):
            found = [name for name in _PICKLES if (folder / name).exists()]
            hint = f"found {found[0]}, a pickle, which is never loaded" if found else "save one with save_pretrained"
            raise ValueError(f"checkpoint must hold model.safetensors, got {source!r}; {hint}")
        if folder.is_dir():
            _check_config(folder, cls.config_class.model_type)  # type: ignore[attr-defined]
        loader: Any = super()
        try:
            return cls._checked(lambda **how: loader.from_pretrained(source, *args, **kwargs, **how), source)
        except SafetensorError as error:
            raise ValueError(
                f"checkpoint must be whole, got a damaged one in {source!r} ({error}); copy it again"
            ) from None
        except OSError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"checkpoint must be a folder or on the hub, got {source!r}: {reason}") from None

    @classmethod
    def from_state(cls, config: Any, state: Mapping[str, Any], source: str | Path, **kwargs: Any) -> Self:
        """A model of this config with the weights in `state`, in evaluation mode.

        Args:
            state: name -> tensor, or something that gives one for `[...]`, such as a `StoredWeight`.
            source: the file that they come from, for errors.
            kwargs: `dtype`, `quantization_config` and `device_map`, as of `from_pretrained`.

        Raises:
            ValueError: if weights are missing, unexpected, of another shape, or not finite.
        """
        loader: Any = super()
        weights = dict(state)
        try:
            return cls._checked(
                lambda **how: loader.from_pretrained(None, config=config, state_dict=weights, **kwargs, **how),
                str(source),
            )
        finally:
            for weight in weights.values():
                if isinstance(weight, StoredWeight):
                    weight.close()

    @classmethod
    def _checked(cls, load: Callable[..., tuple[Any, dict[str, Any]]], source: str) -> Self:
        """The model that `load` gives, with exactly its weights, all of them finite."""
        # mismatched shapes are reported below together with other problems
        with quiet_transformers():
            model, info = load(use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in info[kind])
            if keys:
                label = kind.removesuffix("_keys")
                raise ValueError(
                    f"checkpoint must hold exactly the weights of {cls.__name__}, got {len(keys)} {label} in "
                    f"{source!r}: {', '.join(keys[:5])}; check that config.json and weights belong together"
                )
        broken = [name for name, value in model.named_parameters() if not _finite(value)]
        if broken:
            raise ValueError(f"checkpoint must hold finite weights, got NaN or infinity in {source!r}: {broken[0]}")
        # transformers builds models on the meta device, where buffers that are not in the checkpoint lose their values
        for module in model.modules():
            if hasattr(module, "reset_buffers"):
                module.reset_buffers()
        return model

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Write a folder; arguments as in transformers.

        Raises:
            ValueError: for 4-bit weights that bitsandbytes has repacked for this CPU at their first use; it cannot
                undo the repacking (0.50.2).
        """
        for parameter in self.parameters():  # type: ignore[attr-defined]
            if getattr(getattr(parameter, "quant_state", None), "packing_format_for_cpu", False):
                raise ValueError(
                    "model must be saved before it has run in 4 bits on a CPU, got one whose weights are packed for "
                    "this processor; load it again and save that"
                )
        super().save_pretrained(save_directory, **kwargs)  # type: ignore[misc]


class ExactStatistics:
    """Mix-in before `PreTrainedModel`: statistics of the data stay float32 in a model of half precision.

    In the 8 bits of bfloat16 they would shift everything that the model makes. They stay exact when the model is cast
    (`.to`, `.half`, DeepSpeed) and when it is loaded by `from_pretrained(dtype=...)`.
    """

    _statistics: tuple[str, ...] = ("mean", "std")
    """Names of buffers, or of modules all of whose buffers count, from the model down: "quantizer.norm"."""

    def post_init(self) -> None:
        super().post_init()  # type: ignore[misc]
        # patterns that transformers searches in the names of what it loads
        names = [name for name, buffer in self._exact_buffers() if buffer.is_floating_point()]
        self._keep_in_fp32_modules_strict = {f"^{re.escape(name)}$" for name in names}

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        kept = dict(self._exact_buffers())
        super()._apply(fn, recurse)  # type: ignore[misc]
        for name, buffer in self._exact_buffers():
            before = kept[name]
            if buffer.dtype.itemsize < before.dtype.itemsize and not before.is_meta:
                owner, _, own = name.rpartition(".")
                setattr(self.get_submodule(owner), own, before.to(buffer.device))  # type: ignore[attr-defined]
        return self

    def _exact_buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        for name, buffer in self.named_buffers():  # type: ignore[attr-defined]
            if any(name == each or name.startswith(f"{each}.") for each in self._statistics):
                yield name, buffer


def _finite(value: Any) -> bool:
    """Whether a weight is free of NaN and infinity; for a quantized one, whether its scales are.

    torchao stores weights in tensor subclasses that wrap several tensors, bitsandbytes as integers with scales.
    """
    if is_traceable_wrapper_subclass(value):
        return all(_finite(getattr(value, name)) for name in value.__tensor_flatten__()[0])
    if value.is_floating_point():
        return is_finite(value)
    scales = [getattr(value, "SCB", None), getattr(getattr(value, "quant_state", None), "absmax", None)]
    return all(_finite(scale) for scale in scales if isinstance(scale, torch.Tensor))


def is_finite(value: Tensor) -> bool:
    """Whether a tensor is free of NaN and infinity, without a copy of it."""
    return not value.numel() or all(bool(end.isfinite()) for end in value.aminmax())


def _check_config(folder: Path, model_type: str) -> None:
    """Require a config of this type: without one, transformers would build a default-sized model of gigabytes."""
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"checkpoint must have a config.json, got none that can be read in {str(folder)!r}") from None
    kind = found.get("model_type") if isinstance(found, dict) else None
    if kind != model_type:
        raise ValueError(f"config.json must be of model_type {model_type!r}, got {kind!r} in {str(folder)!r}")


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and logging inside the block; errors are still raised."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


class StoredWeight:
    """A weight of a checkpoint that is read when it is asked for by `[...]`, as transformers asks for weights.

    transformers reads on several threads, and where one fails, the others go on for a while. Whoever then writes
    over the file would take mapped pages from under them, which ends the process (SIGBUS); hence `close`.

    Args:
        read: opens the file and returns the weight; mapped pages are freed with the tensor.
        dtype: data type of the tensors that are given out, which are never those of the file.
    """

    def __init__(self, read: Callable[[], Tensor], dtype: torch.dtype) -> None:
        self._read, self._dtype = read, dtype
        self._lock, self._closed = threading.Lock(), False

    def __getitem__(self, index: Any) -> Tensor:
        with self._lock:
            if self._closed:
                raise ValueError("weight must be read before its model is loaded or refused, got a read after that")
            return self._read()[index].to(self._dtype, copy=True).contiguous()

    def close(self) -> None:
        """Wait for a thread that reads the weight; from then on nothing reads the file."""
        with self._lock:
            self._closed = True


class MappedState:
    """The weights of a checkpoint, which is mapped again after many bytes were read, to give back their pages.

    Args:
        open_again: maps the checkpoint, such as a call of `open_state`; unpickling takes time, so not for each weight.
        most: bytes read from one mapping.
    """

    def __init__(self, open_again: Callable[[], Mapping[str, Tensor]], most: int = 1 << 30) -> None:
        self._open, self._most = open_again, most
        self._state: Mapping[str, Tensor] | None = None
        self._read = 0
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Tensor:
        """A weight, whose pages stay mapped as long as the tensor or this mapping is used."""
        with self._lock:
            if self._state is None or self._read > self._most:
                self._state, self._read = self._open(), 0
            value = self._state[name]
            self._read += value.numel() * value.element_size()
            return value


def open_state(
    checkpoint: str | Path, key: str | Sequence[str | None], ignore_objects: bool = False
) -> dict[str, Tensor]:
    """The weights under `key` of a checkpoint, by name, without the prefix of distributed training.

    Args:
        checkpoint: a pickle, or a `.safetensors` file, whose weights are always at the top level.
        key: one key, or several of which the first one found is used; None means the weights are at the top level.
        ignore_objects: accept a checkpoint that also holds objects of other classes, as Lightning's do; each is
            replaced by an empty dictionary, so none of their code is imported or run.

    Raises:
        ValueError: if it is missing, damaged, not a plain checkpoint, or holds something else.
    """
    try:
        if Path(checkpoint).suffix == ".safetensors":
            return _without_prefix(_map_safetensors(checkpoint))
        content = _load_beside_objects(checkpoint) if ignore_objects else _load(checkpoint)
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError(f"checkpoint must be an existing file, got {str(checkpoint)!r}; check the spelling") from None
    except SafetensorError as error:
        raise ValueError(
            f"checkpoint must be whole, got a damaged one in {str(checkpoint)!r} ({error}); copy it again"
        ) from None
    except Exception:  # a damaged file can fail anywhere in the reader
        raise ValueError(
            f"checkpoint must be a plain PyTorch checkpoint, got {str(checkpoint)!r}; copy it again if it should be"
        ) from None
    keys = [key] if isinstance(key, str) else list(key)
    state = None
    if isinstance(content, dict):
        state = next((content if k is None else content[k] for k in keys if k is None or k in content), None)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        found = f"; it holds {', '.join(map(repr, list(content)[:5]))}" if isinstance(content, dict) else ""
        named = " or ".join(repr(k) for k in keys if k)
        raise ValueError(f"checkpoint must hold its weights under {named}, got {str(checkpoint)!r}{found}")
    return _without_prefix(state)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without the "module." that DistributedDataParallel puts before every name."""
    return {name.removeprefix("module."): value for name, value in state.items()}


def _map_safetensors(checkpoint: str | Path) -> dict[str, Tensor]:
    if Path(checkpoint).is_dir():
        raise IsADirectoryError
    with safe_open(checkpoint, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _load(checkpoint: str | Path) -> object:
    try:
        return torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:
        return torch.load(checkpoint, map_location="cpu", weights_only=True)


class _Ignored:
    """Replaces the classes of other objects in a checkpoint: each object becomes an empty dictionary.

    It has to be an `OrderedDict`: PyTorch's safe reader sets items of its own dictionary types only.
    """

    def __new__(cls, *_: object, **__: object) -> OrderedDict:  # type: ignore[misc]
        return OrderedDict()


def _load_beside_objects(checkpoint: str | Path) -> object:
    unknown = torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint)
    with torch.serialization.safe_globals([(_Ignored, name) for name in unknown]):
        return _load(checkpoint)
