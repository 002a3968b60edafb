"""The HTTP service, in process: motions in every format, errors in the project's style, keys, rate, sizes, metrics."""

import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("fastapi", reason='needs pip install "motionmillion[serve]"')
pytest.importorskip("httpx", reason="the client of these tests")

from fastapi.testclient import TestClient

from motionmillion.motion import Motion
from motionmillion.serve.answers import motion_answer
from motionmillion.serve.app import create_app


@pytest.fixture
def client(client_of, tiny_pipeline) -> TestClient:
    return client_of({"tiny": tiny_pipeline})


def post(client, **body):
    return client.post("/v1/motions", json=body)


def test_motions_as_numbers_are_those_of_the_pipeline(client, tiny_pipeline):
    answer = post(client, prompt="a person waves", seconds=1.0, samples=2, seed=5).json()
    assert (answer["model"], answer["seed"], len(answer["motions"])) == ("tiny", 5, 2)
    expected = tiny_pipeline("a person waves", seconds=1.0, num_samples=2, seed=5)
    for found, motion in zip(answer["motions"], expected, strict=True):
        assert found == motion_answer(motion, found["seed"])
        assert np.shape(found["rotations"]) == (30, 22, 4) and np.shape(found["root"]) == (30, 3)
    again = post(client, prompt="a person waves", seconds=1.0, seed=answer["motions"][1]["seed"]).json()
    assert again["motions"][0]["root"] == answer["motions"][1]["root"]


def test_a_timeline_options_and_repair(client, tiny_pipeline):
    parts = [{"prompt": "a person walks", "seconds": 1.0}, {"prompt": "a person jumps", "seconds": 1.0}]
    answer = post(client, timeline=parts, options={"temperature": 0.5, "top_k": 3, "top_p": None}, repair=True)
    expected = tiny_pipeline.timeline([(p["prompt"], p["seconds"]) for p in parts], temperature=0.5, top_k=3)[0]
    assert answer.json()["motions"][0]["root"] == motion_answer(expected.repaired())["root"]


@pytest.mark.parametrize("format", ["npz", "bvh", "glb", "html", "scene"])
def test_every_format(client, tmp_path, format):
    if format == "glb":
        pytest.importorskip("pygltflib")
    answer = post(client, prompt="A person waves / ../x", seconds=1.0, format=format)
    assert answer.status_code == 200
    if format == "scene":
        assert answer.json()["scene"]["motions"][0]["frames"] == 30 and answer.json()["seeds"] == [0]
        return
    assert answer.headers["content-disposition"] == f'attachment; filename="a-person-waves-x.{format}"'
    path = tmp_path / f"motion.{format}"
    path.write_bytes(answer.content)
    if format == "html":
        assert b"A person waves / ../x" in answer.content
    else:
        assert Motion.load(path).num_frames == 30


def test_several_files_come_as_a_zip_file(client, tmp_path):
    answer = post(client, prompt="a person waves", seconds=0.5, samples=2, format="bvh")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist() == ["a-person-waves.bvh", "a-person-waves-1.bvh"]
    assert answer.headers["content-type"] == "application/zip"
    page = post(client, prompt="a person waves", seconds=0.5, samples=2, format="html")
    assert page.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "body, problem",
    [
        ({}, "prompt or timeline must be given, and not both, got neither"),
        ({"prompt": ""}, "prompt must have at least 1 character"),
        ({"prompt": "?!"}, "prompt must say what the person does, got '?!'"),
        ({"prompt": "a" * 1001}, "prompt must have at most 1000 characters"),
        ({"prompt": 3}, "prompt must be a valid string, got 3"),
        ({"prompt": "a", "seconds": 61}, "seconds must be less than or equal to 60, got 61"),
        ({"prompt": "a", "seconds": "4"}, "seconds must be a valid number, got '4'"),
        ({"prompt": "a", "second": 4}, "second must be left out, got 4; there is no such field"),
        ({"prompt": "a", "samples": 9}, "samples must be at most 8, got 9"),
        ({"prompt": "a", "format": "exe"}, "format must be 'json', 'npz', 'bvh', 'glb', 'html' or 'scene', got 'exe'"),
        ({"prompt": "a", "model": "x"}, "model must be one of ['tiny'], got 'x'"),
        ({"prompt": "a", "seed": -1}, "seed must be greater than or equal to 0, got -1"),
        ({"prompt": "a", "options": {"tempo": 1}}, "options must hold known keys only, got 'tempo'"),
        ({"prompt": "a", "options": {"temperature": "x"}}, "temperature must not be negative, got 'x'"),
        ({"prompt": "a", "options": {"compiled": True}}, "options must not hold 'compiled'"),
        ({"prompt": "a", "path": [[0, 0], [1]]}, "path.1 must have at least 2 items"),
        ({"prompt": "a", "path": [[0, 0], [0, 0]]}, "path must"),
        ({"timeline": [{"prompt": "a", "seconds": 0}]}, "timeline.0.seconds must be greater than 0, got 0"),
        ({"timeline": [{"prompt": "a", "seconds": 50}] * 2}, "seconds must be at most 60 in all, got 100"),
        ({"timeline": [{"prompt": "a", "seconds": 1}], "seconds": 1}, "seconds must be left out with timeline"),
    ],
)
def test_bad_values_are_told_in_one_line(client, body, problem, message_of):
    answer = client.post("/v1/motions", json=body)
    assert answer.status_code == 422
    assert problem in message_of(answer)


