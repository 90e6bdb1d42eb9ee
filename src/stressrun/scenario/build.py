"""A document made into a `Scenario`, with all that a schema cannot know about it checked.

The document has the shape of the schema; parts of it that are known to be wrong are passed over,
so that the mistakes of the others are told at the same time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

from stressrun.errors import Mistake, Position, ScenarioError
from stressrun.scenario.bodies import Bodies
from stressrun.scenario.budget import build_budget
from stressrun.scenario.comparing import build_comparing
from stressrun.scenario.database import build_database
from stressrun.scenario.endpoints import build_endpoint, build_login
from stressrun.scenario.feeders import Rows
from stressrun.scenario.files import Files
from stressrun.scenario.hosts import build_host
from stressrun.scenario.http import build_http
from stressrun.scenario.invariants import ONLY_IN_LOAD, Invariants
from stressrun.scenario.model import (
    Endpoint,
    Login,
    MockService,
    OwnedRows,
    RequestTeardown,
    Scenario,
    Seed,
    SeedingStep,
    Service,
    SqlTeardown,
    Teardown,
    WriteMix,
)
from stressrun.scenario.monitoring import build_monitoring, process_names, series_names
from stressrun.scenario.nodes import Fault, Faults, Plain
from stressrun.scenario.part import Part
from stressrun.scenario.references import (
    References,
    check_references,
    is_mock,
    is_postgres,
    starting_order,
)
from stressrun.scenario.requests import Requests, build_defaults, method_and_path
from stressrun.scenario.scope import LOGIN, Scope, Sources
from stressrun.scenario.seeding import SeedingSteps, in_order
from stressrun.scenario.services import build_service
from stressrun.scenario.stages import build_stage
from stressrun.scenario.steps import captured_names
from stressrun.scenario.tables import build_seed
from stressrun.scenario.threshold import Names
from stressrun.scenario.thresholds import build_thresholds
from stressrun.scenario.urls import base_url
from stressrun.scenario.writes import build_write, operations_of, with_operations

REFERENCES = "references"
"""The key of a resolved document under which the values of its references are, for files."""

_REPORT_INTERVAL = 5.0


def scenario_from(document: Mapping[str, Plain]) -> Scenario:
    """The scenario of a canonical document. Raises ScenarioError, without positions."""
    faults = Faults()
    scenario = build(dict(document), faults, Files(Path.cwd()))
    if faults.found:
        raise ScenarioError(
            [
                Mistake(fault.message, Position(".".join(map(str, fault.place)), 1, 1), fault.hint)
                for fault in faults.found
            ]
        )
    return scenario


def build(document: dict[str, Plain], faults: Faults, files: Files) -> Scenario:
    """The scenario of a document with its files, to be thrown away where faults were found."""
    root = Part(document, (), faults)
    services = _mapping(document, "services")
    references = References(services, cast(dict[str, str], _mapping(document, REFERENCES)))
    check_references(root, references)
    order = starting_order(root, services)
    operations = {name: operations_of(root, name) for name in _names(root, "writes")}
    stage_names = _names(root, "stages")
    built = {
        name: build_service(name, part, stage_names) for name, part in root.entries("services")
    }
    names = Names(
        _names(root, "endpoints"),
        operations,
        stage_names,
        processes=process_names(services, root),
        prometheus=series_names(root),
        mocks={
            name: _stages_named(built.get(name)) for name in services if is_mock(services[name])
        },
    )
    steps = list(root.items("seeding"))
    tables = [(part, build_seed(part)) for part in steps if "table" in part]
    mixes = [(part, build_write(part)) for part in root.items("writes")]
    unfinished = [mix for _, mix in mixes]
    stages = tuple(
        build_stage(part, has_endpoints="endpoints" in root, has_writes="writes" in root)
        for part in root.items("stages")
    )
    _check_tables(root)
    rows = Rows(root, files, [seed for _, seed in tables], unfinished)
    writes = tuple(with_operations(part, mix, rows.sources) for part, mix in mixes)
    traffic = _traffic(root, Bodies(files, references), rows.sources)
    rows.check_unique(root, (traffic.login, traffic.endpoints), writes)
    invariants = Invariants(traffic.asking, traffic.logged_in, traffic.endpoints, writes, names)
    database = build_database(root, services, _needing_database(root, services))
    monitoring = build_monitoring(root, services)
    return Scenario(
        name=_text(root, "name"),
        description=_text(root, "description"),
        environment=_text(root, "environment", "development"),
        random_seed=root.integer("random_seed", 1),
        allow_hosts=tuple(build_host(part) for part in root.items("allow_hosts")),
        services=tuple(built[name] for name in order if name in built),
        base_url=_base_url(root, services),
        database=database,
        http=build_http(root.section("http"), files),
        workers=root.integer("workers", 1),
        seeding=_seeding(
            root, steps, tables, mixes, SeedingSteps(files, references, traffic.seeding)
        ),
        feeders=rows.feeders,
        login=traffic.login,
        endpoints=traffic.endpoints,
        writes=writes,
        stages=stages,
        thresholds=build_thresholds(root, names, stages, writes, database, monitoring),
        invariants=tuple(invariants.build(part) for part in root.items("invariants")),
        teardown=tuple(_teardown(part) for part in root.items("teardown")),
        report_interval=root.section("report").duration(
            "interval", _REPORT_INTERVAL, positive=True
        ),
        compare=build_comparing(root, names.stages),
        monitoring=monitoring,
        budget=build_budget(root),
    )


def _stages_named(service: Service | None) -> frozenset[str] | None:
    """The stages that a mock names; None: it could not be built."""
    return service.stages_named if isinstance(service, MockService) else None


def _mapping(document: Mapping[str, Plain], key: str) -> dict[str, Plain]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class _Traffic:
    """What is sent: by the load, and by what comes before (`seeding`) and between (`asking`) it.

    What is asked between stages may use what a login captures: the `logged_in` sources.
    """

    login: Login | None
    endpoints: tuple[Endpoint, ...]
    seeding: Requests
    asking: Requests
    logged_in: Sources


def _traffic(root: Part, bodies: Bodies, rows: Sources) -> _Traffic:
    """In endpoints `${login.…}` is what the login captures."""
    sources, logged_in = rows, Sources({}, absent=ONLY_IN_LOAD)
    if LOGIN in root:
        captured = tuple(captured_names(root[LOGIN].value))
        sources, logged_in = rows.with_login(captured), logged_in.with_login(captured)
    defaults = build_defaults(root.section("http"), Scope(sources))
    requests = Requests(defaults, bodies)
    endpoints = tuple(
        build_endpoint(part, requests, Scope(sources)) for part in root.items("endpoints")
    )
    part, login = root.get("login"), None
    if part is not None:
        own = Requests(defaults.without_login(), bodies, undoable=False)
        login = build_login(part, own, Scope(rows))
    asking = defaults.without_rows()
    return _Traffic(
        login,
        endpoints,
        seeding=Requests(asking.without_login(), bodies),
        asking=Requests(asking, bodies),
        logged_in=logged_in,
    )


def _seeding(
    root: Part,
    parts: Sequence[Part],
    tables: Sequence[tuple[Part, Seed]],
    mixes: Sequence[tuple[Part, WriteMix]],
    others: SeedingSteps,
) -> tuple[SeedingStep, ...]:
    """All that is done before the first stage: the section's steps, then the mixes' tables."""
    seeds = {part.place: seed for part, seed in tables}
    mixed = [(part, mix.seed) for part, mix in mixes if mix.seed is not None]
    steps: list[SeedingStep] = [
        seeds[part.place] if "table" in part else others.build(part) for part in parts
    ]
    steps += [seed for _, seed in mixed]
    return in_order(steps, [*tables, *mixed], root)


def _names(root: Part, section: str) -> tuple[str, ...]:
    """The names that a section's items declare, be the items right or not."""
    names: list[str] = []
    items = root[section].value if section in root else ()
    for index, item in enumerate(items if isinstance(items, list) else ()):
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            continue
        if name in names:
            place = (section, index, "name")
            message = f"a second {name!r} in {section}"
            root.faults.add(Fault(place, message, "give it another name"))
        names.append(name)
    return tuple(names)


