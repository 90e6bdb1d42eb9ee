"""The figures of a stage and of a run as rows of text, for the console."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tabulate import tabulate

from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder, Row, RowKey
from stressrun.metrics.summary import Summary, summarise
from stressrun.scenario.figures import unit_of
from stressrun.scenario.model import (
    Arrivals,
    IterationsPerVu,
    Load,
    Ramp,
    Scenario,
    SharedIterations,
    Stage,
    Threshold,
    Users,
)
from stressrun.units import (
    NUMBER,
    Unit,
    format_duration,
    format_rate,
    format_share,
    unit_written,
)
from stressrun.verdict.invariants import Answer
from stressrun.verdict.thresholds import Evaluation

_COLUMNS = ("", "count", "rate", "errors", "mean", "p50", "p95", "p99", "max", "MB/s")
SUMMARY_COLUMNS = ("stage", "count", "rate", "errors", "dropped", "p50", "p95", "p99", "max")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A plain table: the first column to the left, figures to the right."""
    return tabulate(
        rows,
        headers=headers,
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left"] + ["right"] * (len(headers) - 1),
    )


def stage_table(result: StageResult, scenario: Scenario) -> str:
    """Response times of a stage, a row for each endpoint, step, login request and operation."""
    rows = [
        _row(_label(key), result.books.rows[key], result.elapsed)
        for key in ordered(scenario, result.books)
    ]
    return table(_COLUMNS, rows)


def ordered(scenario: Scenario, books: Recorder) -> list[RowKey]:
    """The keys of a stage's rows: each endpoint before its steps, the login, the operations."""
    keys = [key for key in books.rows if books.rows[key].planned]
    endpoints = [endpoint.name for endpoint in scenario.endpoints]
    mixes = [mix.name for mix in scenario.writes]

    def rank(key: RowKey) -> tuple[int, int]:
        kind, name = key
        match kind:
            case "operation":
                return (2, mixes.index(name.partition(".")[0]))
            case "login":
                return (1, 0)
            case _:
                return (0, endpoints.index(name.partition(": ")[0]))

    return sorted(keys, key=rank)


def counts_requests(key: RowKey, scenario: Scenario) -> bool:
    """Whether a row counts single requests, not iterations of several steps, or operations."""
    kind, name = key
    if kind == "endpoint":
        return any(e.name == name and e.single is not None for e in scenario.endpoints)
    return kind in ("step", "login")


def _label(key: RowKey) -> str:
    kind, name = key
    return "└ " + name.partition(": ")[2] if kind == "step" else name


def _row(label: str, row: Row, elapsed: float) -> list[str]:
    ended = row.succeeded + row.failed
    figures = summarise(row.response)
    megabytes = (row.bytes_sent + row.bytes_received) / 1e6
    return [
        label,
        f"{ended:,}",
        format_rate(ended / elapsed) if elapsed else "—",
        format_share(row.failed / ended) if ended else "—",
        *(_time(value) for value in _times(figures)),
        f"{megabytes / elapsed:.2f}" if elapsed else "—",
    ]


def _times(figures: Summary) -> tuple[float | None, ...]:
    return figures.mean, figures.p50, figures.p95, figures.p99, figures.max


def _time(seconds: float | None) -> str:
    return "—" if seconds is None else format_duration(seconds)


def stage_title(stage: Stage) -> str:
    """What a stage asks for: `ramp · 20.0 s · endpoints 50/s → 400/s`."""
    loads = [load for load in (stage.endpoints, stage.writes) if load is not None]
    ends_itself = all(isinstance(load, SharedIterations | IterationsPerVu) for load in loads)
    duration = format_duration(stage.duration)
    parts = [stage.name, f"at most {duration}" if loads and ends_itself else duration]
    if stage.endpoints is not None:
        parts.append(f"endpoints {_load(stage.endpoints, 'VUs')}")
    if stage.writes is not None:
        parts.append(f"writes {_load(stage.writes, 'workers')}")
    if stage.warmup:
        parts.append("warm-up, not judged")
    return " · ".join(parts)


def _load(load: Load, users: str) -> str:
    match load:
        case Arrivals(rate, _, spacing, catch_up):
            random = ", poisson" if spacing == "poisson" else ""
            ceiling = "" if catch_up else ", late ones dropped"
            return f"{_ramp(rate, format_rate)}{random}{ceiling}"
        case SharedIterations(iterations, vus):
            return f"{iterations:,} iterations by {vus} {users}"
        case IterationsPerVu(iterations, vus):
            return f"{iterations:,} iterations by each of {vus} {users}"
        case Users(count):
            return f"{_ramp(count, lambda number: f'{number:.0f}')} {users}"


def _ramp(ramp: Ramp, shown: Callable[[float], str]) -> str:
    if ramp.start == ramp.end:
        return shown(ramp.start)
    return f"{shown(ramp.start)} → {shown(ramp.end)}"


