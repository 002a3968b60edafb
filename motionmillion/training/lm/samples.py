"""Contact sheets for a few prompts at every evaluation of a language model, to see its motion and not only its loss.

    trainer.add_callback(SampleSheets(["a person waves"], trainer, pipeline, Path("runs/lm/samples")))

A motion of `seconds` is generated for each prompt, with the same seed every time, and drawn as a PNG file and, if the
run writes TensorBoard files, as an image there. Under ZeRO 3 and FSDP the weights are gathered first, and the first
process generates on its CPU.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerState
from transformers.integrations import TensorBoardCallback

from motionmillion.io.render import optional_package
from motionmillion.pipeline.codes import CodesPipeline
from motionmillion.text.encoder import check_texts
from motionmillion.training.export import language_model, whole_weights
from motionmillion.training.lm.lora import is_adapted


class SampleSheets(TrainerCallback):
    """Generates motions for `prompts` with the current weights and draws them.

    Args:
        trainer: its current model is used.
        pipeline: its parts other than the model are used.
        folder: for the PNG files.
        seconds: length of each motion.

    Raises:
        ValueError: for an empty prompt.
        ImportError: if Pillow is missing.
    """

    def __init__(
        self, prompts: Sequence[str], trainer: Any, pipeline: CodesPipeline, folder: Path, seconds: float = 4.0
    ) -> None:
        self.prompts, self.trainer, self.pipeline = check_texts(list(prompts)), trainer, pipeline
        self.folder, self.seconds, self.pillow = folder, seconds, optional_package("PIL.Image")

    def on_evaluate(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        lm = current_model(self.trainer, args.split in ("zero3", "fsdp"))
        if lm is None:
            return
        parts = self.pipeline
        pipeline = CodesPipeline(parts.tokenizer, lm, parts.text_encoder, parts.defaults)
        motions = pipeline(self.prompts, seconds=self.seconds)
        for index, motion in enumerate(motions):
            path = motion.save(self.folder / f"step-{state.global_step:07d}-{index:02d}.png")
            for callback in self.trainer.callback_handler.callbacks:
                if isinstance(callback, TensorBoardCallback) and callback.tb_writer is not None:
                    picture = np.asarray(self.pillow.open(path).convert("RGB"))
                    tag = f"samples/{index:02d} {self.prompts[index]}"
                    callback.tb_writer.add_image(tag, picture, state.global_step, dataformats="HWC")


def current_model(trainer: Any, split: bool, every: bool = False) -> Any:
    """The model to generate with, on the first process, None on the others; every process must call it.

    Args:
        split: whether the weights are split over the processes, and have to be gathered on the first one.
        every: return it on every process where the weights are not split.
    """
    if split:
        weights = whole_weights(trainer)
        return None if weights is None else language_model(trainer.trained_model, weights)
    if not every and not trainer.is_world_process_zero():
        return None
    model = trainer.trained_model
    return model.get_base_model() if is_adapted(model) else model
