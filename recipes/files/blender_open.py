"""Run by Blender's Python, not imported: open a motion file, measure the person in it, and render a picture.

    blender --background --python blender_open.py -- walk.glb walk.png 30

Prints one line of JSON: height (metres, the joints of the first frame), seconds, and where the pelvis goes (metres).
Unusual: stands alone, because Blender's Python has no motionmillion. Files are opened as the documentation says: as
they are, but BVH with scale 0.01 and the scene's frame rate updated. BVH has no mesh: its bones are drawn as cones.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

SAMPLES = 24
GREY, FLOOR, SKY = (0.3, 0.35, 0.45, 1.0), (0.75, 0.76, 0.79, 1.0), (0.62, 0.65, 0.7, 1.0)


def open_file(path: str, fps: float) -> None:
    """Import the file into an empty scene."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = round(fps)
    suffix = Path(path).suffix
    if suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=path)
    elif suffix == ".fbx":
        bpy.ops.wm.fbx_import(filepath=path)
    elif suffix == ".bvh":
        bpy.ops.import_anim.bvh(filepath=path, global_scale=0.01, update_scene_fps=True)
    else:
        bpy.ops.wm.usd_import(filepath=path)


def measure(armature: Any) -> dict[str, Any]:
    """Height of the joints in the first frame, seconds, and the way of the pelvis, Blender's axes (z up)."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    scene = bpy.context.scene
    first, last = (round(frame) for frame in _action(armature).frame_range)
    places, height = [], 0.0
    for frame in (first, last):
        scene.frame_set(frame)
        points = [armature.matrix_world @ bone.head for bone in armature.pose.bones]
        places.append(next(p for p, b in zip(points, armature.pose.bones, strict=True) if "pelvis" in b.name.lower()))
        if frame == first:
            height = max(point.z for point in points) - min(point.z for point in points)
    way = places[1] - places[0]
    rate = scene.render.fps / scene.render.fps_base
    return {"height": height, "seconds": (last - first + 1) / rate, "way": [way.x, way.y, way.z]}


def _action(armature: Any) -> Any:
    """The animation of an armature: its own, or that which USD's importer keeps as a cache of the whole scene."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    own = armature.animation_data and armature.animation_data.action
    return own or bpy.data.actions[0]


def render(armature: Any, path: str) -> None:
    """Render three moments of the motion on one floor with Cycles."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
    from mathutils import Vector  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    scene = bpy.context.scene
    first, last = _action(armature).frame_range
    meshes = [thing for thing in bpy.data.objects if thing.type == "MESH" and thing.modifiers]
    for mesh in bpy.data.objects:
        if mesh.type == "MESH" and not mesh.modifiers:  # the glTF importer's shape of bones
            mesh.hide_render = True
    for moment in range(4):
        scene.frame_set(round(first + (last - first) * moment / 3))
        if meshes:
            _keep_surface(meshes)
        else:
            _keep_bones(armature)
    for mesh in meshes:
        mesh.hide_render = True
    places = [thing.matrix_world @ Vector(corner) for thing in _kept() for corner in thing.bound_box]
    middle = sum(places, Vector()) / len(places)
    reach = max((place - middle).length for place in places)
    bpy.ops.mesh.primitive_plane_add(size=60, location=(middle.x, middle.y, 0))
    bpy.context.object.data.materials.append(_material("floor", FLOOR))
    bpy.ops.object.light_add(type="SUN", rotation=(math.radians(50), math.radians(15), math.radians(30)))
    bpy.context.object.data.energy, bpy.context.object.data.angle = 2.0, 0.1
    where = middle + Vector((1.5, -1.9, 0.75)).normalized() * reach * 2.9
    bpy.ops.object.camera_add(location=where, rotation=(middle - where).to_track_quat("-Z", "Y").to_euler())
    scene.camera = bpy.context.object
    scene.world = bpy.data.worlds.new("sky")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = SKY
    scene.view_settings.view_transform = "Standard"
    scene.render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", SAMPLES, "CPU"
    scene.cycles.use_denoising = True
    scene.render.resolution_x, scene.render.resolution_y = 480, 360
    scene.render.filepath = path
    bpy.ops.render.render(write_still=True)


def _kept() -> list[Any]:
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    return [thing for thing in bpy.data.objects if thing.name.startswith("kept")]


def _keep_surface(meshes: list[Any]) -> None:
    """Copies of the deformed meshes of this frame."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    graph = bpy.context.evaluated_depsgraph_get()
    for mesh in meshes:
        posed = bpy.data.meshes.new_from_object(mesh.evaluated_get(graph), depsgraph=graph)
        copy = bpy.data.objects.new("kept", posed)
        copy.matrix_world = mesh.matrix_world
        bpy.context.collection.objects.link(copy)


def _keep_bones(armature: Any) -> None:
    """A cone for every bone of this frame."""
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    material = _material("bone", GREY)
    for bone in armature.pose.bones:
        start, stop = (armature.matrix_world @ point for point in (bone.head, bone.tail))
        length = (stop - start).length
        if length > 1e-4:
            turn = (stop - start).to_track_quat("Z", "Y").to_euler()
            bpy.ops.mesh.primitive_cone_add(
                vertices=8, radius1=0.2 * length**0.7, depth=length, location=(start + stop) / 2, rotation=turn
            )
            bpy.context.object.name = "kept"
            bpy.context.object.data.materials.append(material)


def _material(name: str, color: tuple[float, ...]) -> Any:
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    material = bpy.data.materials.get(name) or bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = color
    return material


def main(source: str, picture: str, fps: float) -> None:
    import bpy  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    open_file(source, fps)
    armature = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    print("measured", json.dumps(measure(armature)))
    render(armature, picture)


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    main(given[0], given[1], float(given[2]))
