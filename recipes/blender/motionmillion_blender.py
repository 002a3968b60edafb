"""Blender add-on: text to motion from a `motionmillion serve` or the library, as a new figure or on an armature.

Edit, Preferences, Add-ons, Install from Disk, this file; then the tab "Motion" of the 3D view's sidebar (N).

Unusual: stands alone, one file without other packages, because Blender's Python has no motionmillion; the library runs
as a program. Which one is in the add-on's preferences, not in the scene: scenes come from other people. An armature is
sent as bones only, never with its mesh: the service puts the motion on them, and the result is copied frame by frame
as turns in space, because importers give bones other axes than the scene's. Requests run beside Blender's window;
called from scripts, the operator waits.
"""

import json
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
from mathutils import Matrix  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

bl_info = {
    "name": "Motionmillion",
    "description": "Text to motion from a local service or the library",
    "author": "motionmillion",
    "version": (1, 0, 0),
    "blender": (4, 2, 0),
    "location": "3D View > Sidebar > Motion",
    "category": "Animation",
}

SECONDS = 300
"""A motion may take, seconds; the service has a limit of its own."""


class ServiceError(Exception):
    """The service or the program refused, or cannot be reached; the message is for the user."""


class Client:
    """Requests to a service."""

    def __init__(self, address: str, key: str = "") -> None:
        if not address.startswith(("http://", "https://")):
            known = "such as http://127.0.0.1:8000, or empty for the program of the add-on's preferences"
            raise ServiceError(f"Service must be an address {known}, got {address!r}")
        self.address, self.key = address.rstrip("/"), key

    def motion(self, prompt: str, seconds: float, seed: int, form: str, repair: bool = False) -> bytes:
        """A motion as a file of this format."""
        asked = {"prompt": prompt, "seconds": round(seconds, 3), "seed": seed, "format": form, "repair": repair}
        return self._send("/v1/motions", "application/json", json.dumps(asked).encode())

    def retarget(self, motion: bytes, character: bytes) -> bytes:
        """A .glb character with a motion from a .npz file."""
        files = (("motion", "motion.npz", motion), ("character", "character.glb", character))
        boundary, body = uuid.uuid4().hex, b""
        for field, name, content in files:
            head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'
            body += f"--{boundary}\r\n{head}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
            body += content + b"\r\n"
        return self._send(
            "/v1/retarget", f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--".encode()
        )

    def _send(self, path: str, kind: str, body: bytes) -> bytes:
        headers = {"Content-Type": kind, **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        request = urllib.request.Request(self.address + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise ServiceError(_message(error)) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise ServiceError(f"No service at {self.address} ({reason}); start one: motionmillion serve") from error


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return json.loads(error.read())["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return f"The service answered {error.code} {error.reason}"


class Program:
    """The library's command line on this machine, as a `Client`: it loads the model for every motion."""

    def __init__(self, program: str) -> None:
        found = shutil.which(program)
        if found is None:
            remedy = "pip install motionmillion[demo], and name the program in the add-on's preferences"
            raise ServiceError(f"Program must be motionmillion, got {program!r}, which is not there; {remedy}")
        self.program = found

    def motion(self, prompt: str, seconds: float, seed: int, form: str, repair: bool = False) -> bytes:
        """A motion as a file of this format."""
        options = ["--seconds", f"{seconds:.3f}", "--seed", str(seed), *(["--repair"] if repair else [])]
        with TemporaryDirectory() as folder:
            path = Path(folder, f"motion.{form}")
            return self._run(path, "generate", *options, "-o", str(path), "--", prompt)

    def retarget(self, motion: bytes, character: bytes) -> bytes:
        """A .glb character with a motion from a .npz file."""
        with TemporaryDirectory() as folder:
            source, target, path = (Path(folder, name) for name in ("motion.npz", "character.glb", "out.glb"))
            source.write_bytes(motion)
            target.write_bytes(character)
            return self._run(path, "retarget", str(source), "--to", str(target), "-o", str(path))

    def _run(self, written: Path, *arguments: str) -> bytes:
        try:
            how: dict[str, Any] = dict(stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True)
            subprocess.run([self.program, *arguments], **how)
            return written.read_bytes()
        except subprocess.CalledProcessError as error:
            told = error.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {error.returncode}"]
            raise ServiceError(told[-1].removeprefix("motionmillion: ")) from error
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"{self.program} cannot be run: {error}") from error


def ask(client: Client | Program, asked: dict[str, Any], bones: bytes | None) -> bytes:
    """The .glb file of a request: a figure of the service's, or those bones with the motion. Needs no scene."""
    if bones is None:
        return client.motion(form="glb", **asked)
    return client.retarget(client.motion(form="npz", **asked), bones)


def export_bones(armature: Any) -> bytes:
    """The armature at rest as a .glb file, with a triangle for each bone in place of its meshes."""
    heads = [bone.head_local for bone in armature.data.bones]
    tails = [bone.tail_local for bone in armature.data.bones]
    sides = [bone.head_local + bone.x_axis * bone.length / 10 for bone in armature.data.bones]
    lowest, point = _sole(armature)
    sides[lowest] = point
    points = [tuple(point) for three in zip(heads, tails, sides, strict=True) for point in three]
    mesh = bpy.data.meshes.new("bones")
    mesh.from_pydata(points, [], [tuple(range(start, start + 3)) for start in range(0, len(points), 3)])
    skin = bpy.data.objects.new("bones", mesh)
    for index, bone in enumerate(armature.data.bones):
        skin.vertex_groups.new(name=bone.name).add(range(3 * index, 3 * index + 3), 1.0, "REPLACE")
    skin.modifiers.new("Armature", "ARMATURE").object = armature
    skin.parent = armature
    bpy.context.scene.collection.objects.link(skin)
    try:
        with _selected([armature, skin]), TemporaryDirectory() as folder:
            path = Path(folder, "bones.glb")
            bpy.ops.export_scene.gltf(
                filepath=str(path), use_selection=True, export_animations=False, export_rest_position_armature=True
            )
            return path.read_bytes()
    finally:
        bpy.data.objects.remove(skin)
        bpy.data.meshes.remove(mesh)


def _sole(armature: Any) -> tuple[int, Any]:
    """The lowest bone, and the point below it at the height of the lowest vertex of the meshes: feet stand there."""
    place = armature.matrix_world
    ends = [min(place @ bone.head_local, place @ bone.tail_local, key=lambda point: point.z)
            for bone in armature.data.bones]  # fmt: skip
    lowest = min(range(len(ends)), key=lambda index: ends[index].z)
    point = ends[lowest].copy()
    for thing in bpy.context.scene.objects:
        if thing.type == "MESH" and any(getattr(part, "object", None) == armature for part in thing.modifiers):
            heights = ((thing.matrix_world @ vertex.co).z for vertex in thing.data.vertices)
            point.z = min(point.z, min(heights, default=point.z))
    return lowest, place.inverted() @ point


class _selected:
    """Selects these objects only, and afterwards what was selected before."""

    def __init__(self, objects: list[Any]) -> None:
        self.objects = objects

    def __enter__(self) -> None:
        layer = bpy.context.view_layer
        self.before, self.active = list(bpy.context.selected_objects), layer.objects.active
        if self.active and self.active.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        _select(self.objects, self.objects[0])

    def __exit__(self, *_: object) -> None:
        _select(self.before, self.active)


def _select(objects: list[Any], active: Any) -> None:
    layer = bpy.context.view_layer
    for thing in layer.objects:
        thing.select_set(thing in objects)
    layer.objects.active = active


def import_figure(content: bytes) -> list[Any]:
    """Import a .glb file; returns its objects, the armature first."""
    before = set(bpy.data.objects)
    with TemporaryDirectory() as folder:
        path = Path(folder, "motion.glb")
        path.write_bytes(content)
        bpy.ops.import_scene.gltf(filepath=str(path), disable_bone_shape=True)
    found = [thing for thing in bpy.data.objects if thing not in before]
    return sorted(found, key=lambda thing: thing.type != "ARMATURE")


def apply_motion(content: bytes, armature: Any, name: str) -> Any:
    """Give an armature the motion of a .glb file with the same bones; returns its new action.

    The action that it had is kept in the file.
    """
    before = {kind: set(getattr(bpy.data, kind)) for kind in ("actions", "armatures", "meshes", "collections")}
    scene, current = bpy.context.scene, bpy.context.scene.frame_current
    with _selected([armature]):
        figure = import_figure(content)
        try:
            first, last = (round(frame) for frame in figure[0].animation_data.action.frame_range)
            poses = {}
            for frame in range(first, last + 1):
                scene.frame_set(frame)
                poses[frame] = _turns(figure[0])
        finally:
            bpy.data.batch_remove(figure)
            for kind, known in before.items():
                bpy.data.batch_remove([thing for thing in getattr(bpy.data, kind) if thing not in known])
    scene.frame_set(current)
    return _write_action(armature, poses, name)


def _turns(armature: Any) -> dict[str, Any]:
    """How each bone has moved from its rest, as matrices of the armature's space."""
    return {bone.name: bone.matrix @ bone.bone.matrix_local.inverted() for bone in armature.pose.bones}


def _write_action(armature: Any, poses: dict[int, dict[str, Any]], name: str) -> Any:
    data = armature.animation_data or armature.animation_data_create()
    if data.action:
        data.action.use_fake_user = True
    data.action = action = bpy.data.actions.new(name[:60])
    for bone in armature.pose.bones:
        if bone.name not in next(iter(poses.values())):
            continue
        if bone.rotation_mode == "AXIS_ANGLE":
            bone.rotation_mode = "QUATERNION"
        bases = {frame: _basis(bone, turns) for frame, turns in poses.items()}
        moves = max(basis.to_translation().length for basis in bases.values()) > 1e-4 * bone.bone.length
        for frame, basis in bases.items():
            _set_rotation(bone, basis.to_quaternion())
            bone.keyframe_insert(_rotation_path(bone), frame=frame)
            if moves:
                bone.location = basis.to_translation()
                bone.keyframe_insert("location", frame=frame)
    return action


def _basis(bone: Any, turns: dict[str, Any]) -> Any:
    """What a bone's own channels must be for its turn in space, given its parent's."""
    rest, parent = bone.bone.matrix_local, bone.bone.parent
    pose = turns[bone.name] @ rest
    if parent is None:
        return rest.inverted() @ pose
    above = turns.get(parent.name, Matrix.Identity(4)) @ parent.matrix_local
    return rest.inverted() @ parent.matrix_local @ above.inverted() @ pose


def _rotation_path(bone: Any) -> str:
    return "rotation_quaternion" if bone.rotation_mode == "QUATERNION" else "rotation_euler"


def _set_rotation(bone: Any, turn: Any) -> None:
    """Set a bone's rotation, near its last one, so that curves do not jump."""
    if bone.rotation_mode == "QUATERNION":
        turn.make_compatible(bone.rotation_quaternion)
        bone.rotation_quaternion = turn
    else:
        bone.rotation_euler = turn.to_euler(bone.rotation_mode, bone.rotation_euler)


class MotionmillionSettings(bpy.types.PropertyGroup):
    """What the panel asks for; kept in the scene."""

    prompt: bpy.props.StringProperty(name="Prompt", default="a person waves", maxlen=1000)  # type: ignore[valid-type]
    seconds: bpy.props.FloatProperty(name="Seconds", default=4.0, min=0.5, max=60.0)  # type: ignore[valid-type]
    seed: bpy.props.IntProperty(name="Seed", default=0, min=0)  # type: ignore[valid-type]
    repair: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Repair", description="Hold feet that touch the floor, and steady the movement", default=True
    )
    target: bpy.props.PointerProperty(  # type: ignore[valid-type]
        name="Armature",
        description="Takes the motion; empty for a new figure",
        type=bpy.types.Object,
        poll=lambda self, thing: thing.type == "ARMATURE",
    )
    address: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Service",
        description="Address of motionmillion serve; empty to run the program of the add-on's preferences",
        default="http://127.0.0.1:8000",
    )


