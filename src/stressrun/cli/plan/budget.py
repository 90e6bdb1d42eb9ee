"""The budget of a scenario in its plan."""

from __future__ import annotations

from collections.abc import Iterator

from stressrun.run.budget import FORMATS, limits, planned
from stressrun.scenario.model import Scenario


def budget_lines(scenario: Scenario) -> Iterator[str]:
    """Each limit, with what of it is planned: `at most 1,000 requests (at least 800 planned)`."""
    plan = planned(scenario)
    for name, limit in limits(scenario.budget).items():
        known = f" (at least {FORMATS[name](plan[name])} planned)" if name in plan else ""
        over = ": REFUSED" if plan.get(name, 0) > limit else ""
        yield f"at most {FORMATS[name](limit)}{known}{over}"
