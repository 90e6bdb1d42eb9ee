"""`stressrun plan`: show a scenario as it would run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import click

from stressrun.cli.budget import budget_lines
from stressrun.cli.mock_plan import mock_lines
from stressrun.cli.options import scenario_options
from stressrun.cli.output import say
from stressrun.cli.plan_monitoring import monitored_subject, monitoring_lines
from stressrun.data.checks import describe
from stressrun.data.composites import foreign_key
from stressrun.load.pacing import Pacing
from stressrun.safety.masking import Mask
from stressrun.scenario.figures import OF_ITERATIONS
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import (
    ApiKeyAuth,
    Arrivals,
    BasicAuth,
    BearerAuth,
    Column,
    CommandSeeding,
    CommandService,
    CountQuestion,
    CsvFile,
    Database,
    EmbeddedPostgres,
    Endpoint,
    ExistingPostgres,
    Feeder,
    FormBody,
    Group,
    Http,
    Invariant,
    IterationsPerVu,
    JsonLinesFile,
    Load,
    Login,
    MockService,
    MultipartBody,
    OwnedRows,
    Query,
    Ramp,
    RawBody,
    Readiness,
    RealService,
    Request,
    RequestQuestion,
    RequestSeeding,
    Scenario,
    Seed,
    SeedingStep,
    Service,
    SharedIterations,
    SqlQuestion,
    SqlSeeding,
    SqlTeardown,
    Stage,
    Step,
    Teardown,
    Think,
    Threshold,
    Users,
    WriteMix,
)
from stressrun.scenario.nodes import Faults, Plain
from stressrun.scenario.part import Part
from stressrun.scenario.threshold import stages_of
from stressrun.scenario.wording import one_of


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@scenario_options
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the canonical scenario as YAML.")
def plan(
    file: Path,
    environment: str | None,
    sets: tuple[str, ...],
    env_file: Path | None,
    as_yaml: bool,
) -> None:
    """Show FILE as it would run: services, data, endpoints, stages, thresholds, teardown."""
    loaded = load(file, environment=environment, sets=sets, env_file=env_file, environ=os.environ)
    servers = [s for s in loaded.scenario.services if isinstance(s, EmbeddedPostgres)]
    mask = Mask((*loaded.secrets, *(server.password for server in servers if server.password)))
    if as_yaml:
        from stressrun.scenario.dump import to_yaml

        click.echo(to_yaml({key: _masked(v, mask) for key, v in loaded.document.items()}), nl=False)
    else:
        say(mask.text("\n\n".join(_sections(loaded))))


def _masked(value: Plain, mask: Mask) -> Plain:
    if isinstance(value, str):
        return mask.text(value)
    if isinstance(value, dict):
        return {key: _masked(child, mask) for key, child in value.items()}
    if isinstance(value, list):
        return [_masked(item, mask) for item in value]
    return value


def _sections(loaded: Loaded) -> Iterator[str]:
    scenario = loaded.scenario
    yield _head(scenario)
    if scenario.services:
        services = chain.from_iterable(map(_service, scenario.services))
        yield _section("services, in the order of their start", services)
    if budget := list(budget_lines(scenario)):
        yield _section("budget", budget)
    common = _common(loaded)
    if scenario.seeding:
        where = "" if scenario.database is None else f", in {scenario.database_url}"
        yield _section(f"seeding{where}", (_seeding(step, common) for step in scenario.seeding))
    if scenario.feeders:
        yield _section("feeders", map(_feeder, scenario.feeders))
    http = [*_common_lines(common), *_http(scenario.http)]
    if http:
        yield _section("http", http)
    if scenario.login is not None:
        yield _section(_login(scenario.login), _steps(scenario.login.steps, common))
    if scenario.endpoints:
        endpoints = _endpoints(scenario.endpoints, common)
        yield _section(f"endpoints, at {scenario.base_url}", endpoints)
    if scenario.database is not None and (settings := list(_database(scenario.database))):
        yield _section("database", settings)
    if watched := list(monitoring_lines(scenario)):
        yield _section("watched", watched)
    if scenario.writes:
        mixes = chain.from_iterable(map(_write, scenario.writes))
        yield _section(f"writes, in {scenario.database_url}", mixes)
    yield f"stages\n{_stages(scenario)}"
    if scenario.thresholds:
        lines = (_threshold(threshold, scenario) for threshold in scenario.thresholds)
        yield _section("thresholds", lines)
    if scenario.invariants:
        yield _section("invariants", map(_invariant, scenario.invariants))
    if scenario.teardown:
        yield _section("teardown", map(_teardown, scenario.teardown))


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _head(scenario: Scenario) -> str:
    planned = _duration(sum(stage.duration for stage in scenario.stages))
    facts = [
        f"environment {scenario.environment}",
        f"random seed {scenario.random_seed}",
        f"{scenario.workers} worker process{'es' if scenario.workers > 1 else ''}",
        f"{planned} of load",
    ]
    if scenario.allow_hosts:
        facts.append(f"may touch {', '.join(scenario.allow_hosts)}")
    lines = [scenario.name, scenario.description, " · ".join(facts)]
    return "\n".join(line for line in lines if line)


def _service(service: Service) -> Iterator[str]:
    if isinstance(service, MockService):
        yield from mock_lines(service)
    else:
        yield _real_service(service)


def _real_service(service: RealService) -> str:
    if isinstance(service, EmbeddedPostgres):
        settings = ", ".join(f"{key}={value}" for key, value in service.settings.items())
        where = f" on port {service.port}" if service.port else ""
        what = f"embedded PostgreSQL{where}, database {service.database}, user {service.user}"
        return f"{service.name}: {what}{f' ({settings})' if settings else ''}"
    if isinstance(service, CommandService):
        return f"{service.name}: {' '.join(service.command)} ({_ready(service.ready)})"
    there = f"{service.name}: there already at {service.url}"
    return there if isinstance(service, ExistingPostgres) else f"{there} ({_ready(service.ready)})"


def _ready(ready: Readiness) -> str:
    sign = "its port accepts" if ready.get is None else f"GET {ready.get} answers 200"
    return f"ready when {sign}, within {_duration(ready.within)}"


def _database(database: Database) -> Iterator[str]:
    """What is not as it is by default."""
    defaults = Database(database.url)
    if database.min_free_connections != defaults.min_free_connections:
        yield f"connections that stay free: {database.min_free_connections}"
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_timeout"):
        seconds = getattr(database, name)
        if seconds != getattr(defaults, name):
            yield f"{name.replace('_', ' ')}: {_duration(seconds) if seconds else 'none'}"
    if database.require_sentinel:
        yield "must carry a sentinel"
    if (every := database.sample_interval) != defaults.sample_interval:
        yield f"monitor: {'none' if every is None else f'every {_duration(every)}'}"


def _seeding(step: SeedingStep, common: _Common) -> str:
    match step:
        case Seed(table, rows):
            return f"{rows:,} rows of {table.name} ({', '.join(map(_column, table.columns))})"
        case SqlSeeding(sql, file):
            return f"sql: {file or ' '.join(sql.split())}"
        case CommandSeeding():
            return f"command: {' '.join(step.command)}, within {_duration(step.within)}"
        case RequestSeeding():
            return f"request: {_request(step.request, common)}"


def _column(column: Column) -> str:
    reference = foreign_key(column.generator)
    kind = [column.type] if column.type is not None else []
    return " ".join([column.name, *kind, *([f"→ {reference.name}"] if reference else [])])


@dataclass(frozen=True, slots=True)
class _Common:
    """What requests have that say nothing else."""

    timeout: float = 30.0
    redirects: int = 0


_BY_DEFAULT = _Common()


def _common(loaded: Loaded) -> _Common:
    http = Part(loaded.document, (), Faults()).section("http")
    return _Common(
        http.duration("timeout", _BY_DEFAULT.timeout),
        http.integer("redirects", _BY_DEFAULT.redirects),
    )


def _common_lines(common: _Common) -> Iterator[str]:
    if common.timeout != _BY_DEFAULT.timeout:
        yield f"timeout: {_duration(common.timeout)}"
    if common.redirects:
        yield f"redirects: up to {common.redirects}"


def _endpoints(endpoints: Sequence[Endpoint], common: _Common) -> Iterator[str]:
    total = sum(endpoint.weight for endpoint in endpoints)
    for endpoint in endpoints:
        yield f"{endpoint.name}: {_percent(endpoint.weight / total)} of iterations"
        yield from (f"  {line}" for line in _steps(endpoint.steps, common))


def _steps(steps: Sequence[Step], common: _Common) -> Iterator[str]:
    for step in steps:
        match step:
            case Think():
                yield f"think {_span(step)}"
            case Request():
                yield _request(step, common)
            case Group():
                yield _group(step)
                yield from (f"  {line}" for line in _steps(step.steps, common))


def _group(group: Group) -> str:
    parts = [f"{group.repeat:,} times"] if group.repeat > 1 else []
    if group.when is not None:
        parts.append(f"where {group.when.source}")
    return f"{', '.join(parts) or 'together'}:"


def _request(request: Request, common: _Common) -> str:
    """A request's method and path, and what is not common about it."""
    parts = [f"{request.method} {request.path.source}"]
    if request.query:
        parts.append(f"query {', '.join(dict(request.query))}")
    match request.body:
        case FormBody(fields):
            parts.append(f"form {', '.join(dict(fields))}")
        case MultipartBody(multipart):
            parts.append(f"multipart {', '.join(part.name for part in multipart)}")
        case RawBody(content):
            size = f"{len(content):,} bytes" if isinstance(content, bytes) else "a text"
            parts.append(f"body {size}")
    if request.auth is not None:
        parts.append(f"{_AUTHS[type(request.auth)]} auth")
    if request.undo is not None:
        parts.append(f"undone by {request.undo.method} {request.undo.path.source}")
    if request.timeout != common.timeout:
        parts.append(f"timeout {_duration(request.timeout)}")
    if request.redirects != common.redirects:
        most = f"up to {request.redirects}" if request.redirects else "no"
        parts.append(f"{most} redirects")
    return ", ".join(parts)


