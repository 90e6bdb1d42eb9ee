"""`stressrun plan`: show a scenario as it would run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import click

from stressrun.cli.options import scenario_options
from stressrun.load.pacing import Pacing
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import (
    Arrivals,
    CommandService,
    EmbeddedPostgres,
    Endpoint,
    ExistingPostgres,
    Load,
    Ramp,
    Readiness,
    Scenario,
    Seed,
    Service,
    SqlTeardown,
    Stage,
    Table,
    Teardown,
    Think,
    Threshold,
    WriteMix,
)
from stressrun.scenario.nodes import Plain
from stressrun.scenario.threshold import stages_of


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
        click.echo(mask.text("\n\n".join(_sections(loaded))))


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
        yield _section("services, in the order of their start", map(_service, scenario.services))
    seeded = [*scenario.seeding, *(mix.seed for mix in scenario.writes if mix.seed.rows)]
    if seeded:
        yield _section(f"seeding, in {scenario.database_url}", map(_seed, seeded))
    if scenario.endpoints:
        yield _section(f"endpoints, at {scenario.base_url}", _endpoints(scenario.endpoints))
    if scenario.writes:
        yield _section(f"writes, in {scenario.database_url}", map(_write, scenario.writes))
    yield f"stages\n{_stages(scenario)}"
    if scenario.thresholds:
        lines = (_threshold(threshold, scenario) for threshold in scenario.thresholds)
        yield _section("thresholds", lines)
    if scenario.teardown:
        yield _section("teardown", map(_teardown, scenario.teardown))


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _head(scenario: Scenario) -> str:
    planned = _duration(sum(stage.duration for stage in scenario.stages))
    facts = [
        f"environment {scenario.environment}",
        f"random seed {scenario.random_seed}",
        f"{scenario.workers} worker{'s' if scenario.workers > 1 else ''}",
        f"{planned} of load",
    ]
    if scenario.allow_hosts:
        facts.append(f"may touch {', '.join(scenario.allow_hosts)}")
    lines = [scenario.name, scenario.description, " · ".join(facts)]
    return "\n".join(line for line in lines if line)


def _service(service: Service) -> str:
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


def _seed(seed: Seed) -> str:
    return f"{seed.rows:,} rows of {_table(seed.table)}"


def _table(table: Table) -> str:
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    return f"{table.name} ({columns})"


def _endpoints(endpoints: Sequence[Endpoint]) -> Iterator[str]:
    total = sum(endpoint.weight for endpoint in endpoints)
    for endpoint in endpoints:
        yield f"{endpoint.name}: {_percent(endpoint.weight / total)} of iterations"
        for step in endpoint.steps:
            if isinstance(step, Think):
                yield f"  think {_span(step)}"
            else:
                yield f"  {step.method} {step.path.source}"


def _span(think: Think) -> str:
    shortest, longest = _duration(think.shortest), _duration(think.longest)
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _write(mix: WriteMix) -> str:
    total = mix.insert + mix.update + mix.select
    weights = {"insert": mix.insert, "update": mix.update, "select": mix.select}
    parts = [f"{_percent(weight / total)} {name}" for name, weight in weights.items() if weight]
    batch = f", {mix.batch} rows an insert" if mix.batch > 1 and mix.insert else ""
    sets = f", updates set {', '.join(mix.updated_columns)}" if mix.update else ""
    return f"{mix.name}: {', '.join(parts)} on {mix.seed.table.name}{batch}{sets}"


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
    if isinstance(load, Arrivals):
        return _ramp(load.rate, lambda rate: f"{rate:g}/s")
    return f"{_ramp(load.count, lambda count: f'{count:.0f}')} {unit}"


def _ramp(ramp: Ramp, form: Callable[[float], str]) -> str:
    return form(ramp.start) if ramp.start == ramp.end else f"{form(ramp.start)} → {form(ramp.end)}"


def _planned(load: Load | None, stage: Stage) -> str:
    """How many arrivals an open stage makes; a closed one makes as many as the answers allow."""
    if not isinstance(load, Arrivals):
        return ""
    return f"{Pacing(load.rate, stage.duration).count:,}"


def _threshold(threshold: Threshold, scenario: Scenario) -> str:
    stages = ", ".join(stage.name for stage in stages_of(threshold, scenario.stages))
    if threshold.subject == "http":
        subject = "all requests"
    elif threshold.subject == "endpoint":
        subject = f"iterations of {threshold.name}"
    else:
        subject = f"{threshold.operation or 'operation'}s of {threshold.name}"
    return f"{threshold.text}: {subject} in {stages}"


def _teardown(teardown: Teardown) -> str:
    if isinstance(teardown, SqlTeardown):
        return f"sql: {' '.join(teardown.sql.split())}"
    return f"request: {teardown.method} {teardown.path}"


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
