"""OpenUSD (`.usd`, `.usda`, `.usdc`, `.usdz`): a skinned body with UsdSkel animation, for Omniverse, Houdini and Maya.

    motion.save("wave.usdc")                                    # or write_usd([walk, run], "moves.usd")

The stage is y up, in metres, at the motion's frame rate from time code 0. `/Person` is a SkelRoot with the mesh, the
skeleton, materials and one `SkelAnimation` per motion; the first one is bound, and a variant set `motion` selects
another.
Unusual: matrices of USD act on rows, so ours are transposed. Several motions need one frame rate; `fps` resamples.

Needs usd-core (extra `usd`).

Shapes: T frames, J joints, V vertices.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from motionmillion.io.files import atomic_path
from motionmillion.io.glb import linear_color
from motionmillion.io.packages import require
from motionmillion.io.skinned.body import SkinnedBody
from motionmillion.io.skinned.clips import Clip, make_clips
from motionmillion.kinematics.naming import joint_names
from motionmillion.motion import Motion

_ROOT = "/Person"
_REACH = 1.3  # metres; no point of an adult is farther from the pelvis


def write_usd(
    motion: Motion | Sequence[Motion],
    path: str | Path,
    body: str = "auto",
    root_motion: bool | str = True,
    fps: float | None = None,
    names: str = "smpl",
) -> Path:
    """Write one motion or several as UsdSkel animations of one skinned body.

    Args:
        path: `.usd` and `.usdc` are binary, `.usda` is text, `.usdz` a package of one file.
        motion, body, root_motion, fps, names: as for `motionmillion.io.glb.write_glb`.

    Raises:
        ImportError: if usd-core is missing.
        ValueError: as for `write_glb`, and for motions of several frame rates.
    """
    check_usd()
    made, clips = make_clips(motion, body, root_motion, fps)
    for clip in clips:
        if clip.fps != clips[0].fps:
            raise ValueError(
                f"motion must have one frame rate in a USD file, got {clips[0].fps:g} and {clip.fps:g}; pass fps="
            )
    with atomic_path(path) as temporary:
        layer = temporary.with_suffix(".usdc") if temporary.suffix.lower() == ".usdz" else temporary
        try:
            _Stage(layer, made, joint_names(made.skeleton, names), clips).save()
            if layer != temporary:
                _package(layer, temporary, Path(path).stem)
        finally:
            if layer != temporary:
                layer.unlink(missing_ok=True)
    return Path(path)


def check_usd() -> None:
    """Raise `ImportError` with the remedy if the package that writes USD files is missing."""
    _pxr("UsdSkel")


def _pxr(name: str) -> Any:
    """A module of usd-core."""
    return require(f"pxr.{name}", "usd", "write USD files")


def _package(layer: Path, target: Path, name: str) -> None:
    """A `.usdz` package of one layer, called `name` in it."""
    sdf = _pxr("Sdf")
    with sdf.ZipFileWriter.CreateNew(str(target)) as writer:
        writer.AddFile(str(layer), f"{identifier(name)}.usdc")


def identifier(name: str) -> str:
    """A name that USD allows: letters, digits and underscores, not beginning with a digit."""
    made = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "motion"
    return f"_{made}" if made[0].isdigit() else made


class _Stage:
    """A stage with one skinned body, filled step by step."""

    def __init__(self, path: Path, body: SkinnedBody, names: Sequence[str], clips: Sequence[Clip]) -> None:
        self.gf, self.usd, self.geom, self.skel, self.vt = map(_pxr, ("Gf", "Usd", "UsdGeom", "UsdSkel", "Vt"))
        self.body, self.clips = body, clips
        self.joints: list[str] = []
        for name, parent in zip(names, body.skeleton.parents, strict=True):
            own = identifier(name)
            self.joints.append(own if parent < 0 else f"{self.joints[parent]}/{own}")
        self.stage = self.usd.Stage.CreateNew(str(path))

    def save(self) -> None:
        """Fill and save the stage."""
        stage = self.stage
        self.geom.SetStageUpAxis(stage, self.geom.Tokens.y)
        self.geom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetTimeCodesPerSecond(self.clips[0].fps)
        stage.SetFramesPerSecond(self.clips[0].fps)
        stage.SetStartTimeCode(0)
        stage.SetEndTimeCode(max(len(clip.path) for clip in self.clips) - 1)
        root = self.skel.Root.Define(stage, _ROOT)
        stage.SetDefaultPrim(root.GetPrim())
        skeleton = self._skeleton()
        self._mesh(skeleton)
        self._bind(skeleton, root.GetPrim(), [self._animation(clip) for clip in self.clips])
        self._extent(root)
        stage.GetRootLayer().Save()

    def _skeleton(self) -> Any:
        skeleton = self.skel.Skeleton.Define(self.stage, f"{_ROOT}/Skeleton")
        skeleton.CreateJointsAttr(self.joints)
        skeleton.CreateBindTransformsAttr(self._matrices(np.linalg.inv(self.body.inverse_bind)))
        rest = np.tile(np.eye(4), (len(self.joints), 1, 1))
        rest[:, :3, 3] = self.body.skeleton.offsets
        rest[0, :3, 3] = [0.0, self.body.rest_height, 0.0]
        skeleton.CreateRestTransformsAttr(self._matrices(rest))
        return skeleton

    def _matrices(self, matrices: np.ndarray) -> Any:
        return self.vt.Matrix4dArray([self.gf.Matrix4d(*matrix.T.reshape(-1).tolist()) for matrix in matrices])

    def _mesh(self, skeleton: Any) -> None:
        body, vt = self.body, self.vt
        faces = np.concatenate([part.faces for part in body.parts])
        mesh = self.geom.Mesh.Define(self.stage, f"{_ROOT}/{identifier(body.name)}")
        mesh.CreatePointsAttr(vt.Vec3fArray.FromNumpy(body.vertices.astype(np.float32)))
        mesh.CreateFaceVertexCountsAttr(vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
        mesh.CreateFaceVertexIndicesAttr(vt.IntArray.FromNumpy(faces.reshape(-1).astype(np.int32)))
        mesh.CreateSubdivisionSchemeAttr("none")
        mesh.CreateNormalsAttr(vt.Vec3fArray.FromNumpy(body.normals.astype(np.float32)))
        mesh.SetNormalsInterpolation("vertex")
        corners = [_vector(self.gf, body.vertices.min(0)), _vector(self.gf, body.vertices.max(0))]
        mesh.CreateExtentAttr(vt.Vec3fArray(corners))
        binding = self.skel.BindingAPI.Apply(mesh.GetPrim())
        binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
        indices, weights = body.joints.reshape(-1).astype(np.int32), body.weights.reshape(-1).astype(np.float32)
        binding.CreateJointIndicesPrimvar(False, 4).Set(vt.IntArray.FromNumpy(indices))
        binding.CreateJointWeightsPrimvar(False, 4).Set(vt.FloatArray.FromNumpy(weights))
        binding.CreateGeomBindTransformAttr(self.gf.Matrix4d(1))
        self._materials(mesh)

    def _materials(self, mesh: Any) -> None:
        """One material for each part of the body, on a subset of the mesh's faces."""
        sdf, shade = _pxr("Sdf"), _pxr("UsdShade")
        start = 0
        for part in self.body.parts:
            name = identifier(part.name)
            material = shade.Material.Define(self.stage, f"{_ROOT}/Materials/{name}")
            shader = shade.Shader.Define(self.stage, f"{material.GetPath()}/Surface")
            shader.CreateIdAttr("UsdPreviewSurface")
            color = _vector(self.gf, linear_color(part.color))
            shader.CreateInput("diffuseColor", sdf.ValueTypeNames.Color3f).Set(color)
            shader.CreateInput("roughness", sdf.ValueTypeNames.Float).Set(part.roughness)
            shader.CreateInput("metallic", sdf.ValueTypeNames.Float).Set(0.0)
            material.CreateSurfaceOutput().ConnectToSource(shader.ConnectableAPI(), "surface")
            indices = np.arange(start, start + len(part.faces), dtype=np.int32)
            start += len(part.faces)
            subset = self.geom.Subset.CreateGeomSubset(
                mesh, name, self.geom.Tokens.face, self.vt.IntArray.FromNumpy(indices), "materialBind"
            )
            shade.MaterialBindingAPI.Apply(subset.GetPrim()).Bind(material)
        shade.MaterialBindingAPI.Apply(mesh.GetPrim())
        shade.MaterialBindingAPI(mesh.GetPrim()).SetMaterialBindSubsetsFamilyType(self.geom.Tokens.partition)

    def _animation(self, clip: Clip) -> Any:
        gf, vt = self.gf, self.vt
        path = f"{_ROOT}/Animations/{identifier(clip.name)}"
        while self.stage.GetPrimAtPath(path):
            path += "_"
        animation = self.skel.Animation.Define(self.stage, path)
        if clip.caption:
            animation.GetPrim().SetDocumentation(clip.caption)
        animation.CreateJointsAttr(self.joints)
        animation.CreateScalesAttr(vt.Vec3hArray(len(self.joints), gf.Vec3h(1)))
        rotations, translations = animation.CreateRotationsAttr(), animation.CreateTranslationsAttr()
        offsets = np.array(self.body.skeleton.offsets, np.float32)
        for frame, (turned, place) in enumerate(zip(clip.rotations, clip.path, strict=True)):
            # a quaternion of USD has its real part first
            rotations.Set(vt.QuatfArray([gf.Quatf(w, gf.Vec3f(x, y, z)) for x, y, z, w in turned.tolist()]), frame)
            offsets[0] = place
            if clip.pelvis is not None:
                offsets[1] = clip.pelvis[frame]
            translations.Set(vt.Vec3fArray.FromNumpy(offsets), frame)
        return animation

    def _bind(self, skeleton: Any, root: Any, animations: list[Any]) -> None:
        """Bind the first animation to the skeleton; a variant set selects among several."""
        binding = self.skel.BindingAPI.Apply(skeleton.GetPrim())
        if len(animations) == 1:
            binding.CreateAnimationSourceRel().SetTargets([animations[0].GetPath()])
            return
        variants = root.GetVariantSets().AddVariantSet("motion")
        for animation in animations:
            variants.AddVariant(animation.GetPrim().GetName())
        for animation in reversed(animations):  # the first remains selected
            variants.SetVariantSelection(animation.GetPrim().GetName())
            with variants.GetVariantEditContext():
                binding.CreateAnimationSourceRel().SetTargets([animation.GetPath()])

    def _extent(self, root: Any) -> None:
        """A box around the body in every frame of the first animation, for viewers."""
        extent = root.CreateExtentAttr()
        for frame, place in enumerate(self.clips[0].centre):
            extent.Set(self.vt.Vec3fArray([_vector(self.gf, place - _REACH), _vector(self.gf, place + _REACH)]), frame)


def _vector(gf: Any, values: Any) -> Any:
    return gf.Vec3f(*(float(value) for value in values))
