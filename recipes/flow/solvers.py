"""What the solvers of `motionmillion.lm.flow` reach where the right answer is known: Gaussians, no network, no data.

    python recipes/flow/solvers.py

A flow to a Gaussian of standard deviation s should carry noise to s times the noise. The share of it that a solver
reaches says how much of the variety of motion is lost in so many steps: s is large where features move together (the
leading components of a motion) and small in details. And of a value that is free beside one that is kept, correlated
with it by 0.8: how far its mean goes from where nothing is kept to the mean that it should have, by rounds
(`solve_around`).

Results: `solvers.json` and a section of RESULTS.md here.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from measures import about, write_section
from torch import Tensor

from motionmillion.io.files import write_text
from motionmillion.lm.flow import SOLVERS, FlowSampling, Velocity, solve, solve_around

HERE = Path(__file__).parent
DEVIATIONS = (0.3, 1.0, 3.0, 10.0)
VELOCITIES = (4, 10, 20, 50)
SHIFTS = (1.0, 2.0, 5.0)
ROUNDS = (1, 2, 4, 16)
CORRELATION = 0.8


def gaussian_velocity(covariance: Tensor) -> Velocity:
    """E[noise - clean | x] for clean of mean zero and `covariance` `[D, D]`; x is `[B, D]`."""
    one = torch.eye(len(covariance), dtype=covariance.dtype)

    def velocity(x: Tensor, sigma: float) -> Tensor:
        total = (1 - sigma) ** 2 * covariance + sigma**2 * one
        return x @ torch.linalg.solve(total, sigma * one - (1 - sigma) * covariance)

    return velocity


def reached(solver: str, velocities: int, shift: float) -> list[float]:
    """Shares of the standard deviations `DEVIATIONS` that are reached with so many velocities."""
    steps = velocities if solver == "euler" else velocities // 2  # the others ask twice a step
    covariance = torch.diag(torch.tensor(DEVIATIONS, dtype=torch.float64) ** 2)
    noise = torch.ones(1, len(DEVIATIONS), dtype=torch.float64)
    found = solve(gaussian_velocity(covariance), noise, FlowSampling(steps, solver, shift))
    return (found[0] / torch.tensor(DEVIATIONS, dtype=torch.float64)).tolist()


def followed(rounds: int, rows: int = 20_000) -> float:
    """How far the mean of a free value goes towards what it should be beside a kept one."""
    covariance = torch.tensor([[1.0, CORRELATION], [CORRELATION, 1.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)

    def fresh() -> Tensor:
        return torch.randn(rows, 2, generator=generator, dtype=torch.float64)

    known = torch.tensor([[2.0, 0.0]], dtype=torch.float64).expand(rows, 2)
    sampling = FlowSampling(25, "euler", 2.0)
    keep = torch.tensor([True, False])
    found = solve_around(gaussian_velocity(covariance), fresh(), known, keep, sampling, rounds, fresh)
    return float(found[:, 1].mean()) / (2 * CORRELATION)


def report(result: Mapping[str, Any]) -> str:
    """The result as Markdown."""
    lines = ["## Solvers on Gaussians", "", f"    {result['command']}", "", "Share of the standard deviation:", ""]
    titles = " | ".join(f"{deviation:g}" for deviation in DEVIATIONS)
    lines += [f"| shift | solver | velocities | {titles} |", "|---" * (len(DEVIATIONS) + 3) + "|"]
    for row in result["shares"]:
        shares = " | ".join(f"{share:.2f}" for share in row["shares"])
        lines.append(f"| {row['shift']:g} | {row['solver']} | {row['velocities']} | {shares} |")
    lines += ["", f"Beside a kept value, correlation {CORRELATION}, Euler, 25 steps, shift 2:", ""]
    lines += [f"| rounds | {' | '.join(result['followed'])} |", "|---" * (len(ROUNDS) + 1) + "|"]
    lines.append(f"| share of the way | {' | '.join(f'{way:.2f}' for way in result['followed'].values())} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=HERE, help="folder of solvers.json and RESULTS.md")
    args = parser.parse_args(argv)
    shares = [
        {"shift": shift, "solver": solver, "velocities": count, "shares": reached(solver, count, shift)}
        for shift in SHIFTS
        for solver in SOLVERS
        for count in VELOCITIES
    ]
    ways = {str(rounds): followed(rounds) for rounds in ROUNDS}
    result = {**about("solvers.py", argv), "shares": shares, "followed": ways}
    write_text(json.dumps(result, indent=1) + "\n", args.results / "solvers.json")
    write_section("solvers", report(result), args.results / "RESULTS.md")
    print(report(result))


if __name__ == "__main__":
    main()