_AUTHS = {BasicAuth: "basic", BearerAuth: "bearer", ApiKeyAuth: "API key"}


def _feeder(feeder: Feeder) -> str:
    match feeder.source:
        case CsvFile(path) | JsonLinesFile(path):
            return f"{feeder.name}: {path}, {feeder.order}"
        case Query(sql):
            return f"{feeder.name}: {' '.join(sql.split())}, {feeder.order}"


def _login(login: Login) -> str:
    whose = "for each virtual user" if login.per_vu else "for the whole run"
    again = f", anew after {_duration(login.refresh)}" if login.refresh is not None else ""
    return f"login, {whose}{again}"


def _http(http: Http) -> Iterator[str]:
    """What is not as it is by default."""
    defaults = Http()
    if http.protocol != defaults.protocol:
        yield "protocol: HTTP/2"
    if http.connect_timeout != defaults.connect_timeout:
        yield f"connect timeout: {_duration(http.connect_timeout)}"
    for name in ("cookies", "reuse"):
        if getattr(http, name) != getattr(defaults, name):
            yield f"{name}: {getattr(http, name)}"
    if http.resolve_after != defaults.resolve_after:
        after = (
            f"after {_duration(http.resolve_after)}" if http.resolve_after else "each connection"
        )
        yield f"resolve: {after}"
    if http.unix_socket is not None:
        yield f"Unix socket: {http.unix_socket}"
    for name in ("ca", "certificate", "key"):
        if (path := getattr(http.tls, name)) is not None:
            yield f"TLS {name}: {path}"
    if not http.tls.verify:
        yield "TLS: the server's certificate is NOT verified"
    if http.traced != defaults.traced:
        share = "no traceparent header" if http.traced is None else _percent(http.traced)
        yield f"trace: {share}{'' if http.traced is None else ' sampled'}"


