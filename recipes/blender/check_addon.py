"""Run by Blender's Python, not imported: install the add-on, use it against a running service, and tell what came.

    blender --background --python check_addon.py -- http://127.0.0.1:8000 [KEY [PROGRAM]]

Prints one line of JSON. Unusual: it puts a motion on the bones of the figure that was imported before, whose axes it
has turned. All joints must then be where the service's answer has them ("off"), and close to the figure's own ("far",
which holds what retargeting changes).
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

ADDON = Path(__file__).with_name("motionmillion_blender.py")


def use(**settings: Any) -> str:
    """Press the button with these settings; returns "FINISHED", or the error that the user sees."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    for name, value in settings.items():
        setattr(bpy.context.scene.motionmillion, name, value)
    try:
        return bpy.ops.motionmillion.generate("EXEC_DEFAULT").pop()
    except RuntimeError as error:
        return str(error).strip().splitlines()[0]


def joints(armature: Any, frame: int) -> dict[str, Any]:
    """Places of the bones' heads in the scene, at a frame."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    bpy.context.scene.frame_set(frame)
    return {bone.name: armature.matrix_world @ bone.head for bone in armature.pose.bones}


def other_rig(armature: Any, mode: str) -> Any:
    """The bones of an armature with other axes and rotation mode, without a motion or a mesh."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    rig = armature.copy()
    rig.data, rig.name = armature.data.copy(), f"rig {mode}"
    rig.animation_data_clear()
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in rig.data.edit_bones:
        bone.roll += 1.0
    bpy.ops.object.mode_set(mode="OBJECT")
    for bone in rig.pose.bones:
        bone.matrix_basis.identity()
        bone.rotation_mode = mode
    rig.animation_data_create().action = bpy.data.actions.new(f"old {mode}")
    return rig


def places(armature: Any, frames: tuple[int, ...]) -> dict[tuple[str, int], Any]:
    """Places of the joints in several frames."""
    return {(name, frame): place for frame in frames for name, place in joints(armature, frame).items()}


def distance(mine: dict[Any, Any], other: dict[Any, Any]) -> float:
    """The largest distance of a joint from where another has it, metres."""
    return max((mine[name] - other[name]).length for name in other)


def answered(asked: dict[str, Any], address: str, key: str, rig: Any) -> Any:
    """The armature that the service makes of a rig, imported as it is."""
    addon = sys.modules[ADDON.stem]
    return addon.import_figure(addon.ask(addon.Client(address, key), asked, addon.export_bones(rig)))[0]


def by_program(program: str, figure: Any, rig: Any) -> dict[str, Any]:
    """The same motions from the library's program, without a service: how far they are from those of the service."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    preferences = bpy.context.preferences.addons[ADDON.stem].preferences
    preferences.program = f"{program}-nowhere"
    told: dict[str, Any] = {"missing": use(address="", target=None)}
    preferences.program = program
    told["refused"] = use(prompt="!")
    known, frames = set(bpy.data.objects), (0, 30)
    told["new"] = use(prompt="a person waves")
    made = next(thing for thing in bpy.data.objects if thing not in known and thing.type == "ARMATURE")
    told["off"] = distance(places(made, frames), places(figure, frames))
    before = places(rig, frames)
    told["on"] = use(target=rig)
    told["moved"] = distance(places(rig, frames), before)
    return told


def main(address: str, key: str = "", program: str = "") -> dict[str, Any]:
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = 30
    bpy.ops.preferences.addon_install(filepath=str(ADDON))
    bpy.ops.preferences.addon_enable(module=ADDON.stem)
    asked: dict[str, Any] = dict(prompt="a person waves", seconds=2.0, seed=3, repair=False)
    told: dict[str, Any] = {"nowhere": use(**asked, address="http://127.0.0.1:9"), "no address": use(address="x")}
    told["keyless"] = use(address=address)
    bpy.context.preferences.addons[ADDON.stem].preferences.key = key
    told["refused"] = use(prompt="!")
    told["new"] = use(prompt=asked["prompt"])
    figure = bpy.context.view_layer.objects[asked["prompt"]]
    first, last = (round(frame) for frame in figure.animation_data.action.frame_range)
    told |= {"frames": last - first + 1, "bones": len(figure.data.bones)}
    middle = joints(figure, (first + last) // 2)
    told["moved"] = max((joints(figure, last)[name] - place).length for name, place in middle.items())
    skins = [thing for thing in bpy.data.objects if thing.modifiers]
    for mode in ("QUATERNION", "XYZ"):
        rig = other_rig(figure, mode)
        for skin in skins:
            skin.modifiers[0].object = rig
        before = len(bpy.data.objects)
        told[mode] = {"answer": use(target=rig), "action": rig.animation_data.action.name}
        told[mode]["objects"] = len(bpy.data.objects) - before
        told[mode]["armatures"] = len(bpy.data.armatures)
        frames = (first, (first + last) // 2, last)
        own, mine, sent = (places(thing, frames) for thing in (figure, rig, answered(asked, address, key, rig)))
        told[mode]["far"], told[mode]["off"] = distance(mine, own), distance(mine, sent)
        told[mode]["kept"] = bpy.data.actions[f"old {mode}"].use_fake_user
        told[mode]["rolled"] = math.degrees(min(
            figure.data.bones[bone.name].matrix_local.to_quaternion().rotation_difference(
                bone.matrix_local.to_quaternion()).angle for bone in rig.data.bones))  # fmt: skip
    if program:
        told["program"] = by_program(program, figure, rig)
    bpy.ops.preferences.addon_disable(module=ADDON.stem)
    told["off"] = not hasattr(bpy.context.scene, "motionmillion")
    return told


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    print("told", json.dumps(main(*given[:3])))