def stage_figures(result: StageResult) -> str:
    """The line above a stage's table: planned and achieved rate, drops, VUs."""
    parts = []
    iterations = [row for (kind, _), row in result.books.rows.items() if kind == "endpoint"]
    if iterations and result.elapsed:
        planned = sum(row.planned for row in iterations)
        ended = sum(row.succeeded + row.failed for row in iterations)
        parts += [
            f"planned {format_rate(planned / result.elapsed)}",
            f"achieved {format_rate(ended / result.elapsed)}",
        ]
    rows = [
        row for (kind, _), row in result.books.rows.items() if kind in ("endpoint", "operation")
    ]
    parts.append(f"dropped {sum(row.dropped for row in rows):,}")
    for outcome in ("interrupted", "unknown"):
        count = sum(getattr(row, outcome) for row in rows)
        if count:
            parts.append(f"{outcome} {count:,}")
    if iterations:
        parts.append(f"VUs up to {result.most_vus}")
    return " · ".join(parts)


def http_lines(result: StageResult) -> list[str]:
    """What a stage's requests needed besides: new connections, retries, redirects.

    Connections of the first stage are no news, except for their TLS handshakes.
    """
    lines = []
    books = result.books
    if books.tls.count or (result.number and books.connect.count):
        parts = [f"{books.connect.count:,} opened", _slow("connect", summarise(books.connect))]
        if books.tls.count:
            parts.append(_slow("tls", summarise(books.tls)))
        lines.append(f"connections: {', '.join(parts)}")
    retried = sum(row.retried for row in books.rows.values())
    redirected = sum(row.redirected for row in books.rows.values())
    parts = [f"{retried:,} sent again on a new connection"] if retried else []
    parts += [f"{redirected:,} redirections followed"] if redirected else []
    if parts:
        lines.append(f"requests: {', '.join(parts)}")
    return lines


def _slow(name: str, figures: Summary) -> str:
    """`connect p95 0.30 ms`; of too few for that the maximum."""
    if figures.p95 is None:
        return f"{name} max {_time(figures.max)}"
    return f"{name} p95 {_time(figures.p95)}"


def summary_table(results: Sequence[StageResult]) -> str:
    """The rows of `summary_row` as a table."""
    return table(SUMMARY_COLUMNS, [summary_row(result) for result in results])


def summary_row(result: StageResult) -> list[str]:
    """A stage in a row: the iterations of all endpoints; without endpoints, all operations."""
    total = Row()
    for (kind, _), row in result.books.rows.items():
        if kind == "endpoint" or (kind == "operation" and result.stage.endpoints is None):
            total.merge(row)
    ended = total.succeeded + total.failed
    figures = summarise(total.response)
    return [
        result.stage.name + (" (not judged)" if result.stage.warmup else ""),
        f"{ended:,}",
        format_rate(ended / result.elapsed) if result.elapsed else "—",
        format_share(total.failed / ended) if ended else "—",
        f"{total.dropped:,}",
        *(_time(value) for value in (figures.p50, figures.p95, figures.p99, figures.max)),
    ]


def threshold_lines(evaluations: Sequence[Evaluation]) -> list[str]:
    """Every threshold with its value and its distance from the limit, failures last."""
    ordered_evaluations = sorted(evaluations, key=lambda evaluation: not evaluation.passed)
    return [
        f"{'✓' if e.passed else '✗'} {e.threshold.text}   ({', '.join(threshold_facts(e))})"
        for e in ordered_evaluations
    ]


def invariant_lines(answers: Sequence[Answer]) -> list[str]:
    """Every invariant with the value found, failures last."""
    return [
        f"{'✓' if a.passed else '✗'} {a.invariant.name}   ({invariant_found(a)})"
        for a in sorted(answers, key=lambda answer: not answer.passed)
    ]


def invariant_found(answer: Answer) -> str:
    """The value of an invariant; where it did not hold, with what was expected."""
    if answer.value is None:
        return answer.detail
    parts = [answer.value if answer.passed else f"{answer.value}, expected {answer.expected}"]
    return ", ".join([*parts, *filter(None, [answer.detail])])


def threshold_facts(evaluation: Evaluation) -> Iterator[str]:
    """What an evaluation says besides its outcome: the value first, then its distance."""
    yield threshold_value(evaluation)
    if evaluation.margin is not None:
        yield _margin(evaluation.margin)
    if evaluation.threshold.built_in:
        yield "built in"
    if evaluation.detail:
        yield evaluation.detail


def _margin(margin: float) -> str:
    if margin >= 0:
        return f"{margin * 100:.0f} % to spare"
    return f"{-margin * 100:.0f} % beyond it" if margin > -10 else f"{1 - margin:.0f} × as much"


def threshold_value(evaluation: Evaluation) -> str:
    """The value that a threshold was held against, in its metric's unit."""
    if evaluation.value is None:
        return "no data"
    return _unit(evaluation.threshold).format(evaluation.value)


def threshold_limit(threshold: Threshold) -> str:
    """The limit of a threshold, in its metric's unit: `< 1.00 s`."""
    return f"{threshold.operator} {_unit(threshold).format(threshold.value)}"


def _unit(threshold: Threshold) -> Unit:
    unit = unit_of(threshold.subject, threshold.metric)
    assert unit is not None
    # A number of the service's own: the limit says what it is.
    return (unit_written(threshold.written) or unit) if unit is NUMBER else unit
