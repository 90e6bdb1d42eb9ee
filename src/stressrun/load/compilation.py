"""The endpoints and the login of a scenario compiled for one worker, before load."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from stressrun.data.expressions import variables_of
from stressrun.http.origin import origin_of
from stressrun.http.request import compile_request
from stressrun.http.trace import Trace
from stressrun.load.login import LoginProgram
from stressrun.load.pacing import Segment
from stressrun.load.program import RequestProgram
from stressrun.load.reading import Look, compile_captures, compile_expect
from stressrun.load.rows import RowSources
from stressrun.load.steps import GroupStep, PauseStep, RequestStep, Step
from stressrun.load.undoing import UndoableStep
from stressrun.load.virtual_user import EndpointProgram
from stressrun.metrics.recorder import Recorder, Row
from stressrun.metrics.slowest import Slowest
from stressrun.scenario.model import Endpoint, Group, Request, Scenario, Think
from stressrun.scenario.model import Step as ScenarioStep

MakeStep = Callable[[str, Request, RequestProgram], Step]
"""Makes the step that sends a request, given the name of its row."""


def _sends(name: str, request: Request, program: RequestProgram) -> Step:
    return RequestStep(program)


class Compiler:
    """Compiles what a scenario sends; `rows` are those that the controller handed over.

    `sends` makes the steps that send, where they are to do more than that.
    """

    def __init__(
        self,
        scenario: Scenario,
        segment: Segment,
        recorder: Recorder,
        *,
        run_id: str,
        rows: Mapping[str, Any],
        sends: MakeStep = _sends,
    ) -> None:
        assert scenario.base_url is not None
        base = urlsplit(scenario.base_url)
        self._scenario = scenario
        self._recorder = recorder
        self._sends = sends
        self._sources = RowSources(scenario, segment, rows)
        self._origin = origin_of(scenario.base_url)
        self._authority = base.netloc.rpartition("@")[2]
        self._base_path = base.path.rstrip("/")
        self._trace = Trace(run_id, scenario.http.traced)
        self.login = self._login()

    def endpoint(self, endpoint: Endpoint) -> EndpointProgram:
        """An endpoint whose iterations are counted in the recorder."""
        row = self._recorder.row("endpoint", endpoint.name)
        site = f"endpoints.{endpoint.name}"
        used = set(variables_of(endpoint.steps))
        needs_login = any(name.startswith("login.") for name in used)
        sources = self._sources.feeding(used)
        single = None
        if endpoint.single is not None:
            single = self._request(endpoint.single, f"{site}.0", row, self._recorder.slowest)
            sending = self._sending(endpoint.name, f"{site}.0", endpoint.single, single)
            steps: Sequence[Step] = (sending,)
        else:
            steps = self._steps(endpoint.steps, site, ("step", endpoint.name))
        whole = single is not None and not (used or single.redirects)  # so it has no `undo`
        return EndpointProgram(
            row=row,
            steps=steps,
            several=endpoint.single is None,
            single=single if whole else None,
            sources=sources,
            login=self.login if needs_login else None,
        )

    def _login(self) -> LoginProgram | None:
        login = self._scenario.login
        if login is None:
            return None
        return LoginProgram(
            self._steps(login.steps, "login", ("login", "login")),
            self._sources.feeding(variables_of(login.steps)),
            per_vu=login.per_vu,
            refresh=login.refresh,
            clock=time.monotonic,
        )

    def _steps(
        self, steps: Sequence[ScenarioStep], site: str, rows: tuple[str, str]
    ) -> tuple[Step, ...]:
        return tuple(
            self._step(step, f"{site}.{number}", rows) for number, step in enumerate(steps)
        )

    def _step(self, step: ScenarioStep, site: str, rows: tuple[str, str]) -> Step:
        match step:
            case Think():
                return PauseStep(step, self._scenario.random_seed, site)
            case Group():
                when = None
                if step.when is not None:
                    when = step.when.compile(self._scenario.random_seed, f"{site}.when")
                return GroupStep(self._steps(step.steps, site, rows), step.repeat, when)
            case Request():
                kind, owner = rows
                name = f"{owner}: {step.name}"
                # A login is none of the requests that `http` counts.
                slowest = Slowest() if kind == "login" else self._recorder.slowest
                program = self._request(step, site, self._recorder.row(kind, name), slowest)
                return self._sending(name, site, step, program)

    def _sending(self, name: str, site: str, request: Request, program: RequestProgram) -> Step:
        step = self._sends(name, request, program)
        if request.undo is None:
            return step
        return UndoableStep(step, request, request.undo, site, self._recorder.made)

    def _request(self, request: Request, site: str, row: Row, slowest: Slowest) -> RequestProgram:
        seed = self._scenario.random_seed
        render = compile_request(
            request,
            authority=self._authority,
            base_path=self._base_path,
            seed=seed,
            site=site,
            trace=self._trace,
        )
        looks: list[Look] = [
            *compile_expect(request.expect, seed, f"{site}.expect"),
            *compile_captures(request.captures),
        ]
        return RequestProgram(
            request,
            render=render,
            looks=looks,
            row=row,
            slowest=slowest,
            origin=self._origin,
        )