def _span(think: Think) -> str:
    shortest, longest = _duration(think.shortest), _duration(think.longest)
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _write(mix: WriteMix) -> Iterator[str]:
    total = sum(mix.weights.values())
    shares = [f"{_percent(weight / total)} {name}" for name, weight in mix.weights.items()]
    parts = [", ".join(shares) + (f" on {mix.seed.table.name}" if mix.seed else "")]
    if mix.batch > 1 and not mix.weights.keys().isdisjoint(("insert", "copy")):
        parts.append(f"{mix.batch} rows an insert")
    if not mix.weights.keys().isdisjoint(("update", "upsert")):
        parts.append(f"updates set {', '.join(mix.updated_columns)}")
    parts += _exceptions(mix)
    yield f"{mix.name}: {', '.join(parts)}"
    for own in mix.named:
        statements = [" ".join(statement.source.split()) for statement in own.statements]
        if own.transaction:
            yield f"  {own.name}, a transaction:"
            yield from (f"    {statement}" for statement in statements)
        else:
            yield f"  {own.name}: {statements[0]}"


def _exceptions(mix: WriteMix) -> Iterator[str]:
    """Where a mix departs from what one is by default."""
    if mix.keys != "uniform":
        yield f"{mix.keys} keys"
    if mix.protocol != "prepared":
        yield f"{mix.protocol} protocol"
    if mix.isolation is not None:
        yield mix.isolation
    if mix.pipeline > 1:
        yield f"{mix.pipeline} in a pipeline"
    if mix.retries != WriteMix(mix.name, None, {}).retries:
        yield f"{mix.retries or 'no'} retries"


