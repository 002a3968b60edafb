"""Loading of checkpoints: safetensors only, and missing or unexpected weights are errors."""

from pathlib import Path
from typing import Any, Self

from transformers import PreTrainedModel

_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")


class StrictLoading:
    """Mix-in before `PreTrainedModel`: `from_pretrained` that accepts exactly the weights of the model."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, *args: Any, **kwargs: Any) -> Self:
        """Load a folder or hub id.

        Raises:
            ValueError: if there is no safetensors file, or weights are missing, unexpected or of another shape.
        """
        source = str(pretrained_model_name_or_path)
        folder = Path(source) / kwargs.get("subfolder", "")
        if folder.is_dir() and not any(folder.glob("*.safetensors")):
            found = [name for name in _PICKLES if (folder / name).exists()]
            hint = f"found {found[0]}, a pickle, which is never loaded" if found else "save one with save_pretrained"
            raise ValueError(f"checkpoint must hold model.safetensors, got {source!r}; {hint}")
        kwargs.update(use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True)
        loader: Any = super()
        model, info = loader.from_pretrained(source, *args, **kwargs)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            keys = sorted(str(key[0] if isinstance(key, tuple) else key) for key in info[kind])
            if keys:
                label = kind.removesuffix("_keys")
                raise ValueError(
                    f"checkpoint must hold exactly the weights of {cls.__name__}, got {len(keys)} {label} in "
                    f"{source!r}: {', '.join(keys[:5])}; check that config.json and weights belong together"
                )
        for module in model.modules():  # transformers builds models on the meta device, where buffers lose their values
            if hasattr(module, "reset_buffers"):
                module.reset_buffers()
        return model
