"""Nodes for ComfyUI: text to motion, retarget, save, preview. This folder goes into ComfyUI's `custom_nodes`.

    ln -s PATH/TO/motionmillion/recipes/comfyui ComfyUI/custom_nodes/motionmillion

Unusual: all nodes are in this file, because ComfyUI imports the folder under a name that depends on its path. Files
are written below ComfyUI's output folder, and characters read from below its input folder, so that a workflow from
elsewhere reaches nothing else.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionmillion.io import check_output, write_motion
from motionmillion.io.characters import read_character, retarget_file
from motionmillion.io.video import draw_frames
from motionmillion.io.write_options import OutputOptions
from motionmillion.motion import Motion
from motionmillion.pipeline import MotionPipeline

MOTIONS = "MOTIONMILLION_MOTIONS"
"""The type of the connections: a list of motions."""

FORMATS = ("glb", "bvh", "npz", "html", "fbx", "mp4")
BODIES = ("human", "man", "woman", "mannequin")


def folder(kind: str) -> Path:
    """ComfyUI's folder for "output" or "input"; outside of ComfyUI one of that name here."""
    try:
        import folder_paths  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
    except ImportError:
        return Path(kind)
    return Path(folder_paths.get_output_directory() if kind == "output" else folder_paths.get_input_directory())


def inside(kind: str, name: str) -> Path:
    """A path below that folder.

    Raises:
        ValueError: for a name that leaves the folder.
    """
    root = folder(kind).resolve()
    path = (root / name.strip()).resolve()
    if not name.strip() or root not in path.parents:
        raise ValueError(f"name must be a path below the {kind} folder, got {name!r}")
    return path


def free_path(prefix: str, suffix: str) -> Path:
    """The next free numbered file, such as output/motion/wave_00003.glb."""
    start = inside("output", prefix)
    start.parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(start.name) + r"_(\d+)\.")
    taken = [int(found[1]) for path in start.parent.iterdir() if (found := pattern.match(path.name))]
    return start.with_name(f"{start.name}_{max(taken, default=0) + 1:05}.{suffix}")


@lru_cache(maxsize=2)
def load(model: str) -> MotionPipeline:
    """A model, kept for the next run."""
    return MotionPipeline.from_pretrained(model, "cuda" if torch.cuda.is_available() else "cpu")


class TextToMotion:
    """Motions of a prompt, each with a seed of its own."""

    CATEGORY, FUNCTION = "motionmillion", "generate"
    RETURN_TYPES, RETURN_NAMES = (MOTIONS,), ("motions",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "prompt": ("STRING", {"multiline": True, "default": "a person waves"}),
                "seconds": ("FLOAT", {"default": 4.0, "min": 0.5, "max": 60.0, "step": 0.5}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**53}),
                "takes": ("INT", {"default": 1, "min": 1, "max": 16}),
                "repair": ("BOOLEAN", {"default": True}),
                "model": ("STRING", {"default": "mini", "tooltip": "Bundled model, folder or hub id"}),
            }
        }

    def generate(
        self, prompt: str, seconds: float, seed: int, takes: int, repair: bool, model: str
    ) -> tuple[list[Motion]]:
        motions = load(model)(prompt, seconds=seconds, num_samples=takes, seed=seed)
        return ([motion.repaired() for motion in motions] if repair else motions,)


class SaveMotion:
    """Motions as files; several in one page for html, in one file each otherwise."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "motionmillion", "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("path",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motions": (MOTIONS,),
                "format": (FORMATS, {"default": "glb"}),
                "body": (BODIES, {"default": "human", "tooltip": "Of glb, fbx, html and mp4"}),
                "filename_prefix": ("STRING", {"default": "motion/motion"}),
            }
        }

    def save(self, motions: list[Motion], format: str, body: str, filename_prefix: str) -> dict[str, Any]:
        paths = []
        for batch in [motions] if format == "html" else [[motion] for motion in motions]:
            path = free_path(filename_prefix, format)
            check_output(path)
            given = batch if format == "html" else batch[0]
            paths.append(str(write_motion(given, path, **OutputOptions(body=body).of(path))))
        return {"ui": {"text": paths}, "result": ("\n".join(paths),)}


class RetargetMotion:
    """The first motion on a character of the input folder, as a file."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "motionmillion", "retarget", True
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("path",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motions": (MOTIONS,),
                "character": ("STRING", {"default": "hero.glb", "tooltip": ".glb or .bvh below the input folder"}),
                "filename_prefix": ("STRING", {"default": "motion/retargeted"}),
            }
        }

    def retarget(self, motions: list[Motion], character: str, filename_prefix: str) -> dict[str, Any]:
        source = inside("input", character)
        if source.suffix.lower() not in (".glb", ".bvh") or not source.is_file():
            raise ValueError(f"character must be a .glb or .bvh file of the input folder, got {character!r}")
        path = free_path(filename_prefix, source.suffix[1:].lower())
        retarget_file(motions[0], read_character(source), path)
        return {"ui": {"text": [str(path)]}, "result": (str(path),)}

    @classmethod
    def IS_CHANGED(cls, character: str, **_: Any) -> float:
        """The node runs again if the character's file has changed."""
        path = inside("input", character)
        return path.stat().st_mtime if path.is_file() else float("nan")


class PreviewMotion:
    """The first motion as pictures, for Preview Image or a node that writes videos."""

    CATEGORY, FUNCTION = "motionmillion", "draw"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "FLOAT"), ("images", "fps")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motions": (MOTIONS,),
                "body": (BODIES, {"default": "mannequin"}),
                "size": ("INT", {"default": 512, "min": 64, "max": 2048, "step": 8}),
                "fps": ("FLOAT", {"default": 8.0, "min": 1.0, "max": 60.0}),
            }
        }

    def draw(self, motions: list[Motion], body: str, size: int, fps: float) -> tuple[torch.Tensor, float]:
        """Images `[N, size, size, 3]` of 0 to 1."""
        motion = motions[0].resample(fps)
        images = [np.asarray(image.convert("RGB")) for image in draw_frames(motion, (size, size), body=body)]
        return torch.from_numpy(np.stack(images)).float() / 255, fps


NODE_CLASS_MAPPINGS = {
    "MotionmillionTextToMotion": TextToMotion,
    "MotionmillionRetarget": RetargetMotion,
    "MotionmillionSave": SaveMotion,
    "MotionmillionPreview": PreviewMotion,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MotionmillionTextToMotion": "Text to Motion",
    "MotionmillionRetarget": "Retarget Motion",
    "MotionmillionSave": "Save Motion",
    "MotionmillionPreview": "Preview Motion",
}
