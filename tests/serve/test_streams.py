"""Streams: pieces before the rest exists; a client that leaves frees its row; a stop finishes what was begun."""

import json
import threading
import time

import numpy as np
import pytest

httpx = pytest.importorskip("httpx", reason="the client of these tests")


def events(lines) -> list[tuple[str, dict]]:
    """The events in lines of a stream, as they come."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


@pytest.mark.parametrize("repair", [False, True])
def test_pieces_come_before_the_rest_exists(server_of, tiny_pipeline, midway, repair):
    server = server_of({"tiny": tiny_pipeline})
    body = {"prompt": "a person waves", "seconds": 4.0, "repair": repair}
    found = []
    with httpx.stream("POST", f"{server.url}/v1/motions/stream", json=body, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for name, data in events(answer.iter_lines()):
            found.append((name, data))
            if name == ("start" if repair else "piece"):  # the batch waits for this
                midway.set()
    assert [name for name, _ in found] == ["start", *["piece"] * (len(found) - 2), "done"] and len(found) > 3
    whole = found[-1][1]["motion"]
    assert (whole["frames"], whole["caption"]) == (120, "a person waves")
    assert sum(data["frames"] for name, data in found if name == "piece") == 120
    joined = [frame for name, data in found if name == "piece" for frame in data["motion"]["root"]]
    assert joined == whole["root"]
    if not repair:
        expected = tiny_pipeline("a person waves", seconds=4.0)[0].translation.numpy()
        assert np.allclose(joined, expected, atol=1e-4)


def test_scenes_of_a_timeline_are_streamed(client_of, tiny_pipeline):
    client = client_of({"tiny": tiny_pipeline})
    parts = [{"prompt": "a person walks", "seconds": 1.0}, {"prompt": "a person jumps", "seconds": 1.0}]
    answer = client.post("/v1/motions/stream", json={"timeline": parts, "format": "scene"})
    (_, start), *pieces, (name, done) = events(answer.text.splitlines())
    assert start == {"model": "tiny", "caption": "a person walks; a person jumps", "seed": 0}
    assert name == "done" and done["motion"]["motions"][0]["parts"][1] == [1.0, 2.0, "a person jumps"]
    assert all(data["motion"]["motions"][0]["frames"] == data["frames"] for _, data in pieces)
    assert "motionmillion_first_piece_seconds_count 1.0" in client.get("/metrics").text


def test_errors_before_and_within_a_stream(client_of, tiny_pipeline, monkeypatch, message_of):
    client = client_of({"tiny": tiny_pipeline})
    answer = client.post("/v1/motions/stream", json={"prompt": "?"})
    assert answer.status_code == 422 and "prompt must say" in message_of(answer)
    late = client_of({"tiny": tiny_pipeline}, timeout=1e-6)
    answer = late.post("/v1/motions/stream", json={"prompt": "a person waves"})
    (_, _), (name, data) = events(answer.text.splitlines())
    assert name == "error" and data["type"] == "timeout"
    answer = late.post("/v1/motions", json={"prompt": "a person waves"})
    assert answer.status_code == 504 and "request must be done in" in message_of(answer)


def test_a_client_that_leaves_frees_its_row(server_of, tiny_pipeline, midway):
    server = server_of({"tiny": tiny_pipeline}, max_rows=1)
    body = {"prompt": "a person waves", "seconds": 4.0}
    with httpx.stream("POST", f"{server.url}/v1/motions/stream", json=body, timeout=60) as answer:
        names = (name for name, _ in events(answer.iter_lines()))
        assert [next(names), next(names)] == ["start", "piece"]
    engine = next(iter(server.config.app.state.service.engines.values()))
    with pytest.raises(httpx.ReadTimeout):  # one that gives up while it waits
        httpx.post(f"{server.url}/v1/motions", json=body, timeout=httpx.Timeout(30, read=0.5))
    while b'status="499"' not in server.config.app.state.service.metrics.text():
        time.sleep(0.01)
    midway.set()
    short = {"prompt": "a person jumps", "seconds": 0.5}
    assert httpx.post(f"{server.url}/v1/motions", json=short, timeout=60).status_code == 200
    while engine.counts.running:
        time.sleep(0.01)
    assert engine.counts.motions == 1


def test_a_stop_finishes_what_was_begun(server_of, tiny_pipeline, midway):
    server = server_of({"tiny": tiny_pipeline})
    answers = []
    body = {"prompt": "a person waves", "seconds": 4.0}
    asking = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{server.url}/v1/motions", json=body, timeout=60))
    )
    asking.start()
    engine = next(iter(server.config.app.state.service.engines.values()))
    while not engine.counts.steps:
        time.sleep(0.01)
    server.should_exit = True
    midway.set()
    server.stop()
    asking.join(60)
    assert answers[0].status_code == 200 and answers[0].json()["motions"][0]["frames"] == 120
    assert not engine.open
