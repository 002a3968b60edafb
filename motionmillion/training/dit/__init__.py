"""Training of MotionDiT: data sources, fine-tuning, distillation."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.training.dit.sources import corruption_of, dit_data_options, dit_sources, source_settings
    from motionmillion.training.dit.start_from import dit_config
    from motionmillion.training.dit.train import (
        dit_data_sets,
        evaluate_dit,
        run_and_save,
        save_parts,
        train_dit,
        visits,
    )

__all__ = [
    "corruption_of",
    "dit_config",
    "dit_data_options",
    "dit_data_sets",
    "dit_sources",
    "evaluate_dit",
    "run_and_save",
    "save_parts",
    "source_settings",
    "train_dit",
    "visits",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "sources": ["corruption_of", "dit_data_options", "dit_sources", "source_settings"],
        "start_from": ["dit_config"],
        "train": [
            "dit_data_sets",
            "evaluate_dit",
            "run_and_save",
            "save_parts",
            "train_dit",
            "visits",
        ],
    },
)
