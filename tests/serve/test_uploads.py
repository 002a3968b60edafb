"""Routes that take motion files, and files that are none."""

import io
import zipfile

import numpy as np
import pytest
import torch

from motionmillion.motion import Motion
from motionmillion.serve.answers import motion_answer


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> tuple[Motion, bytes, bytes]:
    """A short motion, and its bytes as .bvh and .npz."""
    from motionmillion.data import synthesize

    motion, folder = synthesize("walk", seed=0, seconds=2), tmp_path_factory.mktemp("clip")
    paths = [motion.save(folder / f"clip.{suffix}") for suffix in ("bvh", "npz")]
    return Motion.load(paths[1]), *(path.read_bytes() for path in paths)


@pytest.fixture
def client(client_of, tiny_pipeline):
    return client_of({"tiny": tiny_pipeline})


def root_of(answer) -> list:
    assert answer.status_code == 200, answer.text
    return answer.json()["motions"][0]["root"]


def test_a_motion_is_continued(client, tiny_pipeline, clip):
    motion, _, npz = clip
    answer = client.post(
        "/v1/continue",
        files={"motion": ("../../clip.NPZ", npz)},
        data={"prompt": "a person jumps", "seconds": "1", "seed": "3", "options": '{"temperature": 0.5}'},
    )
    expected = tiny_pipeline("a person jumps", seconds=1.0, seed=3, prefix=motion, temperature=0.5)[0]
    assert root_of(answer) == motion_answer(expected)["root"]


def test_a_motion_is_continued_from_a_frame(client, tiny_pipeline, clip, message_of):
    motion, _, npz = clip
    asked: dict = dict(files={"motion": ("clip.npz", npz)}, data={"prompt": "a person jumps", "seconds": "1"})
    asked["data"]["keep"] = "20"
    expected = tiny_pipeline("a person jumps", seconds=1.0, seed=0, prefix=motion.slice(0, 20))[0]
    assert root_of(client.post("/v1/continue", **asked)) == motion_answer(expected)["root"]
    asked["data"]["keep"] = str(motion.num_frames + 1)
    answer = client.post("/v1/continue", **asked)
    assert answer.status_code == 422 and f"keep must be at most {motion.num_frames}" in message_of(answer)


@pytest.mark.parametrize("format", ["json", "scene", "bvh", "npz", "html"])
def test_a_motion_is_converted(client, clip, tmp_path, format):
    motion, bvh, npz = clip
    data = {"format": format, "caption": "Walks / on"}
    answer = client.post("/v1/convert", files={"motion": ("a.npz", npz)}, data=data)
    assert answer.status_code == 200
    if format == "json":
        assert answer.json() == {
            "model": None,
            "seed": None,
            "motions": [motion_answer(motion.replace(caption="Walks / on"))],
        }
    elif format == "scene":
        assert answer.json()["scene"]["motions"][0]["frames"] == motion.num_frames
    else:
        path = tmp_path / f"walk.{format}"
        path.write_bytes(answer.content)
        assert f'filename="walks-on.{format}"' in answer.headers["content-disposition"]
        assert format == "html" or Motion.load(path).num_frames == motion.num_frames


def test_captions_in_files_are_made_safe(client, clip):
    arrays, packed = dict(np.load(io.BytesIO(clip[2]))), io.BytesIO()
    np.savez(packed, **{**arrays, "caption": np.array("walks \ud800" + "on" * 1000)})  # UTF-8 cannot hold it
    for format in ("json", "bvh", "html"):
        files = {"motion": ("walk.npz", packed.getvalue())}
        answer = client.post("/v1/convert", files=files, data={"format": format})
        assert answer.status_code == 200 and len(answer.headers.get("content-disposition", "")) < 120
        assert format != "json" or answer.json()["motions"][0]["caption"].startswith("walks ?onon")


def test_two_motions_are_joined(client, tiny_pipeline, clip):
    motion, bvh, npz = clip
    answer = client.post(
        "/v1/inbetween",
        files={"start": ("a.npz", npz), "end": ("b.bvh", bvh)},
        data={"prompt": "a person turns", "seconds": "0.5", "options": '{"candidates": 2}'},
    )
    root = torch.tensor(root_of(answer))
    assert len(root) > 2 * motion.num_frames - 5
    assert torch.allclose(root[: motion.num_frames], motion.translation, atol=2e-5)


def test_only_a_dit_edits(client_of, client, tiny_dit_pipeline, clip, message_of):
    _, bvh, _ = clip
    data = {"prompt": "a person waves", "joints": ["left_arm"], "first": "5", "stop": "20"}
    answer = client.post("/v1/edit", files={"motion": ("a.bvh", bvh)}, data=data)
    assert answer.status_code == 422 and "edit must be called on a DiT" in message_of(answer)
    other = client_of({"dit": tiny_dit_pipeline})
    assert other.get("/v1/models").json()["models"][0]["edits"]
    assert len(root_of(other.post("/v1/edit", files={"motion": ("a.bvh", bvh)}, data=data))) > 30
    answer = other.post("/v1/edit", files={"motion": ("a.bvh", bvh)}, data={**data, "joints": ["wing"]})
    assert answer.status_code == 422 and "wing" in message_of(answer)
    answer = other.post("/v1/edit", files={"motion": ("a.bvh", bvh)}, data={"prompt": "a", "first": "5"})
    assert answer.status_code == 422 and "first and stop must come together" in message_of(answer)


