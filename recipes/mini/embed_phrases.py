"""Embed the phrases of measured descriptions with the bundled text encoder, so that reading prompts starts at once.

    python recipes/mini/embed_phrases.py motionmillion/bundled/phrases/phrases.safetensors

Run it after a change of `motionmillion.data.describing.phrases`; a test fails until then.
"""

import argparse

from motionmillion import MotionPipeline
from motionmillion.data.describing.reading import embedded, phrase_tasks, save_points


def main() -> None:
    parser = argparse.ArgumentParser(description="Embed the phrases of measured descriptions.")
    parser.add_argument("target", help="file to write")
    options = parser.parse_args()
    encoder = MotionPipeline.from_pretrained("mini").text_encoder
    tasks = phrase_tasks()
    save_points(options.target, embedded([task.text for task in tasks], encoder), encoder)
    print(f"{options.target}: {len(tasks)} phrases")


if __name__ == "__main__":
    main()
