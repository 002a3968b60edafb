"""LoRA fine-tuning of a trained language model through small adapters, with the library peft.

    model: {lora: {rank: 16, alpha: 32, dropout: 0.05, targets: [q_proj, v_proj]}}      # in the recipe

    model = add_adapters(lm, LoraOptions(rank=16), base="mini")
    save_adapters(model, weights, folder)                # peft.PeftModel.from_pretrained(lm, folder) loads them again
    lm = merged(model, weights)                          # a MotionLM with the adapters in its weights

A linear layer `y = W x` becomes `y = (W + alpha / rank * B A) x`, where only A (`rank` rows) and B are trained
(Hu et al., LoRA, arXiv 2106.09685).
"""

import copy
import functools
import importlib.util
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from motionmillion.configuration import check_number, check_whole
from motionmillion.io.files import write_text
from motionmillion.lm import MotionLM
from motionmillion.pipeline.folder import find_pipeline
from motionmillion.training.sections import read_section

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

_Model = TypeVar("_Model", bound=PreTrainedModel)

_README = """# Adapters of {base}

LoRA adapters of a motion language model, trained with motionmillion:

    lm = motionmillion.lm.MotionLM.from_pretrained(LM_FOLDER)      # the folder lm of {base}
    lm = peft.PeftModel.from_pretrained(lm, THIS_FOLDER)
"""


def _names(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise ValueError(f"model.lora.targets must be a list of names, got {given!r}")
    return tuple(given)


@dataclass(frozen=True)
class LoraOptions:
    """The section `model.lora` of a recipe.

    Args:
        rank: rank of the adapters.
        alpha: the adapters are scaled by alpha / rank.
        dropout: applied to the adapters' input.
        targets: names of the linear layers that get an adapter.
    """

    rank: int = 16
    alpha: float = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = field(default=TARGETS, metadata={"read": _names})

    def __post_init__(self) -> None:
        check_whole("model.lora.rank", self.rank, 1)
        check_number("model.lora.alpha", self.alpha)
        if not 0 <= check_number("model.lora.dropout", self.dropout) < 1:
            raise ValueError(f"model.lora.dropout must be in [0, 1), got {self.dropout!r}")
        if not self.targets or set(self.targets) - set(TARGETS):
            raise ValueError(f"model.lora.targets must be among {', '.join(TARGETS)}, got {list(self.targets)!r}")

    @classmethod
    def from_section(cls, section: Any) -> "LoraOptions | None":
        """The options of a recipe's `model.lora`; None if there is no such section.

        Raises:
            ValueError: for unknown keys and values out of range.
        """
        if section is None:
            return None
        if not isinstance(section, dict):
            raise ValueError(f"model.lora must be a section, got {section!r}; leave it empty for the defaults: {{}}")
        return read_section(cls, section, "model.lora")


def check_peft() -> None:
    """Raise ImportError with the remedy unless peft is installed."""
    if importlib.util.find_spec("peft") is None:
        raise ImportError('peft must be installed to train with LoRA; run: pip install "motionmillion[lora]"')


def add_adapters(lm: MotionLM, options: LoraOptions, base: str = "") -> Any:
    """Wrap `lm` in a `peft.PeftModel` in which only the adapters are trained.

    Args:
        base: where `lm` comes from, saved with the adapters.

    Raises:
        ImportError: if peft is missing.
    """
    check_peft()
    from peft import LoraConfig

    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,  # type: ignore[arg-type]
        lora_dropout=options.dropout,
        target_modules=list(options.targets),
    )
    return _adapted(lm, config, base)


def _adapted(lm: MotionLM, config: Any, base: str | None = None) -> Any:
    """`lm` with the adapters of a peft config, which is changed to name `base`."""
    from peft import get_peft_model

    config = copy.deepcopy(config)
    config.base_model_name_or_path = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft uses a deprecated API of transformers
        model = get_peft_model(lm, config)
    config.base_model_name_or_path = base
    # otherwise peft asks the hub at every checkpoint whether the vocabulary has grown
    model.save_pretrained = functools.partial(model.save_pretrained, save_embedding_layers=False)
    return model


def is_adapted(model: Any) -> bool:
    """Whether a model has adapters."""
    return hasattr(model, "peft_config")


def save_adapters(model: Any, weights: dict[str, Tensor], folder: Path) -> None:
    """Write only the adapters, with a README on how to load them; `weights` are the full weights of the model."""
    model.save_pretrained(str(folder), state_dict=weights)
    base = next(iter(model.peft_config.values())).base_model_name_or_path
    write_text(_README.format(base=base), folder / "README.md")


def merged(model: Any, weights: dict[str, Tensor]) -> MotionLM:
    """The `MotionLM` equivalent to the adapted `model`; `weights` are its full weights, modified in place."""
    with torch.device("meta"):
        double = _adapted(MotionLM(model.config), next(iter(model.peft_config.values())))
    double.load_state_dict(weights, assign=True)
    return double.merge_and_unload()


def loaded_adapters(folder: Path, weights: dict[str, Tensor] | None = None) -> MotionLM:
    """Load the adapters in a folder with an `adapter_config.json`, merged into the model that they were trained on.

    Args:
        weights: weights of the adapters, optionally with all others; None reads them from the folder.

    Raises:
        ValueError: if the model that they were trained on cannot be loaded, or adapters are missing or unexpected.
        ImportError: if peft is missing.
    """
    check_peft()
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict

    config: Any = LoraConfig.from_pretrained(str(folder))
    if not config.base_model_name_or_path:
        raise ValueError(f"adapters must name the model that they belong to, got none in {str(folder)!r}")
    model = _adapted(starting_model(config.base_model_name_or_path), config)
    if weights is None:
        weights = load_peft_weights(str(folder), device="cpu")
        _check_adapters(set(get_peft_model_state_dict(model)), set(weights), folder)
        set_peft_model_state_dict(model, weights)
    else:
        known = set(model.state_dict())
        _check_adapters({name for name in known if "lora_" in name}, set(weights), folder, known)
        model.load_state_dict(weights, strict=False)
    return model.merge_and_unload()


def _check_adapters(wanted: set[str], found: set[str], folder: Path, known: set[str] | None = None) -> None:
    """Raise `ValueError` unless all wanted weights are found, and no others except the known ones.

    A weight under another name would leave its adapter at zero, and the merged model would equal the base model.
    """
    for kind, names in (("missing", wanted - found), ("unexpected", found - (known or wanted))):
        if names:
            shown = ", ".join(sorted(names)[:3])
            raise ValueError(
                f"adapters must hold exactly the weights of adapter_config.json, got {len(names)} {kind} in "
                f"{str(folder)!r}: {shown}; check that config and weights belong together"
            )


def filled(model_class: type[_Model], config: Any, weights: dict[str, Tensor]) -> _Model:
    """A model with these weights, assigned without a copy."""
    with torch.device("meta"):
        model = model_class(config)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    return model


def starting_model(name: str) -> MotionLM:
    """The language model of a pipeline (bundled name, folder or hub id), or of its own folder, in float32."""
    return MotionLM.from_pretrained(model_folder(name), dtype=torch.float32)


def model_folder(name: str) -> Path:
    """The folder of that model."""
    folder = find_pipeline(name)
    inside = folder / "lm"
    return inside if inside.is_dir() else folder
