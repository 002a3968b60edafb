"""Text -> Motion: pipelines over codes, latents, and the DiT."""

from typing import TYPE_CHECKING

from motionmillion.lazy import lazy_names

if TYPE_CHECKING:
    from motionmillion.pipeline.base import MotionPipeline
    from motionmillion.pipeline.folder import (
        bundled,
        find_pipeline,
        find_tokenizer,
        pipeline_defaults,
        read_pipeline_settings,
    )

__all__ = [
    "MotionPipeline",
    "bundled",
    "find_pipeline",
    "find_tokenizer",
    "pipeline_defaults",
    "read_pipeline_settings",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "base": ["MotionPipeline"],
        "folder": ["bundled", "find_pipeline", "find_tokenizer", "pipeline_defaults", "read_pipeline_settings"],
    },
)
