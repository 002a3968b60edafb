"""Accuracy of the solvers in `motionmillion.lm.flow` on Gaussians, with known answers: no network, no data.

    python recipes/flow/solvers.py

The exact flow to a Gaussian of standard deviation s scales noise by s. The fraction of s that a solver reaches shows
how much variety of motion is lost with a given number of steps: s is large where features move together (the leading
components of a motion) and small in details. The second table is about `solve_around`: of two values with correlation
0.8, one is known and the other is generated. It shows how far the generated value's mean moves from its unconditional
mean towards the exact conditional mean, by the number of rounds.

Results: `flow_solvers.json` and a section of `flow.md`, in docs/results.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from measures import RESULTS, about, write_results
from torch import Tensor

from motionmillion.lm.flow import SOLVERS, FlowSampling, Velocity, solve, solve_around

DEVIATIONS = (0.3, 1.0, 3.0, 10.0)
VELOCITIES = (4, 10, 20, 50)
SHIFTS = (1.0, 2.0, 5.0)
ROUNDS = (1, 2, 4, 16)
CORRELATION = 0.8


def gaussian_velocity(covariance: Tensor) -> Velocity:
    """The exact velocity E[noise - clean | x] of `x` `[B, D]` for clean data of mean 0 and `covariance` `[D, D]`."""
    one = torch.eye(len(covariance), dtype=covariance.dtype)

    def velocity(x: Tensor, sigma: float) -> Tensor:
        total = (1 - sigma) ** 2 * covariance + sigma**2 * one
        return x @ torch.linalg.solve(total, sigma * one - (1 - sigma) * covariance)

    return velocity


def reached(solver: str, velocities: int, shift: float) -> list[float]:
    """Fraction of each of `DEVIATIONS` that is reached with the given number of velocity evaluations."""
    steps = velocities if solver == "euler" else velocities // 2  # the others evaluate the velocity twice per step
    covariance = torch.diag(torch.tensor(DEVIATIONS, dtype=torch.float64) ** 2)
    noise = torch.ones(1, len(DEVIATIONS), dtype=torch.float64)
    found = solve(gaussian_velocity(covariance), noise, FlowSampling(steps, solver, shift))
    return (found[0] / torch.tensor(DEVIATIONS, dtype=torch.float64)).tolist()


def followed(rounds: int, rows: int = 20_000) -> float:
    """Fraction of the way that the free value's mean moves towards its exact conditional mean."""
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
    lines = [
        "## Solvers on Gaussians",
        "",
        f"    {result['command']}",
        "",
        "Fraction of the standard deviation reached:",
        "",
    ]
    titles = " | ".join(f"{deviation:g}" for deviation in DEVIATIONS)
    lines += [f"| shift | solver | velocities | {titles} |", "|---" * (len(DEVIATIONS) + 3) + "|"]
    for row in result["shares"]:
        shares = " | ".join(f"{share:.2f}" for share in row["shares"])
        lines.append(f"| {row['shift']:g} | {row['solver']} | {row['velocities']} | {shares} |")
    lines += ["", f"A free value next to a known one, correlation {CORRELATION}, Euler, 25 steps, shift 2:", ""]
    lines += [f"| rounds | {' | '.join(result['followed'])} |", "|---" * (len(ROUNDS) + 1) + "|"]
    lines.append(f"| fraction of the way | {' | '.join(f'{way:.2f}' for way in result['followed'].values())} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of flow_solvers.json and flow.md")
    args = parser.parse_args(argv)
    shares = [
        {"shift": shift, "solver": solver, "velocities": count, "shares": reached(solver, count, shift)}
        for shift in SHIFTS
        for solver in SOLVERS
        for count in VELOCITIES
    ]
    ways = {str(rounds): followed(rounds) for rounds in ROUNDS}
    result = {**about("solvers.py", argv), "shares": shares, "followed": ways}
    write_results("solvers", result, report(result), args.results)
    print(report(result))


if __name__ == "__main__":
    main()
