"""What a reader of a run's figures has to know about how they came about."""

from __future__ import annotations

from stressrun.scenario.model import Scenario


def warnings(scenario: Scenario) -> list[str]:
    """What a scenario allows that is rarely meant to stay, a line each."""
    if not scenario.http.tls.verify:
        return ["TLS certificates are not verified (http.tls.verify: false)"]
    return []
