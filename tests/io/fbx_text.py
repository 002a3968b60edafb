"""ASCII FBX of a rig with a key in every frame, as little as readers accept."""

import itertools

import numpy as np
import roma
import torch

from motionmillion.skeleton import SMPL22

_TICKS = 46186158000  # of a second


def fbx_text(rig, local: np.ndarray, root: np.ndarray, fps: float = 30.0, takes: int = 1, bodies: int = 1) -> str:
    """The text of a file of version 7.4 in centimetres, y up; every take and every body is the same."""
    turned = rig.posed(local, root)[1]
    stop = round((len(root) - 1) / fps * _TICKS)
    objects, links = [], []
    for take in range(takes):
        objects += [
            f'AnimationStack: {900 + 2 * take}, "AnimStack::Take {take}", "" {{',
            "Properties70: {",
            'P: "LocalStart", "KTime", "Time", "",0',
            f'P: "LocalStop", "KTime", "Time", "",{stop}',
            "}",
            "}",
            f'AnimationLayer: {901 + 2 * take}, "AnimLayer::Base", "" {{',
            "}",
        ]
        links.append(f"{901 + 2 * take},{900 + 2 * take}")
    number = 10_000
    for body, (joint, parent) in itertools.product(range(bodies), enumerate(SMPL22.parents)):
        first = 1000 * body
        offset = np.zeros(3) if parent < 0 else rig.frames[parent] @ rig.offsets[joint]
        objects += [
            f'Model: {first + 100 + joint}, "Model::{rig.names[joint]}", "LimbNode" {{',
            "Properties70: {",
            f'P: "Lcl Translation", "Lcl Translation", "", "A",{",".join(f"{v:.6f}" for v in offset)}',
            "}",
            "}",
            f'NodeAttribute: {first + 300 + joint}, "NodeAttribute::", "LimbNode" {{',
            'TypeFlags: "Skeleton"',
            "}",
        ]
        node, above = first + 100 + joint, 0 if parent < 0 else first + 100 + parent
        links += [f"{node},{above}", f"{first + 300 + joint},{node}"]
        own = turned[:, joint] if parent < 0 else turned[:, parent].swapaxes(-1, -2) @ turned[:, joint]
        # FBX turns about x first: Rz Ry Rx
        angles = roma.rotmat_to_euler("ZYX", torch.from_numpy(own), degrees=True).numpy()[:, ::-1]
        curves = {"Lcl Rotation": np.rad2deg(np.unwrap(np.deg2rad(angles), axis=0))}
        if parent < 0:
            curves["Lcl Translation"] = root
        for take in range(takes):
            for name, values in curves.items():
                node, number = number, number + 1
                objects += [f'AnimationCurveNode: {node}, "AnimCurveNode::", "" {{', "}"]
                links += [f"{node},{901 + 2 * take}", f'OP:{node},{first + 100 + joint}, "{name}"']
                for axis in range(3):
                    objects += _curve(number, values[:, axis], fps)
                    links.append(f'OP:{number},{node}, "d|{"XYZ"[axis]}"')
                    number += 1
    head = ["; FBX 7.4.0 project file", "FBXHeaderExtension: {", "FBXVersion: 7400", "}", "GlobalSettings: {"]
    head += ["Properties70: {", 'P: "UnitScaleFactor", "double", "Number", "",1', 'P: "TimeMode", "enum", "", "",6']
    joined = [f'C: "OP",{link[3:]}' if link.startswith("OP:") else f'C: "OO",{link}' for link in links]
    return "\n".join([*head, "}", "}", "Objects: {", *objects, "}", "Connections: {", *joined, "}"]) + "\n"


def _curve(number: int, values: np.ndarray, fps: float) -> list[str]:
    times = ",".join(str(round(frame / fps * _TICKS)) for frame in range(len(values)))
    return [
        f'AnimationCurve: {number}, "AnimCurve::", "" {{',
        f"KeyTime: *{len(values)} {{",
        f"a: {times}",
        "}",
        f"KeyValueFloat: *{len(values)} {{",
        "a: " + ",".join(f"{value:.6f}" for value in values),
        "}",
        "KeyAttrFlags: *1 {",
        "a: 4",
        "}",
        "KeyAttrDataFloat: *4 {",
        "a: 0,0,0,0",
        "}",
        "KeyAttrRefCount: *1 {",
        f"a: {len(values)}",
        "}",
        "}",
    ]
