"""One optimizer step on four samples of unequal lengths, in any arrangement; also started by torchrun.

torchrun --nproc_per_node=2 tests/training/unequal.py OUT lm 2 1 0
"""

import json
import os
import sys
from pathlib import Path

import torch
from torch.utils.data import Dataset

from motionmillion.data.sets.flow_pairs import collate_flow
from motionmillion.data.sets.packing import PackedCollator
from motionmillion.data.sets.tokens import TokenCollator
from motionmillion.data.sets.windows import collate_features
from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.lm.dit.config import MotionDiTConfig
from motionmillion.lm.dit.model import MotionDiT
from motionmillion.tokenizer import MotionTokenizer, MotionTokenizerConfig
from motionmillion.training.arguments import training_arguments
from motionmillion.training.recipe import Recipe
from motionmillion.training.trainer import MotionTrainer, build_trainer, run

LENGTHS = (3, 40, 9, 17)


class StillDiT(MotionDiT):
    """A DiT whose noise follows from the motion, so that it is the same in every arrangement."""

    def forward(self, labels: torch.Tensor, **batch) -> torch.Tensor:
        noise = torch.cos(3 * labels)
        halfway = labels.new_full((len(labels),), 500.0)
        return super().forward(x=(labels + noise) / 2, timestep=halfway, target=noise - labels, **batch)


class Samples(Dataset):
    """Four samples; `bad` has a text feature that is not finite."""

    def __init__(self, kind: str, bad: int | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.kind, self.bad = kind, bad
        self.codes = [torch.randint(25, (n,), generator=generator) for n in LENGTHS]
        self.texts = [torch.randn(n % 5 + 2, 8, generator=generator) for n in LENGTHS]
        self.features = [torch.randn(2 * n, 272, generator=generator) for n in LENGTHS]

    def __len__(self) -> int:
        return len(LENGTHS)

    def __getitem__(self, item: int) -> dict[str, torch.Tensor]:
        if self.kind == "tokenizer":
            return {"features": self.features[item]}
        if self.kind == "dit":
            motion = self.features[item][:, :1].expand(-1, 276) * torch.linspace(0.1, 1, 276)
            return {"labels": motion, "text": self.texts[item], "feature_mask": torch.ones(276)}
        return {"codes": self.codes[item], "text": self.texts[item] * (torch.nan if item == self.bad else 1)}

    def name(self, item: int) -> str:
        return f"walk{item}"


def trainer_of(
    output: str | Path, kind: str, batch: int, accumulated: int, packing: int, bad: int | None = None, **training
) -> tuple[MotionTrainer, Recipe]:
    """A trainer that takes one step of plain gradient descent, and its recipe."""
    training = {"max_steps": 1, "learning_rate": 1.0, "optim": "sgd", "logging_steps": 1, **training}
    training |= {"lr_scheduler_type": "constant", "save_strategy": "no", "max_grad_norm": 1e9}
    training |= {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulated}
    recipe = Recipe(str(output), training={"eval_strategy": "no", "report_to": "none", **training})
    arguments = training_arguments(recipe)
    torch.manual_seed(0)
    shape = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    if kind == "lm":
        model = MotionLM(MotionLMConfig(codebook_size=25, text_dim=8, **shape))
        plain = TokenCollator(model.config.end_token_id, model.config.padding_token_id)
        collate = PackedCollator(plain, packing) if packing else plain
    elif kind == "dit":
        model, collate = StillDiT(MotionDiTConfig(text_dim=8, num_reference_layers=0, **shape)), collate_flow
    else:
        losses = {"features": 1.0, "local_acceleration": 0.5, "bands": 0.5, "velocity": 0.1}
        quantizer = {"type": "fsq", "levels": [5, 5]}
        config = MotionTokenizerConfig(width=8, depth=1, quantizer=quantizer, losses=losses)
        model, collate = MotionTokenizer(config), collate_features
    samples = Samples(kind, bad)
    return build_trainer(model, arguments, samples, samples, collate, lambda _: {"loss": 0.0}), recipe


def step(*arrangement, **training) -> dict:
    """Train for one step of plain gradient descent; the loss, the norm of the gradient, and the weights after it."""
    trainer, recipe = trainer_of(*arrangement, **training)
    run(trainer, recipe)
    entry = next(entry for entry in trainer.state.log_history if "loss" in entry)
    weights = torch.cat([value.detach().flatten() for value in trainer.trained_model.parameters()])
    return {"loss": entry["loss"], "grad_norm": entry["grad_norm"], "weights": weights.tolist(), "log": entry}


def main() -> None:
    output, kind, batch, accumulated, bad = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    try:
        found = step(output, kind, batch, accumulated, 0, bad if bad >= 0 else None)
    except ValueError as error:
        found = {"error": str(error)}
    Path(output, f"rank{os.environ['RANK']}.json").write_text(json.dumps(found))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
