"""A running service against clients that mean harm: refusals in the service's form, and nothing is written."""

import io
import json
import os
import socket
import struct
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

httpx = pytest.importorskip("httpx", reason="the client of these tests")


@pytest.fixture
def server(server_of, tiny_pipeline, tmp_path, monkeypatch):
    """A service whose temporary files and working folder lie in `tmp_path`, which must be empty again at the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield server_of({"tiny": tiny_pipeline}, max_body_mb=1.0, max_rows=1, max_queue=2)
    assert not os.listdir(tmp_path)


def upload(server, name, content, address="convert", field="motion", **data):
    return httpx.post(f"{server.url}/v1/{address}", files={field: (name, content)}, data=data, timeout=60)


def npy(shape: str, content: bytes = b"") -> bytes:
    """A .npy file whose header names a shape."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def npz(**arrays: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(name.replace("__", "/"), content)
    return packed.getvalue()


def lying_npz() -> bytes:
    """A bomb whose directory claims that it is small."""
    content = npz(**{"poses.npy": npy("(7000000,)", b"\0" * 28_000_000)})
    return content.replace(struct.pack("<I", 28_000_128), struct.pack("<I", 1000))


def glb(count: int = 1, **changed: object) -> bytes:
    """A GLB file of one joint that turns, in so many keys, with parts of its document changed."""
    keys = {"bufferView": 0, "componentType": 5126, "count": count}
    document = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 20}],
        "bufferViews": [{"buffer": 0, "byteLength": 20}],
        "accessors": [{**keys, "type": "SCALAR"}, {**keys, "type": "VEC4"}],
        "nodes": [{"name": "hip", "children": [1]}, {"name": "knee"}],
        "skins": [{"joints": [0, 1]}],
        "animations": [
            {
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "rotation"}}],
                "samplers": [{"input": 0, "output": 1}],
            }
        ],
    }
    text = json.dumps({**document, **changed}).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", 20, b"BIN\0") + b"\0" * 20
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


HIERARCHY = """HIERARCHY
ROOT a
{
OFFSET 0 0 0
CHANNELS 3 Xrotation Yrotation Zrotation
End Site
{
OFFSET 0 1 0
}
}
MOTION
"""
BOMBS = {
    "shape.npz": npz(**{"poses.npy": npy("(1000000000000, 52, 3)"), "trans.npy": npy("(1000000000000, 3)")}),
    "negative.npz": npz(**{"poses.npy": npy("(-1, 66)")}),
    "lying.npz": lying_npz(),
    "nested.npz": npz(**{"poses.npy": npz(**{"poses.npy": b"\0" * 100_000})}),
    "places.npz": npz(**{"..__..__etc__passwd": b"x", "__tmp__x.npy": b"x"}),
    "frames.bvh": (HIERARCHY + "Frames: 1000000000\nFrame Time: 0.03\n0 0 0\n").encode(),
    "time.bvh": (HIERARCHY + "Frames: 1\nFrame Time: 0\n0 0 0\n").encode(),
    "nan.bvh": (HIERARCHY + "Frames: 1\nFrame Time: 0.03\nnan nan nan\n").encode(),
    "channels.bvh": b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 999999999 Xrotation\n",
    "count.glb": glb(count=2**40),
    "outside.glb": glb(buffers=[{"uri": "file:///etc/passwd", "byteLength": 20}]),
    "circle.glb": glb(nodes=[{"name": "hip", "children": [1]}, {"name": "knee", "children": [0]}]),
    "length.glb": glb()[:8] + struct.pack("<I", 2**32 - 1) + glb()[12:],
}


@pytest.mark.parametrize("name", BOMBS)
def test_files_that_are_bombs_are_refused(server, message_of, name):
    for address in ("convert", "continue"):
        answer = upload(server, name, BOMBS[name], address, prompt="a person waves")
        assert answer.status_code == 422, answer.text
        told = message_of(answer)
        assert "motion" in told and tempfile.gettempdir() not in told, told


NAMES = ("../../../x.bvh", "/etc/passwd.bvh", "..\\x.bvh", "a" * 5000 + ".bvh", "a.bvh/..", "\u202egnp.bvh", "a\n.bvh")


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_lead_nowhere(server, message_of, name):
    answer = upload(server, name, b"nothing")
    assert answer.status_code in (400, 422) and len(message_of(answer)) < 300
    two = {"motion": ("m.bvh", b"x"), "character": (name, b"x")}
    assert httpx.post(f"{server.url}/v1/retarget", files=two, timeout=60).status_code in (400, 422)


PROMPTS = ("\u202e../../x", "<script>alert(1)</script> a", "a\r\nSet-Cookie: x=1", "🕺" * 900 + "a", "a\u0301" * 400)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_prompts_that_look_dangerous_are_texts(server, prompt):
    answer = httpx.post(
        f"{server.url}/v1/motions", json={"prompt": prompt, "seconds": 0.5, "format": "html"}, timeout=60
    )
    assert answer.status_code == 200 and "set-cookie" not in answer.headers
    assert "<script>alert" not in answer.text
    assert answer.headers["content-disposition"].count("/") == 0


FIELD = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n%s\r\n'
FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    "content, kind",
    [
        (FIELD % b"\xff\xfe" + b"--x--\r\n", FORM),
        (b"--y\r\n", FORM),
        (FIELD % b"1" * 3000 + b"--x--\r\n", FORM),
        (b"anything", "multipart/form-data"),
        (b"\x1f\x8b\x08\x00", "application/json"),
        (b'{"prompt": "a"}', "text/plain"),
        ('{"prompt": "\xe4"}'.encode("latin-1"), "application/json"),
    ],
)
def test_bodies_that_cannot_be_read(server, message_of, content, kind):
    address = "motions" if "multipart" not in kind else "continue"
    answer = httpx.post(f"{server.url}/v1/{address}", content=content, headers={"Content-Type": kind}, timeout=60)
    assert answer.status_code in (400, 422)
    message_of(answer)


def test_a_full_queue_is_told_and_the_rest_is_answered(server, midway, message_of):
    engine, body = server.config.app.state.service.engines["tiny"], {"prompt": "a person waves", "seconds": 4}

    def ask() -> httpx.Response:
        return httpx.post(f"{server.url}/v1/motions", json=body, timeout=60)

    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(ask)]
        until(lambda: engine.counts.running == 1)
        asked += [pool.submit(ask) for _ in range(2)]
        until(lambda: len(engine._waiting) == 2)
        answer = ask()
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
        assert "2 motions are waiting; try again later" in message_of(answer)
        midway.set()
        assert [one.result().status_code for one in asked] == [200] * 3


@pytest.mark.parametrize("path", ["motions", "motions/stream"])
def test_clients_that_leave_cost_nothing(server, midway, path):
    engine = server.config.app.state.service.engines["tiny"]
    address = server.url.removeprefix("http://").split(":")
    body = json.dumps({"prompt": "a person waves", "seconds": 4}).encode()
    kind = "Content-Type: application/json"
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address[0], int(address[1]))) as half:
        half.sendall(head.encode() + body[:10])  # and never the rest
    with socket.create_connection((address[0], int(address[1]))) as left:
        left.sendall(head.encode() + body)
        until(lambda: engine.counts.running == 1)
    midway.set()
    until(lambda: not engine.counts.running and not engine.counts.waiting)
    assert httpx.get(f"{server.url}/readyz").is_success


def until(met) -> None:
    ends = time.monotonic() + 60
    while not met():
        assert time.monotonic() < ends
        time.sleep(0.01)
