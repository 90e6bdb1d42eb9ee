"""A login whose captures the endpoints use: done before they are needed, and again when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from stressrun.data.feeders import RowSource
from stressrun.load.session import LoginState
from stressrun.load.steps import Doing, Flow, Step


class LoginProgram:
    """A login compiled for one worker; `clock` gives seconds."""

    def __init__(
        self,
        steps: Sequence[Step],
        sources: Sequence[RowSource],
        *,
        per_vu: bool,
        refresh: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._steps = steps
        self._sources = sources
        self._shared = None if per_vu else LoginState()
        self._lasts = inf if refresh is None else refresh
        self._clock = clock

    @property
    def shared(self) -> bool:
        """Whether all virtual users share what it gives."""
        return self._shared is not None

    def ensure(self, flow: Flow) -> Doing:
        """Give a flow the login's variables, logging in first where that is due."""
        state = self._state(flow)
        # While one user renews what all share, the others go on with what there is.
        if self._clock() >= state.until and not (state.under_way and state.variables):
            state.under_way = True
            try:
                error = yield from self._log_in(state, flow)
            finally:
                state.under_way = False
            if error is not None:
                return error
        flow.variables.update(state.variables)
        return None

    def expire(self, flow: Flow) -> None:
        """The service refused what the login gave: log in again before the next use.

        What another user has renewed in the meantime is not what was refused.
        """
        state = self._state(flow)
        if state.variables.items() <= flow.variables.items():
            state.until = 0.0

    def _state(self, flow: Flow) -> LoginState:
        return flow.session.login if self._shared is None else self._shared

    def _log_in(self, state: LoginState, flow: Flow) -> Doing:
        own = Flow(flow.session, flow.index)
        for source in self._sources:
            source.draw(own.index, own.variables)
        for step in self._steps:
            error = yield from step.run(own)
            if error is not None:
                return f"login: {error}"
        # The iteration was due when its login was: what that waited for, it waited for.
        flow.late_login = own.late
        flow.lag_login = own.lag
        state.variables = {f"login.{name}": value for name, value in own.variables.items()}
        state.until = self._clock() + self._lasts
        return None
