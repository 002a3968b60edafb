"""Run by Blender's Python, not imported by the library: GLB in, FBX out.

    python blender_export.py motion.glb motion.fbx 30.0
    blender --background --python blender_export.py -- motion.glb motion.fbx 30.0

Unusual: stands alone, because Blender's Python has no motionmillion. The glTF importer adds a sphere as the shape of
bones, which is removed. Animations are exported from strips, since those of actions are called `body|body|walk`.
"""

import sys
from typing import Any


def main(source: str, target: str, fps: float) -> None:
    """Import the body and the animations of `source` and export them to `target`."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    # Blender's rate is a whole number divided by a base
    scene.render.fps = max(1, round(fps))
    scene.render.fps_base = scene.render.fps / fps
    bpy.ops.import_scene.gltf(filepath=source)
    for thing in list(bpy.data.objects):
        skinned = thing.type == "MESH" and any(part.type == "ARMATURE" for part in thing.modifiers)
        if thing.type != "ARMATURE" and not skinned:
            bpy.data.objects.remove(thing, do_unlink=True)
        elif thing.type == "ARMATURE":
            make_strips(thing)
    ends = [action.frame_range[1] for action in bpy.data.actions]
    scene.frame_start, scene.frame_end = 0, int(max(ends, default=0) + 0.5)
    bpy.ops.export_scene.fbx(
        filepath=target,
        object_types={"ARMATURE", "MESH"},
        add_leaf_bones=False,
        bake_anim=True,
        bake_anim_use_all_actions=False,
        bake_anim_use_nla_strips=True,
        bake_anim_simplify_factor=0.0,
    )


def make_strips(armature: Any) -> None:
    """Put the animations, each on a track of its own since the import, into strips of their names, in their order."""
    data = armature.animation_data
    if data is None:
        return
    data.action = None
    for track in reversed(list(data.nla_tracks)):  # the importer puts the last animation first
        name, (before,) = track.name, track.strips
        strip = data.nla_tracks.new().strips.new(name, int(before.frame_start), before.action)
        strip.action_slot = before.action_slot
        data.nla_tracks.remove(track)
        strip.name = name  # free from now on


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    main(given[0], given[1], float(given[2]))