@pytest.mark.parametrize(
    "content, status",
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b"null", 422),
        (b'{"prompt": "a", "seconds": NaN}', 422),
        (b'{"prompt": "a", "seed": ' + b"9" * 5000 + b"}", 400),
        (b'{"prompt": "\\ud800"}', 422),
        (b'{"prompt": "\\u0000"}', 422),
        (b"[" * 100_000, 400),
        (b'{"prompt": "a", "\\ud800": 1}', 422),
    ],
)
def test_hostile_bodies_are_refused(client, content, status, message_of):
    answer = client.post("/v1/motions", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    message_of(answer)


def test_unknown_addresses_and_methods(client, message_of):
    for method, path, status in [("GET", "/nothing", 404), ("GET", "/v1/motions", 405), ("PUT", "/v1/models", 405)]:
        answer = client.request(method, path)
        assert answer.status_code == status
        message_of(answer)


def test_balancers_may_ask_for_headers_only(client, message_of):
    for path in ("/", "/page/page.js", "/healthz", "/readyz"):
        assert client.head(path).status_code == 200
    assert message_of(client.put("/healthz")) == "method must be GET here, got PUT"
    assert "head" not in client.get("/openapi.json").json()["paths"]["/healthz"]


def test_bodies_that_are_too_large(client_of, tiny_pipeline, message_of):
    client = client_of({"tiny": tiny_pipeline}, max_body_mb=0.001)
    big = json.dumps({"prompt": "a", "options": {"x": "y" * 2000}}).encode()
    for content in (big, iter([big[:1000], big[1000:]])):  # with its length, and in chunks
        answer = client.post("/v1/motions", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert message_of(answer) == "body must be at most 0.001 MB; send a smaller file"


def test_keys(client_of, tiny_pipeline, message_of):
    client = client_of({"tiny": tiny_pipeline}, keys=("secret", "other"))
    assert client.get("/healthz").status_code == 200
    for headers in ({}, {"X-API-Key": "secre"}, {"Authorization": "Basic secret"}, {"Authorization": "Bearer x"}):
        answer = client.get("/v1/models", headers=headers)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert "API key must be one of the service's" in message_of(answer)
    for headers in ({"X-API-Key": "secret"}, {"Authorization": "Bearer other"}):
        assert client.get("/v1/models", headers=headers).status_code == 200


def test_the_rate_is_limited_for_each_key(client_of, tiny_pipeline, message_of):
    client = client_of({"tiny": tiny_pipeline}, keys=("a", "b"), rate=12.0)
    codes = [client.get("/v1/models", headers={"X-API-Key": key}).status_code for key in "aaab"]
    assert codes == [200, 200, 429, 200]
    answer = client.get("/v1/models", headers={"X-API-Key": "a"})
    assert "requests must be at most 12 a minute" in message_of(answer) and int(answer.headers["retry-after"]) >= 1
    assert client.get("/healthz").status_code == 200


def test_state_models_and_metrics(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    (model,) = client.get("/v1/models").json()["models"]
    assert model["name"] == "tiny" and model["kind"] == "language model" and model["streams"] and not model["edits"]
    assert model["defaults"]["max_seconds"] == 4.0
    post(client, prompt="a person waves", seconds=0.5)
    post(client, prompt="?")
    told = client.get("/metrics").text
    assert 'motionmillion_requests_total{method="POST",path="/v1/motions",status="200"} 1.0' in told
    assert 'motionmillion_requests_total{method="POST",path="/v1/motions",status="422"} 1.0' in told
    assert 'motionmillion_engine_motions_total{model="tiny"} 1.0' in told


def test_a_closed_service_refuses(client):
    client.app.state.service.close()
    assert client.get("/readyz").status_code == 503
    answer = post(client, prompt="a person waves")
    assert answer.status_code == 503 and answer.json()["error"]["type"] == "closing"
    assert "retry-after" in answer.headers


def test_faults_of_the_service_tell_nothing_of_its_inside(client, monkeypatch, caplog):
    engine = client.app.state.service.engines["tiny"]

    def fail(order, stream=False):
        raise RuntimeError("secret path /srv/models")

    monkeypatch.setattr(engine, "submit", fail)
    with caplog.at_level("ERROR", logger="motionmillion.serve"):
        answer = post(client, prompt="a person waves")
    assert answer.status_code == 500 and "secret" not in answer.text
    assert "secret path" in caplog.text


def test_the_description_has_examples_that_work(client):
    described = client.get("/openapi.json").json()
    examples = described["paths"]["/v1/motions"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) >= 3
    for example in examples.values():
        assert client.post("/v1/motions", json=example["value"]).status_code == 200
    assert {"401", "413", "422", "429", "503", "504"} <= set(described["paths"]["/v1/motions"]["post"]["responses"])


def test_a_service_needs_a_model():
    with pytest.raises(ValueError, match="at least one model"):
        create_app({})


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("[::1]:9", 200),
        ("evil.example", 403),
        ("localhost.evil", 403),
        ("", 403),
    ],
)
def test_a_name_that_points_here_is_not_enough(client_of, tiny_pipeline, message_of, host, status):
    client = client_of({"tiny": tiny_pipeline}, hosts=("localhost", "[::1]"))
    for address in ("/", "/v1/models", "/healthz"):
        answer = client.get(address, headers={"host": host})
        assert answer.status_code == status
    if status == 403:
        assert message_of(answer).startswith("host must be one of localhost, [::1], got ")
