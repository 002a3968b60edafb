"""Turn a trained pipeline into the bundled model: half-precision weights, float32 statistics.

    python recipes/mini/release.py runs/mini/lm/final motionmillion/bundled/mini

The model card (README.md) in the target folder is not changed.
"""

import argparse
import json

import torch

from motionmillion import MotionPipeline
from motionmillion.io.files import write_text

LIMIT = 60e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a pipeline as a bundled model.")
    parser.add_argument("source", help="pipeline folder of the training run")
    parser.add_argument("target", help="folder to write")
    parser.add_argument("--defaults", type=json.loads, default={}, help='sampling defaults, e.g. {"temperature": 0.8}')
    options = parser.parse_args()
    pipe = MotionPipeline.from_pretrained(options.source)
    pipe.set_defaults(options.defaults)
    folder = pipe.save_pretrained(options.target, dtype=torch.float16)
    for config in folder.glob("*/config.json"):  # drop the training machine's path
        settings = json.loads(config.read_text(encoding="utf-8"))
        settings.pop("_name_or_path", None)
        write_text(json.dumps(settings, indent=2) + "\n", config)
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    print(f"{folder}: {size / 1e6:.1f} MB of weights")
    if size > LIMIT:
        raise SystemExit(f"release: weights must take at most {LIMIT / 1e6:.0f} MB, got {size / 1e6:.1f}")


if __name__ == "__main__":
    main()
