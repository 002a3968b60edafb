"""Kills one of two `motionmillion serve` processes at work, and checks that nothing is lost.

    python recipes/bench/serve_killed.py
    python recipes/bench/serve_killed.py --model PATH/TO/pipeline --requests 64 --clients 16

A service is one process without workers: what it was doing ends with it, and the connections of its clients break. A
motion depends on its request alone, so a client (or the balancer before it) asks another process again. Here the
clients take turns between both processes and do just that; one is killed (SIGKILL) as soon as it has answered a
quarter of its requests. Exits with 1 unless every request is answered, with the motion that the survivor makes of it
again at the end, and at least one had to be asked twice.
"""

import argparse
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

PROMPTS = ("a person waves", "a person walks forward", "someone jumps twice", "a man dances")
START_S = 300
"""Seconds that a process may take until it is ready."""


class Balanced:
    """Clients of several processes, asked in turn; one that cannot be reached is passed over.

    Args:
        ports: of the processes on this machine.
    """

    def __init__(self, ports: list[int]) -> None:
        self.ports, self.again, self.answered = ports, 0, [0] * len(ports)
        self._turn, self._lock = itertools.count(), threading.Lock()
        self._client = httpx.Client(timeout=600, limits=httpx.Limits(max_connections=256))

    def ask(self, body: dict, tries: int = 8) -> bytes:
        """The answer of the first process that gives one.

        Raises:
            RuntimeError: if none does.
        """
        for _ in range(tries):
            place = next(self._turn) % len(self.ports)
            try:
                answer = self._client.post(f"http://127.0.0.1:{self.ports[place]}/v1/motions", json=body)
            except httpx.TransportError:  # refused, or broken off
                with self._lock:
                    self.again += 1
                continue
            if answer.status_code == 503:  # full or stopping
                time.sleep(float(answer.headers.get("retry-after", 1)))
                continue
            answer.raise_for_status()
            with self._lock:
                self.answered[place] += 1
            return answer.content
        raise RuntimeError(f"no process answered in {tries} tries")


def start(model: str, port: int) -> subprocess.Popen:
    """A service in a process of its own."""
    program = "import sys; from motionmillion.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "serve", "--model", model, "--port", str(port), "--log-level", "error"]
    return subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"})


def wait_ready(port: int) -> None:
    """Wait until a service takes requests."""
    for _ in range(START_S * 5):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"the service must be ready in {START_S} seconds, got none on port {port}")


def free_port() -> int:
    """A port of this machine that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--requests", type=int, default=32)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each motion")
    options = parser.parse_args()
    bodies = [
        {"prompt": PROMPTS[number % len(PROMPTS)], "seconds": options.seconds, "seed": number, "format": "bvh"}
        for number in range(options.requests)
    ]
    ports = [free_port(), free_port()]
    processes = [start(options.model, port) for port in ports]
    try:
        for port in ports:
            wait_ready(port)
        clients = Balanced(ports)
        with ThreadPoolExecutor(options.clients) as pool:
            asked = [pool.submit(clients.ask, body) for body in bodies]
            while clients.answered[0] < options.requests // 8 and not all(one.done() for one in asked):
                time.sleep(0.005)
            processes[0].kill()
            answers = [one.result() for one in asked]
        survivor = Balanced(ports[1:])
        equal = answers == [survivor.ask(body) for body in bodies]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    told = {"answered": len(answers), "asked_again": clients.again, "by_process": clients.answered, "equal": equal}
    print(json.dumps(told))
    return int(not (equal and clients.again))


if __name__ == "__main__":
    sys.exit(main())