def test_edits_go_to_the_first_model_that_can(client_of, tiny_pipeline, tiny_dit_pipeline, clip, message_of):
    _, bvh, _ = clip
    both = client_of({"mini": tiny_pipeline, "dit": tiny_dit_pipeline})
    data = {"prompt": "a person waves", "joints": ["left_arm"]}
    answer = both.post("/v1/edit", files={"motion": ("a.bvh", bvh)}, data=data)
    assert answer.status_code == 200 and answer.json()["model"] == "dit"
    answer = both.post("/v1/edit", files={"motion": ("a.bvh", bvh)}, data={**data, "model": "mini"})
    assert answer.status_code == 422 and "edit must be called on a DiT" in message_of(answer)


def test_a_motion_is_put_on_a_character(client, clip, tmp_path):
    motion, bvh, npz = clip
    answer = client.post("/v1/retarget", files={"motion": ("a.npz", npz), "character": ("hero.bvh", bvh)})
    assert answer.status_code == 200 and answer.content.startswith(b"HIERARCHY")
    (tmp_path / "out.bvh").write_bytes(answer.content)
    assert Motion.load(tmp_path / "out.bvh").num_frames == motion.num_frames
    answer = client.post(
        "/v1/retarget", files={"motion": ("a.npz", npz), "character": ("hero.bvh", bvh)}, data={"format": "glb"}
    )
    assert answer.content[:4] == b"glTF"


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("poses.npy", b"\0" * 20_000_000)
    return packed.getvalue()


def pickled() -> bytes:
    packed = io.BytesIO()
    np.savez(packed, poses=np.array([{"a": 1}], dtype=object))
    return packed.getvalue()


@pytest.mark.parametrize(
    "name, content, problem",
    [
        ("a.exe", b"MZ", "motion must be a file ending in one of"),
        ("a.pkl", b"\x80\x04.", "motion must be a file ending in one of"),
        ("", b"x", "motion must"),
        ("a.bvh", b"", "motion.bvh"),
        ("a.bvh", b"\xff\x00" * 50, "motion.bvh"),
        ("a.bvh", b"HIERARCHY\nROOT a\n{\n" + b"JOINT b\n{\n" * 3000, "motion"),
        ("a.npz", b"PK\x03\x04 no archive", "motion must be a whole .npz file"),
        ("a.npz", bomb(), "motion must unpack to at most 8 MB, got 20 MB"),
        ("a.npz", pickled(), "pickled"),
        ("a.glb", b"glTF" + b"\0" * 30, "motion.glb"),
        ("a.glb", b'{"asset": {}, "buffers": [{"uri": "../../../etc/passwd"}]}', "motion"),
    ],
)
def test_uploads_that_are_no_motion(client_of, tiny_pipeline, message_of, name, content, problem):
    client = client_of({"tiny": tiny_pipeline}, max_body_mb=1.0)
    answer = client.post("/v1/continue", files={"motion": (name, content)}, data={"prompt": "a person waves"})
    assert answer.status_code == 422
    told = message_of(answer)
    assert problem in told and "/tmp" not in told and "passwd" not in told


def test_forms_are_checked_like_bodies(client_of, client, tiny_pipeline, clip, message_of):
    _, bvh, _ = clip
    file = {"motion": ("a.bvh", bvh)}
    for data, problem in [
        ({}, "prompt must be given"),
        ({"prompt": "a", "seconds": "nan"}, "seconds must be"),
        ({"prompt": "a", "seconds": "61"}, "seconds must be less than or equal to 60"),
        ({"prompt": "a", "options": "[1]"}, "options must be a JSON object"),
        ({"prompt": "a", "options": '{"int8": true}'}, "options must hold known keys only, got 'int8'"),
        ({"prompt": "a", "options": '{"seed": 1}'}, "options must hold known keys only, got 'seed'"),
        ({"prompt": "a", "options": '{"tempo": 1}'}, "options must hold known keys only"),
        ({"prompt": "a", "format": "mp4"}, "format must be"),
        ({"prompt": "a", "model": "x"}, "model must be one of"),
        ({"prompt": "!"}, "prompt must say what the person does"),
    ]:
        answer = client.post("/v1/continue", files=file, data=data)
        assert answer.status_code == 422 and problem in message_of(answer), answer.text
    assert client.post("/v1/continue", json={"prompt": "a"}).status_code == 422
    short = client_of({"tiny": tiny_pipeline}, max_upload_seconds=1.0)
    answer = short.post("/v1/continue", files=file, data={"prompt": "a person waves"})
    assert "motion must be at most 1 seconds long, got 2" in message_of(answer)


def test_the_motion_is_the_first_animation_of_a_character_that_moves_already(client, clip, tmp_path):
    from motionmillion.data import synthesize

    hero = synthesize("jump", seed=1, seconds=3).save(tmp_path / "hero.glb")
    files = {"motion": ("a.npz", clip[2]), "character": ("hero.glb", hero.read_bytes())}
    (tmp_path / "out.glb").write_bytes(client.post("/v1/retarget", files=files).content)
    with pytest.warns(UserWarning, match="holds 2 animations, of which the first is read"):
        assert Motion.load(tmp_path / "out.glb").num_frames == clip[0].num_frames
    assert Motion.load(tmp_path / "out.glb", index=1).num_frames == Motion.load(hero).num_frames