class MotionmillionPreferences(bpy.types.AddonPreferences):
    """The key and the program are kept here, not in scenes, which are given away."""

    bl_idname = __name__
    key: bpy.props.StringProperty(name="API key", subtype="PASSWORD")  # type: ignore[valid-type]
    program: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Program", description="motionmillion, or its path", default="motionmillion", subtype="FILE_PATH"
    )

    def draw(self, context: Any) -> None:
        self.layout.prop(self, "key")
        self.layout.prop(self, "program")


class MOTIONMILLION_OT_generate(bpy.types.Operator):
    """Make the motion"""

    bl_idname, bl_label, bl_options = "motionmillion.generate", "Generate", {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Ask, wait and finish."""
        if not self._prepare(context):
            return {"CANCELLED"}
        self._work()
        return self._finish()

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask in a thread, and look for the answer ten times a second."""
        if not self._prepare(context):
            return {"CANCELLED"}
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()
        self.timer = context.window_manager.event_timer_add(0.1, window=context.window)
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set("Motionmillion: waiting for the service; Esc stops")
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        stopped = event.type == "ESC"
        if self.thread.is_alive() and not stopped:
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self.timer)
        context.workspace.status_text_set(None)
        return {"CANCELLED"} if stopped else self._finish()

    def _prepare(self, context: Any) -> bool:
        settings, addon = context.scene.motionmillion, context.preferences.addons.get(__name__)
        self.asked = {name: getattr(settings, name) for name in ("prompt", "seconds", "seed", "repair")}
        self.target = settings.target.name if settings.target else ""
        self.answer, self.problem = b"", ""
        try:
            key, program = (addon.preferences.key, addon.preferences.program) if addon else ("", "motionmillion")
            self.client = Client(settings.address, key) if settings.address.strip() else Program(program)
            if settings.target and settings.target.name not in context.view_layer.objects:
                raise ServiceError(f"Armature must be in this scene, got {settings.target.name!r}")
            self.bones = export_bones(settings.target) if settings.target else None
        except (ServiceError, RuntimeError) as error:
            self.report({"ERROR"}, str(error))
            return False
        return True

    def _work(self) -> None:
        """In a thread: nothing of the scene may be touched here."""
        try:
            self.answer = ask(self.client, self.asked, self.bones)
        except ServiceError as error:
            self.problem = str(error)

    def _finish(self) -> set[str]:
        target = bpy.data.objects.get(self.target) if self.target else None
        if self.target and target is None:
            self.problem = self.problem or f"Armature {self.target!r} has been removed"
        if self.problem:
            self.report({"ERROR"}, self.problem)
            return {"CANCELLED"}
        if target is None:
            import_figure(self.answer)[0].name = self.asked["prompt"][:60]
        else:
            apply_motion(self.answer, target, self.asked["prompt"])
        return {"FINISHED"}


class MOTIONMILLION_PT_panel(bpy.types.Panel):
    """The tab of the sidebar."""

    bl_label, bl_category, bl_space_type, bl_region_type = "Motion", "Motion", "VIEW_3D", "UI"

    def draw(self, context: Any) -> None:
        for name in ("prompt", "seconds", "seed", "repair", "target", "address"):
            self.layout.prop(context.scene.motionmillion, name)
        self.layout.operator("motionmillion.generate", icon="ARMATURE_DATA")


CLASSES = (MotionmillionSettings, MotionmillionPreferences, MOTIONMILLION_OT_generate, MOTIONMILLION_PT_panel)


def register() -> None:
    """Called by Blender when the add-on is switched on."""
    for kind in CLASSES:
        bpy.utils.register_class(kind)
    bpy.types.Scene.motionmillion = bpy.props.PointerProperty(type=MotionmillionSettings)


def unregister() -> None:
    """Called by Blender when the add-on is switched off."""
    del bpy.types.Scene.motionmillion
    for kind in reversed(CLASSES):
        bpy.utils.unregister_class(kind)