def _check_tables(root: Part) -> None:
    """Two parts on one table would write the same rows: a value follows from column and number."""
    known: set[str] = set()
    for part in chain(root.items("seeding"), root.items("writes")):
        table = part.get("table")
        if table is not None and table.text() in known:
            table.fault(
                f"a second part on the table {table.text()}",
                "fill it in one: a write mix seeds its table by `rows`",
            )
        elif table is not None:
            known.add(table.text())


def _text(root: Part, key: str, default: str = "") -> str:
    part = root.get(key)
    return default if part is None else part.literal()


def _base_url(root: Part, services: Mapping[str, Plain]) -> str | None:
    part = root.get("base_url")
    if part is not None:
        return base_url(part, services)
    needing = _needing(root, ("endpoints", "login"), ("request",))
    if needing is not None and "base_url" not in root:
        needing.fault(
            "requests need a base_url",
            "such as base_url: ${services.api.url}, or base_url: http://127.0.0.1:8000",
            at_key=True,
        )
    return None


def _needing_database(root: Part, services: Mapping[str, Plain]) -> Part | None:
    feeders = (part["sql"] for _, part in root.entries("feeders") if "sql" in part)
    steps = ["table", "sql", "sql_file"]
    if sum(is_postgres(service) is True for service in services.values()) == 1:
        steps.append("command")  # it is told the database's URL, where there is one
    return _needing(root, ("writes",), steps) or next(feeders, None)


def _needing(root: Part, sections: Sequence[str], steps: Sequence[str]) -> Part | None:
    """The first that asks for a URL: a section that is not empty, or a step by its keys."""
    filled = (root[section] for section in sections if section in root and root[section].value)
    every = chain(root.items("seeding"), _questions(root), root.items("teardown"))
    asking = (step for step in every if any(key in step for key in steps))
    return next(chain(filled, asking), None)


def _questions(root: Part) -> Iterator[Part]:
    """What invariants ask, and those questions that they expect the answer of."""
    for part in root.items("invariants"):
        yield part
        yield from filter(None, [part.get("expect")])


def _teardown(part: Part) -> Teardown:
    if "sql" in part:
        return SqlTeardown(part["sql"].literal())
    if "table" in part:
        return OwnedRows(part["table"].text(), part["owned_by"].text())
    method, path = _literal_request(part["request"])
    gone = part.get("gone")
    return RequestTeardown(method, path, None if gone is None else _literal_request(gone)[1])


def _literal_request(part: Part) -> tuple[str, str]:
    """A method and a path in which nothing is evaluated at run time."""
    method, _, offset = method_and_path(part)
    return method, part.literal()[offset:]
