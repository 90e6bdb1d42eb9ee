"""The requests that remove what others made, and those that a scenario's teardown sends.

Whoever leaves one of them without an answer is asked for nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio

from stressrun.errors import StressrunError
from stressrun.http.client import NoAnswerError, fetch_status, fetch_text
from stressrun.metrics.excerpt import on_one_line
from stressrun.safety.guard import Guard
from stressrun.safety.ledger import Entry
from stressrun.scenario.model import Http, Tls
from stressrun.units import format_duration

_AT_ONCE = 8
_SHOWN = 80
_MOST_FOUND = 64 * 1024
_GONE = (404, 410)
_UNTOLD = "what they made last nobody was told: look for it, then add --forget"
_UNKNOWN = "without an answer may have made what is left now"

Left = dict[str, str]
"""The requests that did not remove what they should, and why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all that requests of one name made, in words.

    What is `left` is residue; of the rest it is `told`.
    """

    removed: str = ""
    left: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def outcome(entries: Sequence[Entry], left: Mapping[int, Left]) -> Outcome:
    """What became of entries of one maker, given what is left of each."""
    by = entries[0].detail["by"]
    count = sum(len(entry.detail["undo"]) for entry in entries)
    problems = [problem for entry in entries for problem in left[entry.id].items()]
    lines: tuple[str, ...] = ()
    if problems:
        request, why = problems[0]
        lines += (f"{len(problems):,} of {count:,} made by {by} are left: {request}: {why}",)
    disposable = any(entry.detail.get("disposable") for entry in entries)
    if any(entry.detail.get("under_way") for entry in entries) and not disposable:
        lines += (f"requests of {by}: {_UNTOLD}",)
    unknown = sum(entry.detail.get("unknown", 0) for entry in entries)
    doubts = (f"{unknown:,} × {by} {_UNKNOWN}",) if unknown else ()
    return Outcome(
        removed=f"{count:,} made by {by}: removed" if count and not problems else "",
        left=() if disposable else lines,
        told=doubts + (lines if disposable else ()),
    )


class Remover:
    """Sends what the entries of one run say; each request has `timeout` seconds."""

    def __init__(self, guard: Guard, timeout: float) -> None:
        self._guard = guard
        self._timeout = timeout
        self._silent: dict[tuple[str, str, str | None], str] = {}

    async def remove(self, entries: Sequence[Entry], within: float) -> dict[int, Left]:
        """Remove what requests made, all of it within so many seconds; what is left, by entry."""
        late = f"not within {format_duration(within)}"
        left = {entry.id: dict.fromkeys(entry.detail["undo"], late) for entry in entries}
        todo = iter([(entry, undo) for entry in entries for undo in entry.detail["undo"]])

        async def work() -> None:
            for entry, undo in todo:
                if problem := await self._undo(entry, undo):
                    left[entry.id][undo] = problem
                else:
                    left[entry.id].pop(undo, None)  # it may be there twice

        with trio.move_on_after(within):
            async with trio.open_nursery() as nursery:
                for _ in range(_AT_ONCE):
                    nursery.start_soon(work)
        return left

    async def purge(self, entry: Entry) -> tuple[str, str]:
        """Send the one request of an entry, and ask whether anything is left where it says how.

        What was removed, and what was not and why, in words; empty where there is nothing to say.
        Raises RefusedError, NoAnswerError and SetupError as `fetch_status` does.
        """
        method, url = entry.detail["method"], entry.detail["url"]
        status = await self._send(entry, method, url)
        gone = entry.detail.get("gone")
        if gone is None or _problem(status):
            return "", _problem(status)
        try:
            status, _, left = await fetch_text(
                gone, guard=self._guard, timeout=self._timeout, most=_MOST_FOUND, http=_http(entry)
            )
        except NoAnswerError as error:
            return "", f"done, but GET {gone}: {error.message}"
        if status in (204, *_GONE) or (not _problem(status) and _is_nothing(left)):
            return f"{method} {url}: done, and GET {gone} finds nothing", ""
        found = _problem(status) or f"finds {on_one_line(left, _SHOWN)}"
        return "", f"done, but GET {gone} {found}"

    async def _undo(self, entry: Entry, undo: str) -> str:
        """Send `METHOD /path`; why it removed nothing, or an empty text."""
        method, _, path = undo.partition(" ")
        try:
            status = await self._send(entry, method, f"{entry.detail['url']}{path}")
        except StressrunError as error:
            return error.message
        return "" if status in _GONE else _problem(status)

    async def _send(self, entry: Entry, method: str, url: str) -> int:
        parts = urlsplit(url)
        place = parts.scheme, parts.netloc, entry.detail.get("unix_socket")
        if place in self._silent:
            raise NoAnswerError(self._silent[place])
        try:
            return await fetch_status(
                method,
                url,
                guard=self._guard,
                timeout=self._timeout,
                http=_http(entry),
                headers=entry.detail.get("headers"),
            )
        except StressrunError as error:
            self._silent[place] = error.message
            raise


def _is_nothing(text: str) -> bool:
    """Whether JSON is 0 or an empty list, or an object of one such."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value in (0, []) and value is not False


def _problem(status: int) -> str:
    return "" if status < 400 else f"answered with status {status}"


def _http(entry: Entry) -> Http:
    """How a request is sent, as the run noted it; of an older version there is nothing."""
    detail = entry.detail
    return Http(tls=Tls(**detail.get("tls", {})), unix_socket=detail.get("unix_socket"))
