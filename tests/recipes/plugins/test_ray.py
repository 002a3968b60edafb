"""The service on Ray Serve: replicas on this machine answer as the model alone does."""

import concurrent.futures
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from motionmillion.serve.answers import motion_answer

ray = pytest.importorskip("ray", reason='needs pip install "ray[serve]"')
pytest.importorskip("fastapi", reason='needs pip install "motionmillion[serve]"')

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def recipe_ray(recipe):
    return recipe("serve/ray_serve.py", "ray_serve")


PATIENCE = {
    "RAY_worker_niceness": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "200",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "200",
}
"""On a computer that is busy with other tests, Ray would take its proxy for dead and start another."""


@pytest.fixture(scope="module")
def address(recipe_ray, tiny_pipeline, tmp_path_factory):
    """A service whose replicas become two as soon as two requests are there."""
    from ray import serve  # pyright: ignore[reportMissingImports]

    folder = tiny_pipeline.save_pretrained(tmp_path_factory.mktemp("tiny"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'recipes' / 'serve'}", "OMP_NUM_THREADS": "1"}
    os.environ.update(PATIENCE)
    ray.init(num_cpus=4, include_dashboard=False, runtime_env={"env_vars": paths}, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    app = recipe_ray.application({"models": f"tiny={folder}", "replicas": "2", "cpus": "0.1", "target": "1"})
    serve.run(app, name="motions", route_prefix="/")
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()
    for name in PATIENCE:
        del os.environ[name]


def ask(address: str, **asked) -> dict:
    request = urllib.request.Request(
        f"{address}/v1/motions", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_requests_side_by_side_get_what_they_get_alone(address, tiny_pipeline):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [dict(prompt="a person waves", seconds=1.0, seed=seed) for seed in range(8)]
        answers = list(pool.map(lambda one: ask(address, **one), asked))
    for seed, answer in enumerate(answers):
        own = tiny_pipeline("a person waves", seconds=1.0, seed=seed)[0]
        assert answer["motions"][0]["root"] == motion_answer(own)["root"]


@pytest.mark.slow
def test_the_whole_service_is_there(address):
    for path, part in [
        ("/readyz", b"ready"),
        ("/v1/models", b"tiny"),
        ("/metrics", b"motionmillion"),
        ("/", b"<html"),
    ]:
        with urllib.request.urlopen(address + path, timeout=60) as answer:
            assert part in answer.read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(address, prompt="!")
    assert refused.value.code == 422 and b"prompt must say" in refused.value.read()


@pytest.mark.slow
def test_load_brings_a_second_replica(address):
    from ray import serve  # pyright: ignore[reportMissingImports]

    def replicas() -> int:
        """Those that run and those that are starting."""
        found = serve.status().applications["motions"].deployments["motionmillion"].replica_states
        return sum(count for state, count in found.items() if state in ("RUNNING", "STARTING"))

    stop = threading.Event()

    def keep_asking(seed: int) -> int:
        asked = 0
        while not stop.is_set():
            assert ask(address, prompt="a person waves", seconds=4.0, seed=seed)["motions"]
            asked += 1
        return asked

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(keep_asking, seed) for seed in range(8)]
        ends = time.monotonic() + 480
        while replicas() < 2 and time.monotonic() < ends and not any(client.done() for client in clients):
            time.sleep(0.5)
        stop.set()
        assert all(client.result() for client in clients)  # nothing is lost meanwhile
    assert replicas() == 2


@pytest.mark.parametrize(
    "given, problem",
    [
        ({"replicas": "0"}, "replicas must be at least 1"),
        ({"gpus": "some"}, "gpus must be of type float"),
        ({"gpus": "nan"}, "gpus must be at least 0"),
        ({"model": "mini"}, "options must be among"),
        ({"models": "a=x,a=y"}, "model must be named once"),
    ],
)
def test_options_are_checked(recipe_ray, given, problem):
    with pytest.raises(ValueError, match=problem):
        recipe_ray.application(given)
