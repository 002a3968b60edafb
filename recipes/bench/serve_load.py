"""Throughput and latency of `motionmillion serve` on this machine: clients that ask at once, against one by one.

    python recipes/bench/serve_load.py
    python recipes/bench/serve_load.py --clients 1 8 --requests 8 --seconds 2 --at-least 1 --within 120

Starts a service of its own on a free port, and for each number of clients sends the same requests, at least one a
client, each client its next one when it has its answer. "One by one" is a service that decodes one motion at a time
(`--max-rows 1`) with as many clients, in the same process and run, in turn with the other, so that a busy machine
slows both. It prints a table in Markdown, and exits with 1 if any answer is not the motion that the same request gets
one by one, if the ratio at the most clients is lower than `--at-least`, or if an answer took longer than `--within`
seconds.
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
from typing import NamedTuple

import httpx
import uvicorn

from motionmillion.pipeline import MotionPipeline
from motionmillion.serve.app import create_app
from motionmillion.serve.settings import Settings

PROMPTS = ("a person waves", "a person walks forward", "someone jumps twice", "a man dances")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--requests", type=int, default=16, help="least requests in each measurement")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each motion")
    parser.add_argument("--at-least", type=float, default=0.0, help="least ratio of requests a second")
    parser.add_argument("--within", type=float, default=600.0, help="most seconds that an answer may take")
    options = parser.parse_args()
    pipe = MotionPipeline.from_pretrained(options.model)
    found, expected, ratio, slowest = set(), set(), 0.0, 0.0
    with Served(pipe, rows=32) as batched, Served(pipe, rows=1) as single:
        for server in (batched, single):
            server.ask(body(0, options.seconds))  # warm
        print("| clients | requests/s | one by one | ratio | median s | one by one | 95 % s | one by one |")
        print("|---|---|---|---|---|---|---|---|")
        for clients in options.clients:
            bodies = [body(number, options.seconds) for number in range(max(clients, options.requests))]
            rows, made = batched.measure(bodies, clients)
            alone, same = single.measure(bodies, clients)
            found, expected = found | made, expected | same
            ratio, slowest = rows.rate / alone.rate, max(slowest, rows.longest)
            values = (rows.rate, alone.rate, ratio, rows.median, alone.median, rows.p95, alone.p95)
            print(f"| {clients} | {' | '.join(f'{value:.2f}' for value in values)} |", flush=True)
    told = {
        "ratio_of_most_clients": round(ratio, 2),
        "answers_equal": found == expected,
        "slowest_s": round(slowest, 1),
    }
    print(json.dumps(told))
    return int(found != expected or ratio < options.at_least or slowest > options.within)


def body(number: int, seconds: float) -> dict:
    """A request, whose answer depends on its number only."""
    return {"prompt": PROMPTS[number % len(PROMPTS)], "seconds": seconds, "seed": number, "format": "bvh"}


class Measured(NamedTuple):
    """Requests a second, and the latency in seconds."""

    rate: float
    median: float
    p95: float
    longest: float


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

    def measure(self, bodies: list[dict], clients: int) -> tuple[Measured, set[str]]:
        """What was measured, and hashes of the answers."""
        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answers = list(pool.map(self.ask, bodies))
        whole = time.perf_counter() - began
        waits = sorted(seconds for seconds, _ in answers)
        p95 = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
        measured = Measured(len(bodies) / whole, statistics.median(waits), p95, waits[-1])
        return measured, {answer for _, answer in answers}


if __name__ == "__main__":
    sys.exit(main())
