"""Options of the writers that commands offer: one frozen dataclass, from which the command line follows.

    options = OutputOptions(bvh_unit="m", body="mannequin")
    options.check([Path("wave.bvh"), Path("wave.glb")])
    write_motion(motion, "wave.bvh", **options.of("wave.bvh"))     # unit="m"

A writer's option appears on the command line of every command that writes motions by adding a field here: its name and
help there, the suffixes of the files that it applies to, and the writer's keyword.
Unusual: a value that is None or False was not given; the writer's own default applies then.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

BVH, SMPL = "BVH files", "NPZ files"
BODY = "Bodies in GLB, FBX and USD files, pages, pictures and videos"
ROOT = "GLB, FBX, USD and BVH files"
"""Panels of `--help`."""

Naming = Literal["smpl", "mixamo", "cmu", "unreal"]
Shown = Literal["human", "man", "woman", "mannequin", "stick"]
SKINNED = (".glb", ".fbx", ".usd", ".usda", ".usdc", ".usdz")
"""Formats of a skinned body, whose files hold one motion or several."""
BODIED = (*SKINNED, ".html", ".png", ".mp4")


def _option(suffixes: tuple[str, ...], keyword: str, panel: str, help: str) -> Any:
    metadata = {"suffixes": suffixes, "keyword": keyword, "panel": panel, "help": help}
    return dataclasses.field(default=None, metadata=metadata)


def _flag(suffixes: tuple[str, ...], keyword: str, panel: str, help: str, value: bool = True) -> Any:
    """A flag that passes `value` to the writer."""
    metadata = {"suffixes": suffixes, "keyword": keyword, "panel": panel, "help": help, "value": value}
    return dataclasses.field(default=False, metadata=metadata)


@dataclass(frozen=True)
class OutputOptions:
    """Options of writers; each applies to files of some suffixes."""

    bvh_unit: Literal["cm", "m", "inch"] | None = _option((".bvh",), "unit", BVH, "Unit of length; default: cm.")
    bvh_names: Naming | None = _option((".bvh",), "names", BVH, "Joint names; default: smpl.")
    bvh_rest: Literal["T", "A"] | None = _option((".bvh",), "rest", BVH, "Rest pose, A with lowered arms; default: T.")
    bvh_t_pose: bool = _flag((".bvh",), "t_pose_first_frame", BVH, "Add a T-pose before the motion.")
    body: str | None = _option(
        BODIED,
        "body",
        BODY,
        "human (default), man, woman or mannequin; in a .glb also a .glb or .gltf character, on pages also stick.",
    )
    joint_names: Naming | None = _option(SKINNED, "names", BODY, "Joint names; default: smpl.")
    root_motion: Literal["hips", "root", "none"] | None = _option(
        (*SKINNED, ".bvh"),
        "root_motion",
        ROOT,
        "What travels: hips, an extra bone root on the floor, or none; default: hips.",
    )
    smpl_model: Literal["smplh", "smplx"] | None = _option((".npz",), "model", SMPL, "Body model; default: smplh.")

    def check(self, paths: Iterable[str | Path]) -> None:
        """Raise `ValueError` for an option that applies to none of the files."""
        suffixes = {Path(path).suffix.lower() for path in paths}
        for field, value in self._given():
            if not suffixes & set(field.metadata["suffixes"]):
                wanted = " or ".join(field.metadata["suffixes"])
                given = ", ".join(sorted(suffixes)) or "no file"
                raise ValueError(f"{field.name} must come with a {wanted} output, got {value!r} for {given}")

    def of(self, path: str | Path) -> dict[str, Any]:
        """Keywords of the writer of `path`."""
        suffix = Path(path).suffix.lower()
        return {
            field.metadata["keyword"]: field.metadata.get("value", value)
            for field, value in self._given()
            if suffix in field.metadata["suffixes"]
        }

    def _given(self) -> list[tuple[dataclasses.Field[Any], Any]]:
        every = [(field, getattr(self, field.name)) for field in dataclasses.fields(self)]
        return [(field, value) for field, value in every if value is not None and value is not False]
