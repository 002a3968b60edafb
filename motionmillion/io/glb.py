"""Binary glTF (`.glb`): a skinned body with one animation per motion, for Blender, Unity, Unreal, Godot and the web.

    motion.save("wave.glb")                                     # or write_glb(motion, "wave.glb")
    write_glb([walk, run], "moves.glb", root_motion=False)      # two animations in one file, in place
    motion.save("wave.glb", body="mannequin", names="mixamo", fps=60)

The file holds the joints as a tree of nodes in a T-pose, a mesh with up to four joints per vertex, one material per
part of the body, and for each motion an animation named by its caption: all joint rotations and the pelvis path,
linear between frames. glTF's units and axes are ours: metres, y up, facing +z. Times are seconds, from 0.
Unusual: `human` has its own proportions, so its joints are those of `SkinnedBody.dress(motion)`, not of the motion;
with "mannequin" they are the motion's own.

Needs pygltflib (extra `glb`).

Shapes: T frames, J joints, V vertices.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.io.files import write_bytes
from motionmillion.io.packages import require
from motionmillion.io.root_bone import check_root_motion
from motionmillion.io.skinned.body import Part, SkinnedBody
from motionmillion.io.skinned.clips import Clip, make_clips
from motionmillion.kinematics.naming import joint_names
from motionmillion.motion import Motion

_VERTICES, _INDICES = 34962, 34963  # targets of buffer views
_BYTE, _SHORT, _INT, _FLOAT = 5121, 5123, 5125, 5126  # component types
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


def write_glb(
    motion: Motion | Sequence[Motion],
    path: str | Path,
    body: str = "auto",
    root_motion: bool | str = True,
    fps: float | None = None,
    names: str = "smpl",
) -> Path:
    """Write one motion or several as the animations of one skinned body.

    Args:
        motion: one motion, or a list of motions on one skeleton.
        body: "human", "man", "woman", "mannequin", "auto" for the human if the skeleton has SMPL22's joints, or the
            path of a `.glb` or `.gltf` character of one's own, which keeps its joints' names, see
            `motionmillion.io.characters`.
        root_motion: "hips" (or True) if the pelvis travels, "none" (or False) if it stays above the origin, "root" for
            an extra bone on the floor that travels; see `motionmillion.io.root_bone`.
        fps: resample to this frame rate; None keeps each motion's own.
        names: joint names, a key of `motionmillion.kinematics.naming.NAMINGS`.

    Raises:
        ImportError: if pygltflib is missing.
        ValueError: for no motions, motions on different skeletons, values that are not finite, an unknown option, or a
            folder that cannot be written.
    """
    check_glb()
    if body.lower().endswith((".glb", ".gltf")):
        return _on_character(motion, path, body, root_motion, fps)
    dressed, clips = make_clips(motion, body, root_motion, fps)
    return write_bytes(_Document(dressed, joint_names(dressed.skeleton, names)).glb(clips), path)


def _on_character(
    motion: Motion | Sequence[Motion], path: str | Path, body: str, root_motion: bool | str, fps: float | None
) -> Path:
    from motionmillion.io.characters import read_character, retarget_file
    from motionmillion.io.options import option_names

    if Path(path).resolve() == Path(body).resolve():
        raise ValueError(f"path must not be the character's own file, got {str(path)!r}; name another output")
    motions = [motion] if isinstance(motion, Motion) else list(motion)
    if fps is not None:
        motions = [each.resample(fps) for each in motions]
    kind = check_root_motion(root_motion)
    if kind == "root":
        raise ValueError('root_motion must be "hips" or "none" on a character of one\'s own, got "root"')
    if kind == "none":
        motions = [each.in_place() for each in motions]
    with option_names(index="motionmillion retarget --character", mapping="motionmillion retarget --mapping"):
        character = read_character(body)
    return retarget_file(motions, character, path)[0]


def check_glb() -> None:
    """Raise `ImportError` with the remedy if the package that writes `.glb` files is missing."""
    require("pygltflib", "glb", "write .glb files")


class _Document:
    """A glTF document and its binary buffer, filled step by step."""

    def __init__(self, body: SkinnedBody, names: Sequence[str]) -> None:
        self.gltf = require("pygltflib", "glb", "write .glb files")
        self.body, self.names = body, names
        self.document = self.gltf.GLTF2(asset=self.gltf.Asset(version="2.0", generator="motionmillion"))
        self.blob = bytearray()

    def glb(self, clips: Sequence[Clip]) -> bytes:
        """The bytes of the file."""
        document = self.document
        self._joints()
        self._mesh()
        for clip in clips:
            self._animation(clip)
        document.scenes.append(self.gltf.Scene(nodes=[0, len(self.names)]))
        document.scene = 0
        document.buffers.append(self.gltf.Buffer(byteLength=len(self.blob)))
        document.set_binary_blob(bytes(self.blob))
        return b"".join(document.save_to_bytes())

    def _joints(self) -> None:
        """One node per joint, in the order of the skeleton."""
        skeleton = self.body.skeleton
        for joint, name in enumerate(self.names):
            offset = list(skeleton.offsets[joint]) if joint else [0.0, self.body.rest_height, 0.0]
            children = [child for child, parent in enumerate(skeleton.parents) if parent == joint]
            self.document.nodes.append(self.gltf.Node(name=name, translation=offset, children=children))

    def _mesh(self) -> None:
        gltf, body = self.gltf, self.body
        attributes = gltf.Attributes(
            POSITION=self._accessor(body.vertices, _FLOAT, _VERTICES, bounds=True),
            NORMAL=self._accessor(body.normals, _FLOAT, _VERTICES),
            JOINTS_0=self._accessor(body.joints, _BYTE if len(self.names) <= 256 else _SHORT, _VERTICES),
            WEIGHTS_0=self._accessor(body.weights, _FLOAT, _VERTICES),
        )
        size = _SHORT if len(body.vertices) < 2**16 else _INT
        primitives = [
            gltf.Primitive(
                attributes=attributes,
                indices=self._accessor(part.faces.reshape(-1), size, _INDICES),
                material=self._material(part),
            )
            for part in body.parts
        ]
        self.document.meshes.append(gltf.Mesh(name=body.name, primitives=primitives))
        # matrices are stored by columns
        inverse_bind = self._accessor(body.inverse_bind.swapaxes(1, 2), _FLOAT)
        self.document.skins.append(
            gltf.Skin(
                name=body.name, joints=list(range(len(self.names))), inverseBindMatrices=inverse_bind, skeleton=0
            )
        )
        self.document.nodes.append(gltf.Node(name=body.name, mesh=0, skin=0, children=[]))

    def _material(self, part: Part) -> int:
        surface = self.gltf.PbrMetallicRoughness(
            baseColorFactor=[*linear_color(part.color), 1.0], metallicFactor=0.0, roughnessFactor=part.roughness
        )
        self.document.materials.append(self.gltf.Material(name=part.name, pbrMetallicRoughness=surface))
        return len(self.document.materials) - 1

    def _animation(self, clip: Clip) -> None:
        gltf = self.gltf
        extras = {"caption": clip.caption, "fps": clip.fps} if clip.caption else {"fps": clip.fps}
        animation = gltf.Animation(name=clip.name, samplers=[], channels=[], extras=extras)
        times = self._accessor(clip.times, _FLOAT, bounds=True)
        tracks: list[tuple[int, str, np.ndarray]] = [(0, "translation", clip.path)]
        if clip.pelvis is not None:
            tracks.append((1, "translation", clip.pelvis))
        tracks += [(joint, "rotation", clip.rotations[:, joint]) for joint in range(len(self.names))]
        for joint, target, values in tracks:
            animation.channels.append(
                gltf.AnimationChannel(
                    sampler=len(animation.samplers), target=gltf.AnimationChannelTarget(node=joint, path=target)
                )
            )
            animation.samplers.append(
                gltf.AnimationSampler(input=times, output=self._accessor(values, _FLOAT), interpolation="LINEAR")
            )
        self.document.animations.append(animation)

    def _accessor(self, values: np.ndarray, component: int, target: int | None = None, bounds: bool = False) -> int:
        """Append `values` `[N, ...]` to the buffer and return the index of their accessor."""
        kinds = {_BYTE: "<u1", _SHORT: "<u2", _INT: "<u4", _FLOAT: "<f4"}
        data = np.ascontiguousarray(values, dtype=kinds[component])
        view = self.gltf.BufferView(buffer=0, byteOffset=len(self.blob), byteLength=data.nbytes, target=target)
        self.blob += data.tobytes()
        self.blob += bytes(-len(self.blob) % 4)  # everything begins at a multiple of 4
        self.document.bufferViews.append(view)
        accessor = self.gltf.Accessor(
            bufferView=len(self.document.bufferViews) - 1,
            componentType=component,
            count=len(data),
            type=_TYPES[data.shape[1:]],
        )
        if bounds:
            accessor.min = np.atleast_1d(data.min(0)).astype(float).tolist()
            accessor.max = np.atleast_1d(data.max(0)).astype(float).tolist()
        self.document.accessors.append(accessor)
        return len(self.document.accessors) - 1


def linear_color(color: Sequence[int]) -> list[Any]:
    """Linear light in 0 to 1 of an 8-bit sRGB colour (IEC 61966-2-1)."""
    value = np.array(color) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).round(6).tolist()
