"""The nodes of an `.fbx` file and their animation as arrays, read in a process of its own.

    python -m motionmillion.io.fbx_nodes walk.fbx walk.npz --index 0 --fps 30

Version 0.0.5 of `ufbx` counts references wrongly in some calls and then ends the whole process, so that
`motionmillion.io.fbx_read` runs this module in another one, and this module keeps every list that it reads and leaves
out those calls. Problems of the file are printed as one line, with exit code 2.

Arrays: `names` [N], `parents` [N], `fps`, `rest` [N, 4, 4], `posed` [T, N, 4, 4], `animations` (how many there are),
`bones` [N] (whether the node is a bone).
"""

import argparse
import contextlib
import sys
from typing import Any

import numpy as np
import ufbx

_MOST_FRAMES = 500_000
_MEMORY = 8 << 30
"""Bytes that this process may take, where the system can limit them."""


def read_nodes(path: str, index: int, fps: float | None, rest_only: bool = False) -> dict[str, np.ndarray]:
    """Every bone, and what it hangs from, at every frame of an animation, y up and in metres.

    Args:
        rest_only: leave the animation out; `posed` has no frames.

    Raises:
        ValueError: for a damaged file, and one without that animation.
    """
    try:
        scene = ufbx.load_file(
            path,
            target_axes=ufbx.axes_right_handed_y_up,
            target_unit_meters=1.0,
            ignore_geometry=True,
        )
    except ufbx.UfbxError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"path must be a whole FBX file, got {path!r} ({reason})") from None
    stacks = list(scene.anim_stacks)
    moving = [stack for stack in stacks if stack.time_end > stack.time_begin]
    if rest_only:
        return _arrays(scene, 30.0, [], len(moving))
    if not moving:
        raise ValueError(f"{path!r} must hold an animation, got none; export it with its animation")
    if not 0 <= index < len(moving):
        raise ValueError(
            f"index must be 0 to {len(moving) - 1} for the {len(moving)} animations of {path!r}, got {index}"
        )
    begin, end, animation = moving[index].time_begin, moving[index].time_end, moving[index].anim
    rate = float(scene.settings.frames_per_second if fps is None else fps)
    frames = round((end - begin) * rate) + 1
    if not 0 < rate < 1e4 or frames > _MOST_FRAMES:
        raise ValueError(f"{path!r} must have at most {_MOST_FRAMES} frames, got {frames} at {rate:g} a second")
    times = [begin + t / rate for t in range(frames)]
    return _arrays(scene, rate, times, len(moving), animation)


def _arrays(
    scene: Any, rate: float, times: list[float], animations: int, animation: Any = None
) -> dict[str, np.ndarray]:
    """The arrays of the module's docstring, posed at some times."""
    every = list(scene.nodes)  # kept to the end: ufbx frees nodes that are still in use with those that are not
    nodes, parents = _joints(every)
    posed = np.empty((len(times), len(nodes), 4, 4))
    for number, node in enumerate(nodes):
        if not times:
            continue
        local = np.stack([_placed(ufbx.evaluate_transform(animation, node, time)) for time in times])
        posed[:, number] = local if parents[number] < 0 else posed[:, parents[number]] @ local
    rest = np.stack([_matrix(node.node_to_world) for node in nodes])
    numbers = {node.typed_id: number for number, node in enumerate(nodes)}
    clusters = list(scene.skin_clusters)
    for cluster in clusters:
        bone = cluster.bone_node
        if bone is not None and bone.typed_id in numbers:
            rest[numbers[bone.typed_id]] = _matrix(cluster.bind_to_world)
    return dict(
        names=np.array([node.name for node in nodes]),
        parents=np.array(parents),
        fps=np.array(rate),
        rest=rest,
        posed=posed.astype(np.float32),
        animations=np.array(animations),
        bones=np.array([node.bone is not None for node in nodes]),
    )


def _joints(nodes: list[Any]) -> tuple[list[Any], list[int]]:
    """Bones and what they hang from, parents before children, and their parents; all nodes if there are no bones."""
    above = {}
    for node in nodes:
        parent = node.parent
        above[node.typed_id] = -1 if parent is None else parent.typed_id
    by_id = {node.typed_id: node for node in nodes}
    bones = [node.typed_id for node in nodes if node.bone is not None]
    wanted: set[int] = set()
    for number in bones or by_id:
        while number >= 0 and number not in wanted:
            wanted.add(number)
            number = above[number]
    ordered = sorted((by_id[number] for number in wanted), key=lambda node: node.node_depth)
    places = {node.typed_id: place for place, node in enumerate(ordered)}
    return ordered, [places.get(above[node.typed_id], -1) for node in ordered]


def _placed(transform: Any) -> np.ndarray:
    """The matrix `[4, 4]` of a translation, a quaternion and a scale."""
    move, turn, scale = transform.translation, transform.rotation, transform.scale
    x, y, z, w = turn.x, turn.y, turn.z, turn.w
    result = np.eye(4)
    result[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    result[:3, :3] *= [scale.x, scale.y, scale.z]
    result[:3, 3] = move.x, move.y, move.z
    return result


def _matrix(matrix: Any) -> np.ndarray:
    """`[4, 4]` of ufbx's matrices of four columns."""
    columns = [matrix.c0, matrix.c1, matrix.c2, matrix.c3]
    result = np.eye(4)
    for number, column in enumerate(columns):
        result[:3, number] = column.x, column.y, column.z
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("output")
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--fps", type=float)
    parser.add_argument("--rest", action="store_true", help="only the rest pose")
    given = parser.parse_args()
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        arrays = read_nodes(given.path, given.index, given.fps, given.rest)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    with open(given.output, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main())
