"""What puts requests on the service: `endpoints:`, and the `login:` before them."""

from __future__ import annotations

from stressrun.scenario.model import Endpoint, Login, Step
from stressrun.scenario.part import Part
from stressrun.scenario.requests import Requests
from stressrun.scenario.scope import LOGIN, Scope
from stressrun.scenario.steps import Steps


def build_endpoint(part: Part, requests: Requests, scope: Scope) -> Endpoint:
    """An endpoint; a single request takes the endpoint's name."""
    name = part["name"].text()
    weight = part.get("weight")
    number = 1.0 if weight is None else weight.number()
    endpoint = Endpoint(name, number, _steps(part, Steps(requests, scope), name))
    if not endpoint.requests and part["steps"].sound:
        part["steps"].fault("an endpoint without a request", "add a step with a request")
    return endpoint


def build_login(part: Part, requests: Requests, scope: Scope) -> Login:
    """A login; a single request is named login."""
    per = part.get("per")
    login = Login(
        _steps(part, Steps(requests, scope), LOGIN),
        per is not None and per.text() == "vu",
        part.duration("refresh", 0.0, positive=True) or None,
    )
    if not login.requests and part["steps"].sound:
        part["steps"].fault("a login without a request", "add a step with a request")
    return login


def _steps(part: Part, steps: Steps, name: str) -> tuple[Step, ...]:
    return (steps.request(part, name),) if "request" in part else steps.build(part)
