"""Throughput and latency of `motionmillion serve` on this machine: clients that ask at once, against one by one.

    python recipes/bench/serve_load.py
    python recipes/bench/serve_load.py --clients 1 8 32 --seconds 4 --requests 32 --at-least 2

Starts a service of its own on a free port, and for each number of clients sends the same requests, each client its
next one when it has its answer. "One by one" is a service that decodes one motion at a time (`--max-rows 1`) with as
many clients, in the same process and run, in turn with the other, so that a busy machine slows both. It exits with 1
if any answer is not the motion that the same request gets one by one, or the ratio of the most clients is lower than
`--at-least`.
"""

import argparse
import hashlib
import json
import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import uvicorn

from motionmillion.pipeline import MotionPipeline
from motionmillion.serve.app import create_app
from motionmillion.serve.settings import Settings

PROMPTS = ("a person waves", "a person walks forward", "someone jumps twice", "a man dances")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=32, help="requests in each measurement")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each motion")
    parser.add_argument("--at-least", type=float, default=0.0, help="least ratio of requests a second")
    options = parser.parse_args()
    pipe = MotionPipeline.from_pretrained(options.model)
    bodies = [
        {"prompt": PROMPTS[number % len(PROMPTS)], "seconds": options.seconds, "seed": number, "format": "bvh"}
        for number in range(options.requests)
    ]
    with Served(pipe, rows=32) as batched, Served(pipe, rows=1) as single:
        for server in (batched, single):
            server.ask(bodies[0])  # warm
        found, expected, ratio = set(), set(), 0.0
        print("clients | batched: requests/s, median s, p95 s | one by one: the same | ratio")
        for clients in options.clients:
            rows, made = batched.measure(bodies, clients)
            alone, same = single.measure(bodies, clients)
            ratio = rows[0] / alone[0]
            found, expected = found | made, expected | same
            told = " | ".join(", ".join(f"{value:.2f}" for value in values) for values in (rows, alone))
            print(f"{clients:7d} | {told} | {ratio:.2f}", flush=True)
    print(json.dumps({"ratio_of_most_clients": round(ratio, 2), "answers_equal": found == expected}))
    return int(found != expected or ratio < options.at_least)


class Served:
    """A service on a free port."""

    def __init__(self, pipe: MotionPipeline, rows: int) -> None:
        settings = Settings(max_rows=rows, max_queue=512, timeout=600.0, drain=0.0)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1/motions"
        self.server = uvicorn.Server(uvicorn.Config(create_app({"model": pipe}, settings), log_config=None))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listening]}, daemon=True)
        self.client = httpx.Client(timeout=600, limits=httpx.Limits(max_connections=256))

    def __enter__(self) -> "Served":
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()

    def ask(self, body: dict) -> tuple[float, str]:
        """Seconds to the answer, and a hash of request and motion."""
        began = time.perf_counter()
        answer = self.client.post(self.url, json=body)
        seconds = time.perf_counter() - began
        answer.raise_for_status()
        return seconds, hashlib.sha256(json.dumps(body).encode() + answer.content).hexdigest()

    def measure(self, bodies: list[dict], clients: int) -> tuple[tuple[float, float, float], set[str]]:
        """Requests a second, median and 95th percentile of the latency in seconds, and hashes of the answers."""
        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(self.ask, bodies))
        whole = time.perf_counter() - began
        waits = sorted(seconds for seconds, _ in answers)
        p95 = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
        return (len(bodies) / whole, statistics.median(waits), p95), {answer for _, answer in answers}


if __name__ == "__main__":
    sys.exit(main())
