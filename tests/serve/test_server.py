"""A server that is asked to end: what is in progress is finished in time, or handed back with a 503."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

httpx = pytest.importorskip("httpx", reason="the client of these tests")


@pytest.mark.parametrize(("drain", "status"), [(0.2, 503), (20.0, 200)])
def test_open_requests_are_finished_or_handed_back(server_of, tiny_pipeline, midway, message_of, drain, status):
    server = server_of({"tiny": tiny_pipeline}, drain=drain)
    engine = server.config.app.state.service.engines["tiny"]
    with ThreadPoolExecutor() as pool:
        request = {"prompt": "a person waves", "seconds": 4}
        asked = pool.submit(httpx.post, f"{server.url}/v1/motions", json=request, timeout=60)
        while not engine.counts.running:
            time.sleep(0.01)
        server.handle_exit(signal.SIGTERM, None)
        if status == 503:
            time.sleep(1.0)  # the time to finish it is over
        midway.set()
        answer = asked.result()
    assert answer.status_code == status
    if status == 503:
        assert "try another instance" in message_of(answer)
    server.thread.join(30)
    assert not server.thread.is_alive() and not engine.open
