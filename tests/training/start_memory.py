"""Run by test_start.py on two processes: memory that each needs to build or read a model and to split it over both.

python start_memory.py RECIPE OUTPUT [MODEL]
"""

import json
import os
import resource
import sys
from pathlib import Path

import psutil
import torch

from motionmillion.lm import MotionLM, MotionLMConfig
from motionmillion.training.arguments import training_arguments
from motionmillion.training.distributed import close_processes
from motionmillion.training.recipe import load_recipe
from motionmillion.training.start import read_on_the_first, split_from_the_first, weights_on_the_first
from motionmillion.training.trainer import build_trainer

SHAPE = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=10, num_attention_heads=8)


def main(recipe: str, output: str, trained: str = "") -> None:
    arguments = training_arguments(load_recipe(recipe))
    config = MotionLMConfig(codebook_size=64, text_dim=16, **SHAPE)
    before = psutil.Process().memory_info().rss
    if trained:
        model = read_on_the_first(MotionLM, Path(trained), arguments)
    else:
        with weights_on_the_first(arguments):
            model = MotionLM(config)
    trainer = build_trainer(model, arguments, [0], [0], list, lambda model: {})
    split_from_the_first(trainer)
    if arguments.split == "fsdp":
        optimizer = torch.optim.SGD(model.parameters())
        model, _ = trainer.accelerator.prepare(model, optimizer)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = sum(4 * getattr(weight, "ds_numel", weight.numel()) for weight in model.parameters())
    found = {"rank": arguments.process_index, "growth": peak - before, "whole": whole}
    (Path(output) / f"{os.environ['RANK']}.json").write_text(json.dumps(found))
    close_processes()


if __name__ == "__main__":
    main(*sys.argv[1:])
