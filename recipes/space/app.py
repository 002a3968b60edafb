"""A Hugging Face Space: a sentence, and the motion in the player of the library.

    pip install -r requirements.txt && python app.py

The variable MOTIONMILLION_MODEL names another bundled model, folder or hub id.
Unusual: the player is the page of `write_html`, within a frame that may run its own scripts and save files, and reach
nothing else. gradio is imported when the page is built, so that all else works without it.
"""

import html
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from motionmillion.io import write_motion
from motionmillion.io.html import write_html
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline

BODIES = ("human", "man", "woman", "mannequin")
FORMATS = ("glb", "bvh", "npz", "html")
EXAMPLES = ("a person waves", "a person walks forward", "a person jumps", "a person kicks", "a person dances")
MOST_SECONDS, MOST_TAKES = 20.0, 4


@cache
def model() -> MotionPipeline:
    """The model, loaded with the first request."""
    return MotionPipeline.from_pretrained(os.environ.get("MOTIONMILLION_MODEL", "mini"))


def make(prompt: str, seconds: float, seed: float, takes: float, repair: bool, body: str) -> tuple[str, list[str]]:
    """The player as HTML, and files to download, for what the form holds.

    Raises:
        ValueError: for a prompt that says nothing, and values out of range.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(f"seconds must be above 0 and at most {MOST_SECONDS:g}, got {seconds!r}")
    if not 1 <= takes <= MOST_TAKES:
        raise ValueError(f"takes must be 1 to {MOST_TAKES}, got {takes!r}")
    motions = model()(prompt[:1000], seconds=float(seconds), num_samples=int(takes), seed=int(seed))
    motions = [motion.repaired() for motion in motions] if repair else motions
    return player(motions, body), files(motions, body)


def player(motions: list[Motion], body: str) -> str:
    """The page with the motions side by side, as an element of another page."""
    with tempfile.TemporaryDirectory() as folder:
        page = write_html(motions, Path(folder, "page.html"), body=body).read_text(encoding="utf-8")
    return (
        f'<iframe title="Player" srcdoc="{html.escape(page)}" sandbox="allow-scripts allow-downloads" '
        'style="width: 100%; height: 36rem; border: 0"></iframe>'
    )


def files(motions: list[Motion], body: str) -> list[str]:
    """The first motion in every format, in a new folder, which gradio serves and clears away."""
    folder = Path(tempfile.mkdtemp(prefix="motion-"))
    options = {"glb": {"body": body}, "html": {"body": body}}
    return [str(write_motion(motions[0], folder / f"motion.{name}", **options.get(name, {}))) for name in FORMATS]


def build() -> Any:
    """The Space's page, as gradio's blocks."""
    import gradio as gr  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    def answer(*values: Any) -> Any:
        try:
            return make(*values)
        except ValueError as error:
            raise gr.Error(str(error)) from error

    with gr.Blocks(title="motionmillion", delete_cache=(3600, 3600)) as blocks:
        gr.Markdown("# motionmillion\nText to 3D human motion.")
        with gr.Row():
            with gr.Column(scale=1):
                prompt = gr.Textbox(EXAMPLES[0], label="What the person does", max_length=1000)
                gr.Examples(list(EXAMPLES), prompt)
                seconds = gr.Slider(1, MOST_SECONDS, 4, step=0.5, label="Seconds")
                seed = gr.Number(0, precision=0, minimum=0, maximum=2**53, label="Seed")
                takes = gr.Slider(1, MOST_TAKES, 1, step=1, label="Takes, side by side")
                repair = gr.Checkbox(True, label="Hold feet on the floor, steady the movement")
                body = gr.Dropdown(list(BODIES), value=BODIES[0], label="Body")
                button = gr.Button("Generate", variant="primary")
            with gr.Column(scale=2):
                shown = gr.HTML()
                saved = gr.Files(label="The first take")
        asked = [prompt, seconds, seed, takes, repair, body]
        for start in (button.click, prompt.submit):
            start(answer, asked, [shown, saved], api_name=False, concurrency_limit=1)
    return blocks


if __name__ == "__main__":
    model()
    build().queue(max_size=32).launch(server_name=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"))
