"""The service against its own OpenAPI, with made-up requests: never a fault of the service, always a known answer.

The variable FUZZ_EXAMPLES gives how many each address gets; the report of their answers is printed (pytest -s).
"""

import os
from collections import Counter

import pytest

pytest.importorskip("fastapi", reason='needs pip install "motionmillion[serve]"')
pytest.importorskip("schemathesis", reason="makes up the requests")

import hypothesis
import schemathesis

from motionmillion.serve.app import create_app
from motionmillion.serve.settings import Settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_made_up_requests_never_fail_the_service(tiny_pipeline, mode):
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi import checks

    app = create_app({"tiny": tiny_pipeline}, Settings(max_seconds=1.0, max_samples=2, timeout=30.0, drain=0.0))
    asked = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
    answers: dict[str, list[int]] = {}
    for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        operation = found.ok()
        if mode == "NEGATIVE" and operation.label.startswith("GET"):
            continue  # nothing can be wrong with a request that has no parameters
        made_up = operation.as_strategy(generation_mode=GenerationMode[mode])
        _attack(made_up, asked, answers.setdefault(operation.label, []))
    app.state.service.close()
    motions = answers["POST /v1/motions"]
    for operation, statuses in answers.items():
        print(f"{mode} {operation}: {dict(sorted(Counter(statuses).items()))}")
    assert len(motions) >= min(EXAMPLES, 10) and max(map(max, answers.values())) < 500
    assert mode == "POSITIVE" or 422 in motions or 400 in motions


def _attack(made_up, asked, statuses: list[int]) -> None:
    """Send made-up requests, and note the statuses of the answers."""
    few = dict(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True)

    @hypothesis.settings(**few, suppress_health_check=list(hypothesis.HealthCheck))
    @hypothesis.given(case=made_up)
    def attack(case) -> None:
        answer = case.call_and_validate(checks=[schemathesis.checks.not_a_server_error, *asked])
        statuses.append(answer.status_code)

    attack()
