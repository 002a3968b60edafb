"""Whole weights out of an FSDP checkpoint with `state_dict_type: SHARDED_STATE_DICT`, by one process without a GPU.

    weights = fsdp_weights(checkpoint)                  # None if it is no such checkpoint

PyTorch's distributed checkpoints are a folder of shards with an index, `.metadata`, which is a pickle. Unusual: the
index is unpickled without running code from it, only the classes of an index are allowed.
"""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

FOLDER = "pytorch_model_fsdp_0"
"""Name that accelerate gives to the model's folder in a checkpoint."""

_PREFIX = "model."
_CLASSES = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
    "torch.serialization": {"_get_layout"},
    "torch": {"Size", "bfloat16", "float16", "float32", "float64", "int32", "int64", "uint8", "bool"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath", "PurePath"},
}


class _IndexUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in _CLASSES.get(module, ()):
            raise pickle.UnpicklingError(f"an index must hold sizes and places alone, got {module}.{name}")
        return super().find_class(module, name)


class _Reader(dcp.FileSystemReader):
    """Reads shards and unpickles their index safely."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        with (Path(self.path) / ".metadata").open("rb") as file:
            metadata = _IndexUnpickler(file).load()
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


def fsdp_weights(checkpoint: Path) -> dict[str, Tensor] | None:
    """All weights by name, in float32; None if the checkpoint has no shards.

    Raises:
        ValueError: for shards or an index that are damaged.
    """
    folder = checkpoint / FOLDER
    if not folder.is_dir():
        return None
    try:
        reader = _Reader(folder)
        entries = reader.read_metadata().state_dict_metadata
        state: dict[str, Any] = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            for name, entry in entries.items()
            if isinstance(entry, TensorStorageMetadata)
        }
        with warnings.catch_warnings():  # that one process loads is meant
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
            dcp.load(state, storage_reader=reader, no_dist=True)
    except Exception as error:  # a damaged file can fail anywhere in the reader
        raise ValueError(f"checkpoint must hold whole shards, got {str(folder)!r} ({error}); copy it again") from None
    return {
        name.removeprefix(_PREFIX): value.float() if value.is_floating_point() else value
        for name, value in state.items()
    }
