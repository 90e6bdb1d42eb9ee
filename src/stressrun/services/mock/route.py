"""A route under load: which requests it fits, and what becomes of each call."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from math import ceil
from typing import NamedTuple, TypeVar

from stressrun.data.checks import MISSING
from stressrun.data.expressions import Variables, variables_of
from stressrun.data.pools import randomness
from stressrun.metrics.mock_calls import RouteCalls
from stressrun.scenario.mocks import SEGMENT
from stressrun.scenario.model import MockAnswer, MockFailure, MockLatency, MockRoute
from stressrun.services.mock.answers import Compose, Message, compile_answer, plain
from stressrun.services.mock.delays import compile_latencies
from stressrun.services.mock.request import Request, getter

_NEVER = 1 << 62
_FAILED = plain(500, "this call was made to fail")

Entry = TypeVar("Entry", MockAnswer, MockLatency, MockFailure)
Passes = Callable[[Request, int, Variables], bool]


class Outcome(NamedTuple):
    """What becomes of a call after a `delay` in nanoseconds.

    `fault` is empty for an answer, or a kind of failure; `seconds` are those of a slow body.
    """

    message: Message
    delay: int
    fault: str = ""
    seconds: float = 0.0


def applying(entries: Iterable[Entry], stage: str | None, calls: int) -> list[Entry]:
    """The entries that apply in a stage after so many calls.

    Those that name the stage take the place of the others, and of these the latest to begin.
    """
    begun = [entry for entry in entries if entry.when.after <= calls]
    named = [entry for entry in begun if stage in entry.when.stages]
    chosen = named or [entry for entry in begun if not entry.when.stages]
    latest = max((entry.when.after for entry in chosen), default=0)
    return [entry for entry in chosen if entry.when.after == latest]


class Route:
    """A route with its state; `books` are its calls in the stage that is on."""

    def __init__(self, route: MockRoute, seed: int, site: str) -> None:
        self.name = route.name
        self.books = RouteCalls()
        self._route = route
        self._seed = seed, site
        self._match = _pattern(route.path).fullmatch
        segments = SEGMENT.findall(route.path)
        wanted = dict.fromkeys(variables_of(route))
        self._getters = [(name, getter(name, segments)) for name in wanted]
        self._passes = _conditions(route, seed, site)
        self._answers: dict[int, Compose] = {
            id(answer): compile_answer(answer, seed, f"{site}.{number}")
            for number, answer in enumerate(_all_answers(route))
        }
        self._changes = sorted({when.after for when in route.whens})
        self.set_back()

    def set_back(self) -> None:
        """Be as if it had never been called, with no stage on; the books stay."""
        limit = self._route.limit
        self._random = randomness(*self._seed).random
        self._limit = None if limit is None else _Bucket(limit.rate, limit.burst)
        self._calls = 0
        self.enter(None)

    def enter(self, stage: str | None) -> None:
        """A stage begins; None: none is on."""
        self._stage = stage
        self._is_there = not self._route.stages or stage in self._route.stages
        self._choose()

    def variables(self, request: Request) -> Variables | None:
        """What its answers use of a request; None where the request does not fit it.

        Raises TookTooLong where a pattern is searched for without an end.
        """
        if not self._is_there or request.method != self._route.method:
            return None
        match = self._match(request.path)
        if match is None:
            return None
        variables = self._read(request, match.groups())
        for passes in self._passes:
            if not passes(request, self._calls, variables):
                return None
        return variables

    def call(self, request: Request, variables: Variables) -> Outcome:
        """What becomes of a request that fits it."""
        index = self._calls
        if index >= self._next_change:
            self._choose()
        self._calls += 1
        self.books.calls += 1
        # Always as many draws for a call, so that the next one's do not depend on its outcome.
        chance, which, r = self._random(), self._random(), self._random()
        if self._limit is not None and (wait := self._limit.take(request.arrival)):
            self.books.limited += 1
            return Outcome(plain(429, "too many calls", f"Retry-After: {wait}"), 0)
        delay = self._delay(which, r)
        self.books.latency.record(delay)
        failure = self._failure(chance)
        if failure is None:
            return Outcome(self._answer(index, variables), delay)
        self.books.failures[failure.kind] += 1
        if failure.answer is not None:
            return Outcome(self._answers[id(failure.answer)](index, variables), delay)
        message = _FAILED
        if failure.kind in ("truncate", "slow_body"):
            message = self._answer(index, variables)
        return Outcome(message, delay, failure.kind, failure.seconds)

    def _read(self, request: Request, groups: Sequence[str]) -> Variables:
        return {name: get(request, groups) for name, get in self._getters}

    def _choose(self) -> None:
        """Choose what applies from now on, and until which call."""
        calls, stage, route = self._calls, self._stage, self._route
        self._next_change = next((after for after in self._changes if after > calls), _NEVER)
        answers = applying(route.answers, stage, calls)
        self._answer = self._answers[id(answers[-1])] if answers else _empty
        self._delay = compile_latencies(applying(route.latencies, stage, calls))
        self._failures = applying(route.failures, stage, calls)
        self._bounds = list(accumulate(failure.share for failure in self._failures))

    def _failure(self, chance: float) -> MockFailure | None:
        if not self._failures:
            return None
        number = bisect_right(self._bounds, chance)
        return self._failures[number] if number < len(self._failures) else None


class _Bucket:
    """A rate limit: tokens that come back at a rate, up to a burst of them."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._last = 0

    def take(self, now: int) -> int:
        """Take a token; 0, or after how many whole seconds there will be one."""
        elapsed = max(0, now - self._last) / 1e9
        self._last = max(now, self._last)
        self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, ceil((1 - self._tokens) / self._rate))


_empty = compile_answer(MockAnswer(200), 0, "")


def _all_answers(route: MockRoute) -> list[MockAnswer]:
    of_failures = (failure.answer for failure in route.failures)
    return [*route.answers, *(answer for answer in of_failures if answer is not None)]


def _pattern(path: str) -> re.Pattern[str]:
    segments = (
        "([^/]+)" if SEGMENT.fullmatch(part) else re.escape(part) for part in path.split("/")
    )
    return re.compile("/".join(segments))


def _conditions(route: MockRoute, seed: int, site: str) -> list[Passes]:
    """The checks of a route's headers, JSON and body, these last as they are dearest."""
    found: list[Passes] = []
    for name, check in route.headers:
        test = check.compile(seed, f"{site}.header.{name}")
        found.append(_on_header(name.lower(), test))
    for path, check in route.json:
        test = check.compile(seed, f"{site}.json.{path.source}")
        found.append(_on_json(path.find, test))
    for check in route.body:
        test = check.compile(seed, f"{site}.body")
        found.append(_on_body(test))
    return found


def _on_header(name: str, test: Callable[[object, int, Variables], bool]) -> Passes:
    def passes(request: Request, index: int, variables: Variables) -> bool:
        value = request.header(name)
        return test(MISSING if value is None else value, index, variables)

    return passes


def _on_json(
    find: Callable[[object], object], test: Callable[[object, int, Variables], bool]
) -> Passes:
    def passes(request: Request, index: int, variables: Variables) -> bool:
        try:
            found = find(request.document)
        except LookupError:
            found = MISSING
        return test(found, index, variables)

    return passes


def _on_body(test: Callable[[object, int, Variables], bool]) -> Passes:
    return lambda request, index, variables: test(
        request.body.decode("utf-8", "replace"), index, variables
    )
