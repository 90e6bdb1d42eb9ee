"""`stressrun plan`: show a scenario as it would run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import click

from stressrun.cli.options import scenario_options
from stressrun.cli.output import say
from stressrun.cli.plan.budget import budget_lines
from stressrun.cli.plan.database import database_lines, seeding_line, teardown_line, write_lines
from stressrun.cli.plan.judging import invariant_line, threshold_line
from stressrun.cli.plan.monitoring import monitoring_lines
from stressrun.cli.plan.requests import (
    common_lines,
    common_of,
    endpoint_lines,
    feeder_line,
    http_lines,
    login_line,
    step_lines,
)
from stressrun.cli.plan.services import service_lines
from stressrun.cli.plan.stages import stage_table
from stressrun.cli.plan.wording import duration
from stressrun.safety.masking import Mask
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import EmbeddedPostgres, Scenario
from stressrun.scenario.nodes import Plain


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
        services = chain.from_iterable(map(service_lines, scenario.services))
        yield _section("services, in the order of their start", services)
    if budget := list(budget_lines(scenario)):
        yield _section("budget", budget)
    common = common_of(loaded)
    if scenario.seeding:
        where = "" if scenario.database is None else f", in {scenario.database_url}"
        yield _section(f"seeding{where}", (seeding_line(step, common) for step in scenario.seeding))
    if scenario.feeders:
        yield _section("feeders", map(feeder_line, scenario.feeders))
    http = [*common_lines(common), *http_lines(scenario.http)]
    if http:
        yield _section("http", http)
    if scenario.login is not None:
        yield _section(login_line(scenario.login), step_lines(scenario.login.steps, common))
    if scenario.endpoints:
        endpoints = endpoint_lines(scenario.endpoints, common)
        yield _section(f"endpoints, at {scenario.base_url}", endpoints)
    if scenario.database is not None and (settings := list(database_lines(scenario.database))):
        yield _section("database", settings)
    if watched := list(monitoring_lines(scenario)):
        yield _section("watched", watched)
    if scenario.writes:
        mixes = chain.from_iterable(map(write_lines, scenario.writes))
        yield _section(f"writes, in {scenario.database_url}", mixes)
    yield f"stages\n{stage_table(scenario)}"
    if scenario.thresholds:
        lines = (threshold_line(threshold, scenario) for threshold in scenario.thresholds)
        yield _section("thresholds", lines)
    if scenario.invariants:
        yield _section("invariants", map(invariant_line, scenario.invariants))
    if scenario.teardown:
        yield _section("teardown", map(teardown_line, scenario.teardown))


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _head(scenario: Scenario) -> str:
    planned = duration(sum(stage.duration for stage in scenario.stages))
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
