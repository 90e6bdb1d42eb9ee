"""The monitors of Prometheus metrics: exporters that are scraped, servers that are asked.

Whatever fails here leaves a gap in what a stage's report tells, and disturbs nothing else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urlencode

import trio

from stressrun.errors import StressrunError
from stressrun.http.client import BY_DEFAULT, fetch_text
from stressrun.metrics.excerpt import MOST_OF_DETAIL, on_one_line
from stressrun.metrics.scraped import QUERY, Scraped, Series
from stressrun.monitor.exposition import Read, Reader, UnreadableError
from stressrun.monitor.gaps import Gaps
from stressrun.monitor.series import SeriesWatch
from stressrun.safety.guard import Guard
from stressrun.scenario.model import Exporter, Http, PrometheusServer
from stressrun.scenario.model.monitoring import PrometheusSource

RANGE = "$__range"
"""What stands in a query for how long the stage has lasted."""

# Twice as long, the boundary of a stage may wait: the scrape before its own may hang as well.
_SCRAPING = 2.0
_ASKING = 4.0
_LARGEST = 16_000_000
_TEXT = "text/plain;version=0.0.4"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Access:
    """How a source is connected to: where the guard lets us, with the TLS settings of `http`."""

    guard: Guard
    http: Http = BY_DEFAULT


class MetricsMonitor(Protocol):
    """What looks at one source of metrics."""

    async def run(self) -> None:
        """Look until cancelled."""

    async def prepare(self) -> None:
        """Before a stage: it begins now."""

    async def finish(self) -> Scraped:
        """After a stage has drained: what there was."""


def metrics_monitor(
    source: PrometheusSource, interval: float, access: Access, mask: Callable[[str], str]
) -> MetricsMonitor:
    """The monitor of a source; an exporter is scraped each `interval` (seconds)."""
    if isinstance(source, Exporter):
        return Scraper(source, interval, access, mask)
    return Asker(source, access, mask)


class Scraper:
    """Reads the chosen series of an exporter; they have figures if both ends of a stage were read.

    What fails in between is a gap, over which counters go on.
    """

    def __init__(
        self, exporter: Exporter, interval: float, access: Access, mask: Callable[[str], str]
    ) -> None:
        self._exporter = exporter
        self._reader = Reader(exporter.series)
        self._interval = interval
        self._access = access
        self._mask = mask
        self._scraping = trio.Lock()
        # Why the last scrape failed, and why the first of the stage did.
        self._why = self._blind = ""
        self._begin()

    async def run(self) -> None:
        """Scrape until cancelled."""
        while True:
            await trio.sleep(self._interval)
            await self._scrape()

    async def prepare(self) -> None:
        """Before a stage: it begins now."""
        async with self._scraping:
            self._begin()
        await self._scrape()
        self._samples = 0
        self._blind = self._why

    async def finish(self) -> Scraped:
        """After a stage has drained: what there was."""
        await self._scrape()
        seconds = max(1e-9, self._looked_at - self._began)
        missing = self._why or self._blind
        scraped = Scraped(
            name=self._exporter.name,
            samples=self._samples,
            gaps=self._gaps.since(_nanoseconds(self._began)),
            series=tuple(watch.finish(seconds, missing) for watch in self._watches.values()),
        )
        return scraped.masked(self._mask)

    def _begin(self) -> None:
        self._began = self._looked_at = trio.current_time()
        self._samples = 0
        self._gaps = Gaps()
        self._watches = {
            name: SeriesWatch(name, selector) for name, selector in self._exporter.series.items()
        }

    async def _scrape(self) -> None:
        async with self._scraping:
            try:
                text = await answer(self._exporter.url, self._access, _SCRAPING, _TEXT)
                # In a thread, since there may be thousands of lines.
                found = await trio.to_thread.run_sync(
                    self._reader.read, text, abandon_on_cancel=True
                )
            except (StressrunError, UnreadableError) as error:
                self._miss(_told(error, self._mask))
                return
            self._why = ""
            self._samples += 1
            self._looked_at = trio.current_time()
            self._see(found)

    def _see(self, found: dict[str, Read | UnreadableError]) -> None:
        for name, watch in self._watches.items():
            watch.see(found[name])

    def _miss(self, why: str) -> None:
        self._why, now = why, trio.current_time()
        self._gaps.add(_nanoseconds(self._looked_at), _nanoseconds(now), why)
        self._looked_at = now


class Asker:
    """Asks a Prometheus server the queries of a scenario, at the end of each stage."""

    def __init__(
        self, server: PrometheusServer, access: Access, mask: Callable[[str], str]
    ) -> None:
        self._server = server
        self._access = access
        self._mask = mask
        self._began = 0.0

    async def run(self) -> None:
        """There is nothing to do meanwhile."""

    async def prepare(self) -> None:
        """Before a stage: it begins now."""
        self._began = trio.current_time()

    async def finish(self) -> Scraped:
        """After a stage has drained: the answers."""
        lasted = f"{max(1, round(trio.current_time() - self._began))}s"
        queries = self._server.queries
        series = {name: Series(name, query, QUERY) for name, query in queries.items()}

        async def ask(name: str) -> None:
            series[name] = await self._asked(series[name], queries[name].replace(RANGE, lasted))

        async with trio.open_nursery() as nursery:
            for name in queries:
                nursery.start_soon(ask, name)
        return Scraped(self._server.name, 1, (), tuple(series.values())).masked(self._mask)

    async def _asked(self, series: Series, query: str) -> Series:
        url = f"{self._server.url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}"
        try:
            text = await answer(url, self._access, _ASKING, _JSON, errors=True)
            return replace(series, value=value_of(text))
        except (StressrunError, UnreadableError) as error:
            return replace(series, missing=_told(error, self._mask))


def value_of(text: str) -> float:
    """The one value in an answer of Prometheus' HTTP API. Raises UnreadableError."""
    try:
        told = json.loads(text)
        if told["status"] != "success":
            raise UnreadableError(f"the query failed: {told['error']}")
        value = float(_only(told["data"]["resultType"], told["data"]["result"]))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise UnreadableError("its answer is not one of Prometheus' HTTP API") from None
    if not math.isfinite(value):
        raise UnreadableError(f"the query gave {value}")
    return value


def _only(kind: str, result: Any) -> str:
    """The value of a scalar, or of a vector of one element."""
    if kind == "scalar":
        return str(result[1])
    if kind != "vector":
        raise UnreadableError(f"the query gave a {kind}, not one value")
    if not result:
        raise UnreadableError("the query gave nothing")
    if len(result) > 1:
        raise UnreadableError(f"the query gave {len(result):,} series, not one value: sum(…) them")
    return str(result[0]["value"][1])


async def answer(
    url: str, access: Access, timeout: float, accept: str, *, errors: bool = False
) -> str:
    """The text that a URL answers with 200, or with any status where `errors` say something.

    Raises StressrunError, UnreadableError.
    """
    status, kind, text = await fetch_text(
        url,
        guard=access.guard,
        http=access.http,
        timeout=timeout,
        most=_LARGEST,
        accept=accept,
    )
    if errors and kind.startswith(_JSON):
        return text
    if status != 200:
        raise UnreadableError(f"it answered with status {status}")
    if kind.startswith("text/html"):
        raise UnreadableError("it answered with a page of HTML, not with metrics")
    return text


def _told(error: Exception, mask: Callable[[str], str]) -> str:
    """What an error says, on a line: there may be words of a server in it."""
    text = "".join(c if c.isprintable() else " " for c in mask(str(error)))
    return on_one_line(text, MOST_OF_DETAIL)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
