"""The nodes for ComfyUI without it: what they make, what they refuse, and workflows that fit them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from motionmillion.motion import Motion

pytest.importorskip("pygltflib", reason='needs pip install "motionmillion[glb]"')
pytest.importorskip("PIL", reason='needs pip install "motionmillion[demo]"')

FOLDER = Path(__file__).resolve().parents[3] / "recipes" / "comfyui"
CORE = {"PreviewImage": ({"images": ("IMAGE",)}, ())}
"""Nodes of ComfyUI itself that the workflows use: inputs and outputs."""


@pytest.fixture(scope="module")
def nodes(recipe):
    return recipe("comfyui/__init__.py", "comfyui_motionmillion")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    (tmp_path / "input").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def walk() -> Motion:
    from motionmillion.data import synthesize

    return synthesize("walk", seed=0, seconds=2).slice(0, 30)


def shape(nodes, kind: str) -> tuple[dict[str, tuple], tuple[str, ...]]:
    """Inputs and outputs of a node."""
    if kind in CORE:
        return CORE[kind]
    node = nodes.NODE_CLASS_MAPPINGS[kind]
    return node.INPUT_TYPES()["required"], node.RETURN_TYPES


def fits(value: Any, declared: tuple) -> bool:
    """Whether a value is of an input's type and within its bounds."""
    kind, limits = declared[0], declared[1] if len(declared) > 1 else {}
    if not isinstance(kind, str):
        return value in kind
    types = {"STRING": str, "INT": int, "FLOAT": (int, float), "BOOLEAN": bool}
    low, high = limits.get("min", value), limits.get("max", value)
    return isinstance(value, types[kind]) and (kind == "BOOLEAN") == isinstance(value, bool) and low <= value <= high


def check_api(nodes, workflow: dict[str, Any]) -> None:
    """A workflow for POST /prompt: every input is there, of its type, or comes from an output of it."""
    for number, node in workflow.items():
        declared, _ = shape(nodes, node["class_type"])
        assert set(node["inputs"]) == set(declared), number
        for name, value in node["inputs"].items():
            if isinstance(value, list):
                source, output = value
                assert shape(nodes, workflow[source]["class_type"])[1][output] == declared[name][0], (number, name)
            else:
                assert fits(value, declared[name]), (number, name, value)


def test_the_workflow_for_the_server_fits_the_nodes(nodes):
    workflow = json.loads((FOLDER / "workflow_api.json").read_text())
    check_api(nodes, workflow)
    assert {node["class_type"] for node in workflow.values()} == {*nodes.NODE_CLASS_MAPPINGS, *CORE}
    for number, name, value in [("1", "seconds", 0.1), ("1", "takes", True), ("2", "format", "mp3")]:
        with pytest.raises(AssertionError):
            wrong = json.loads(json.dumps(workflow))
            wrong[number]["inputs"][name] = value
            check_api(nodes, wrong)


def test_the_workflow_of_the_canvas_fits_the_nodes(nodes):
    workflow = json.loads((FOLDER / "workflow.json").read_text())
    found = {node["id"]: node for node in workflow["nodes"]}
    for node in workflow["nodes"]:
        declared, outputs = shape(nodes, node["type"])
        linked = {one["name"]: one["type"] for one in node["inputs"]}
        assert linked == {name: kind[0] for name, kind in declared.items() if name in linked}
        assert tuple(one["type"] for one in node["outputs"]) == tuple(outputs)
        values = list(node["widgets_values"])
        for name, kind in declared.items():
            if name not in linked:
                assert fits(values.pop(0), kind), name
                if name == "seed":  # the canvas adds a choice: what becomes of the seed after a run
                    assert values.pop(0) in ("fixed", "increment", "decrement", "randomize")
        assert not values
    for number, source, output, target, place, kind in workflow["links"]:
        assert number in found[source]["outputs"][output]["links"] and found[target]["inputs"][place]["link"] == number
        assert found[source]["outputs"][output]["type"] == found[target]["inputs"][place]["type"] == kind


def test_a_workflow_runs(nodes, here, monkeypatch, tiny_pipeline, walk):
    monkeypatch.setattr(nodes, "load", {"mini": tiny_pipeline}.__getitem__)
    walk.save(here / "input" / "hero.glb", body="mannequin")
    workflow = json.loads((FOLDER / "workflow_api.json").read_text())
    workflow["1"]["inputs"] |= {"seconds": 1.0, "takes": 2}
    workflow["3"]["inputs"]["size"] = 64
    made: dict[str, tuple] = {}
    for number in ("1", "2", "3", "5"):
        node = nodes.NODE_CLASS_MAPPINGS[workflow[number]["class_type"]]
        inputs = workflow[number]["inputs"].items()
        given = {name: made[value[0]][value[1]] if isinstance(value, list) else value for name, value in inputs}
        result = getattr(node(), node.FUNCTION)(**given)
        made[number] = result["result"] if isinstance(result, dict) else result
        assert len(made[number]) == len(node.RETURN_TYPES)
    assert sorted(path.name for path in (here / "output" / "motion").iterdir()) == [
        "hero_00001.glb",
        "walk_00001.glb",
        "walk_00002.glb",
    ]
    own = tiny_pipeline("a person walks forward and waves", seconds=1.0, num_samples=2, seed=0)
    assert [motion.num_frames for motion in made["1"][0]] == [motion.num_frames for motion in own]
    assert Motion.load(made["2"][0].splitlines()[1]).num_frames == own[1].num_frames
    images, fps = made["3"]
    assert images.shape == (8, 64, 64, 3) and fps == 8.0
    assert 0 <= images.min() and 0.2 < images.max() <= 1 and not torch.equal(images[0], images[-1])


def test_pages_hold_all_takes_and_numbers_go_on(nodes, here, walk):
    for count in (1, 2):
        result = nodes.SaveMotion().save([walk, walk.mirror()], "html", "mannequin", "a")["result"][0]
        assert Path(result) == here / "output" / f"a_0000{count}.html"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", "a/../../x", "."])
def test_names_stay_below_the_folders(nodes, here, walk, name):
    with pytest.raises(ValueError, match="name must be a path below the output folder"):
        nodes.SaveMotion().save([walk], "bvh", "human", name)
    with pytest.raises(ValueError, match="name must be a path below the input folder"):
        nodes.RetargetMotion().retarget([walk], name, "x")
    assert not (here / "output").exists()


def test_characters_must_be_there(nodes, here, walk):
    (here / "input" / "hero.obj").write_text("v 0 0 0")
    for name in ("no.glb", "hero.obj"):
        with pytest.raises(ValueError, match="character must be a .glb or .bvh file of the input folder"):
            nodes.RetargetMotion().retarget([walk], name, "x")
    (here / "input" / "hero.glb").write_bytes(b"glTF")
    assert nodes.RetargetMotion.IS_CHANGED("hero.glb") == (here / "input" / "hero.glb").stat().st_mtime