def _stages(scenario: Scenario) -> str:
    from tabulate import tabulate

    columns = {
        "stage": [stage.name for stage in scenario.stages],
        "duration": [_duration(stage.duration) for stage in scenario.stages],
    }
    if scenario.endpoints:
        loads = [stage.endpoints for stage in scenario.stages]
        columns["endpoints"] = [_load(load, "VUs") for load in loads]
        columns["iterations"] = list(map(_planned, loads, scenario.stages))
    if scenario.writes:
        loads = [stage.writes for stage in scenario.stages]
        columns["each write mix"] = [_load(load, "workers") for load in loads]
        columns["operations"] = list(map(_planned, loads, scenario.stages))
    columns["judged"] = ["no" if stage.warmup else "yes" for stage in scenario.stages]
    return tabulate(columns, headers="keys", disable_numparse=True)


def _load(load: Load | None, unit: str) -> str:
    if load is None:
        return "idle"
    match load:
        case Arrivals(rate, _, spacing, catch_up):
            random = ", poisson" if spacing == "poisson" else ""
            ceiling = "" if catch_up else ", late ones dropped"
            return f"{_ramp(rate, lambda value: f'{value:g}/s')}{random}{ceiling}"
        case Users(count):
            return f"{_ramp(count, lambda value: f'{value:.0f}')} {unit}"
        case SharedIterations():
            return f"{load.vus:,} {unit}, shared"
        case IterationsPerVu():
            return f"{load.vus:,} {unit}, {load.iterations:,} each"


def _ramp(ramp: Ramp, form: Callable[[float], str]) -> str:
    return form(ramp.start) if ramp.start == ramp.end else f"{form(ramp.start)} → {form(ramp.end)}"


def _planned(load: Load | None, stage: Stage) -> str:
    """How many iterations begin, where that does not depend on the answers."""
    match load:
        case Arrivals():
            return f"{Pacing(load.rate, stage.duration).count:,}"
        case SharedIterations():
            return f"{load.iterations:,}"
        case IterationsPerVu():
            return f"{load.iterations * load.vus:,}"
    return ""


def _threshold(threshold: Threshold, scenario: Scenario) -> str:
    stages = ", ".join(stage.name for stage in stages_of(threshold, scenario.stages))
    window = f", over each {_duration(threshold.window)}" if threshold.window else ""
    abort = ""
    if threshold.abort:
        after = f" after {_duration(threshold.after)}" if threshold.after else ""
        abort = f"; ends the run{after}"
    built_in = "; built in" if threshold.built_in else ""
    return f"{threshold.text}: {_subject(threshold)} in {stages}{window}{abort}{built_in}"


def _subject(threshold: Threshold) -> str:
    match threshold.subject:
        case "http":
            return "all iterations" if threshold.metric in OF_ITERATIONS else "all requests"
        case "endpoint":
            return f"iterations of {threshold.name}"
        case "write":
            operation = threshold.operation
            whose = f"operation {operation}" if operation else "operations"
            return f"{whose} of {threshold.name}"
        case "mock":
            return f"calls of {threshold.name}"
        case "postgres":
            return "the database"
        case "process" | "host" | "prometheus":
            return monitored_subject(threshold)
        case _:
            return "the generator"


def _invariant(invariant: Invariant) -> str:
    after = one_of(invariant.stages) if invariant.stages else "each stage"
    again = f", asked again for {_duration(invariant.within)}" if invariant.within else ""
    expected = invariant.expected
    match expected:
        case tuple():
            wanted = " and ".join(map(describe, expected))
        case CountQuestion():
            wanted = f"as many as {expected.text} succeeded"
        case SqlQuestion():
            wanted = f"the same as sql: {' '.join(expected.sql.split())}"
        case RequestQuestion():
            wanted = f"the same as request: {expected.request.name}"
    return f"{invariant.name}: {wanted}, after {after}{again}"


def _teardown(teardown: Teardown) -> str:
    if isinstance(teardown, SqlTeardown):
        return f"sql: {' '.join(teardown.sql.split())}"
    if isinstance(teardown, OwnedRows):
        return f"rows of {teardown.table} whose {teardown.column} is the run's id"
    asked = f", then GET {teardown.gone} finds nothing" if teardown.gone else ""
    return f"request: {teardown.method} {teardown.path}{asked}"


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
