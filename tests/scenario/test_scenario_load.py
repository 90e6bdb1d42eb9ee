"""From files, overlays and variables to a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.errors import ScenarioError
from stressrun.scenario.build import scenario_from
from stressrun.scenario.dump import to_yaml
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import (
    Arrivals,
    CommandService,
    Database,
    EmbeddedPostgres,
    ExistingPostgres,
    ExistingService,
    JsonBody,
    Ramp,
    Readiness,
    Request,
    RequestTeardown,
    Think,
    Users,
)
from stressrun.scenario.nodes import Plain, plain
from stressrun.scenario.source import compose, typed

CHECKOUT = Path(__file__).parent / "checkout.yaml"
RESOLVED = {
    "services.db.url": "postgresql://postgres@127.0.0.1:5433/postgres",
    "services.api.url": "http://127.0.0.1:8001",
    "services.api.port": "8001",
    "run.id": "run-1",
}
LEAST = "version: 1\nname: least\nstages: [{name: a, duration: 1s, endpoints: {vus: 1}}]\n"
LEAST += 'base_url: http://127.0.0.1:1\nendpoints: [{name: e, request: "GET /"}]\n'


def loaded(folder: Path, extra: str = "", *sets: str, text: str = LEAST, **environ: str) -> Loaded:
    path = folder / "scenario.yaml"
    path.write_text(text + extra)
    return load(path, sets=sets, environ=environ)


def mistakes(error: pytest.ExceptionInfo[ScenarioError]) -> list[str]:
    return [str(mistake).splitlines()[0] for mistake in error.value.mistakes]


def test_the_example_is_built_with_its_defaults() -> None:
    scenario = load(CHECKOUT, environ={}).scenario
    assert scenario.services == (
        EmbeddedPostgres(
            "db", "postgres", None, "postgres", None, {"fsync": "off", "max_connections": "120"}
        ),
        CommandService(
            "api",
            ("python", "-m", "stressrun.demo.checkout"),
            {"DATABASE_URL": "${services.db.url}", "PORT": "${services.api.port}"},
            ".",
            None,
            Readiness("/healthz", 20.0),
        ),
    )
    assert [stage.endpoints for stage in scenario.stages] == [
        Arrivals(Ramp(50, 50), 100),
        Arrivals(Ramp(50, 400), 800),
        Arrivals(Ramp(400, 400), 800),
        Users(Ramp(20, 20)),
    ]
    assert [stage.writes is None for stage in scenario.stages] == [False, False, False, True]
    assert scenario.stages[0].warmup
    assert {request.timeout for one in scenario.endpoints for request in one.requests} == {30}
    assert (scenario.workers, scenario.report_interval) == (1, 5)
    audit = scenario.writes[0]
    assert audit.seed is not None
    assert (audit.weights, audit.batch, audit.seed.rows) == (
        {"insert": 70, "update": 25, "select": 5},
        100,
        5000,
    )
    assert [column.type for column in audit.seed.table.columns] == [
        "text",
        "varchar(100)",
        "integer",
        "text",
    ]


def test_steps_are_named_by_method_and_path_and_numbered_where_repeated(tmp_path: Path) -> None:
    steps = "[{request: GET /a}, {think: 1s}, {request: GET /a}, {name: last, request: GET /a}]"
    scenario = loaded(tmp_path, "", f"endpoints.e={{name: e, steps: {steps}}}").scenario
    first, pause, second, last = scenario.endpoints[0].steps
    assert pause == Think(1, 1)
    assert [step.name for step in (first, second, last) if isinstance(step, Request)] == [
        "GET /a",
        "GET /a #2",
        "last",
    ]


def test_resolving_replaces_references_everywhere_and_gives_the_same_scenario_to_a_worker() -> None:
    document, scenario = load(CHECKOUT, environ={}).resolve(RESOLVED)
    assert "${services." not in str(document)
    assert scenario.base_url == RESOLVED["services.api.url"]
    assert scenario.database_url == RESOLVED["services.db.url"]
    assert scenario_from(document) == scenario


def test_what_references_give_is_checked_when_they_are_known() -> None:
    with pytest.raises(ScenarioError) as error:
        load(CHECKOUT, environ={}).resolve({**RESOLVED, "services.api.url": "ftp://x"})
    assert mistakes(error) == [f"{CHECKOUT}:15:11: not an http:// or https:// URL"]


def test_services_start_after_those_they_refer_to(tmp_path: Path) -> None:
    extra = """services:
  web: {command: "web ${services.web.port}", env: {API: "${services.api.url}"}}
  api: {command: [api, "${services.db.url}"], port: 8000}
  db: {postgres: {host: embedded, user: app, database: shop, port: 5433}}
"""
    services = loaded(tmp_path, extra).scenario.services
    assert [service.name for service in services] == ["db", "api", "web"]


def test_a_long_chain_of_services_is_ordered(tmp_path: Path) -> None:
    chain = (f'  s{n}: {{command: "x ${{services.s{n + 1}.url}}"}}\n' for n in range(1500))
    services = loaded(tmp_path, f"services:\n{''.join(chain)}  s1500: {{command: x}}\n").scenario
    assert [s.name for s in services.services] == [f"s{n}" for n in range(1500, -1, -1)]


@pytest.mark.parametrize(
    ("source", "service"),
    [
        ("{postgres: 'postgresql://a@h/b'}", ExistingPostgres("x", "postgresql://a@h/b")),
        (
            "{postgres: {host: '::1', port: 1, user: a/b, password: 'p@s', database: d}}",
            ExistingPostgres("x", "postgresql://a%2Fb:p%40s@[::1]:1/d"),
        ),
        ("{url: 'http://h:1'}", ExistingService("x", "http://h:1", Readiness(None, 5.0))),
        (
            "{command: 'a \"b c\"', env: {N: 0x10, T: true}, ready: {within: 1m30s}}",
            CommandService(
                "x", ("a", "b c"), {"N": "0x10", "T": "true"}, ".", None, Readiness(None, 90.0)
            ),
        ),
    ],
)
def test_the_kinds_of_services(source: str, service: object, tmp_path: Path) -> None:
    assert loaded(tmp_path, f"services: {{x: {source}}}").scenario.services == (service,)


def test_the_only_postgres_service_is_the_default_database(tmp_path: Path) -> None:
    alone = "services: {db: {postgres: embedded}}\n"
    extra = alone + "teardown: [{sql: select 1}]\n"
    # Without a part that needs it, it is there for the monitor.
    for one in (loaded(tmp_path, alone), loaded(tmp_path, extra)):
        assert one.scenario.database_url == "${services.db.url}"
        _, resolved = one.resolve(RESOLVED)
        assert resolved.database_url == RESOLVED["services.db.url"]
    two = alone.replace("{db:", "{two: {postgres: embedded}, db:")
    assert loaded(tmp_path, two).scenario.database is None
    with pytest.raises(ScenarioError, match=r"this needs a database\n.*\n.*\n  say which"):
        loaded(tmp_path, extra.replace("{db:", "{two: {postgres: embedded}, db:"))


@pytest.mark.parametrize(
    ("written", "database"),
    [
        ("postgresql://", Database("postgresql://")),
        ("postgresql:///shop", Database("postgresql:///shop")),
        ("service=staging", Database("service=staging")),
        ("host=h dbname=d", Database("host=h dbname=d")),
        ("{url: 'postgresql://h/d'}", Database("postgresql://h/d")),
        ("{min_free_connections: 0}", Database("${services.db.url}", min_free_connections=0)),
        (
            "{lock_timeout: 0s, statement_timeout: 1m30s, idle_in_transaction_timeout: 1ms}",
            Database("${services.db.url}", 5, 90, 0, 0.001),
        ),
        ("{monitor: {every: 50ms}}", Database("${services.db.url}", sample_interval=0.05)),
        ("{monitor: false}", Database("${services.db.url}", sample_interval=None)),
        ("{monitor: true}", Database("${services.db.url}")),
    ],
)
def test_the_forms_of_a_database(written: str, database: Database, tmp_path: Path) -> None:
    extra = f"services: {{db: {{postgres: service=local}}}}\ndatabase: {written}\n"
    one = loaded(tmp_path, extra)
    assert one.scenario.database == database
    document, resolved = one.resolve(RESOLVED)
    assert scenario_from(document) == resolved


@pytest.mark.parametrize(
    ("written", "changed", "database"),
    [
        ("postgresql://a/b", "{lock_timeout: 1s}", Database("postgresql://a/b", lock_timeout=1)),
        (
            "{url: 'postgresql://a/b', lock_timeout: 1s}",
            "postgresql://c/d",
            Database("postgresql://c/d", lock_timeout=1),
        ),
        ("postgresql://a/b", "postgresql://c/d", Database("postgresql://c/d")),
    ],
)
def test_an_overlay_of_a_database_changes_what_it_names(
    written: str, changed: str, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(f"{LEAST}database: {written}\nenvironments: {{ci: {{database: {changed}}}}}\n")
    assert load(path, environment="ci", environ={}).scenario.database == database


def test_a_setting_of_a_database_is_assigned_beside_its_url(tmp_path: Path) -> None:
    written = "database: postgresql://a/b\n"
    assigned = loaded(tmp_path, written, "database.min_free_connections=${FREE}", FREE="2")
    assert assigned.scenario.database == Database("postgresql://a/b", min_free_connections=2)


def test_a_commands_folder_is_relative_to_the_scenario(tmp_path: Path) -> None:
    document = loaded(tmp_path, "services: {api: {command: x, cwd: ../y}}").document
    scenario = scenario_from(document)
    assert isinstance(scenario.services[0], CommandService)
    assert scenario.services[0].cwd == str(tmp_path.parent.resolve() / "y")


def test_an_escaped_expression_is_text(tmp_path: Path) -> None:
    extra = "teardown: [{sql: 'select $$a$$, ''$${x}'''}, {request: DELETE /a}]\n"
    extra += "services: {db: {postgres: embedded}}\n"
    teardown = loaded(tmp_path, extra).scenario.teardown
    assert getattr(teardown[0], "sql", None) == "select $$a$$, '${x}'"
    assert teardown[1] == RequestTeardown("DELETE", "/a")


# Variables


@pytest.mark.parametrize(
    ("source", "environ", "expected"),
    [
        ("${A}", {"A": "7"}, 7),
        ("'${A}'", {"A": "7"}, 7),
        ('"${A:-8}"', {}, 8),
        ("${A:-8}", {"A": ""}, 8),
        ("${A:-${B:-9}}", {}, 9),
        ("${A:-${B}}", {"B": "10"}, 10),
        ("${A:?say}", {"A": "11"}, 11),
    ],
)
def test_a_value_that_is_one_reference_is_typed_again(
    source: str, environ: Mapping[str, str], expected: int, tmp_path: Path
) -> None:
    assert loaded(tmp_path, f"random_seed: {source}", **environ).scenario.random_seed == expected


@pytest.mark.parametrize("value", ["5", "1e3", "true", "~", "0x1F", "", "00"])
def test_a_variable_is_its_text_where_a_string_is_wanted(value: str, tmp_path: Path) -> None:
    extra = "services: {x: {command: x, env: {A: '${A}'}}}\ndescription: ${A}"
    scenario = loaded(tmp_path, extra, A=value).scenario
    assert scenario.description == value
    assert isinstance(scenario.services[0], CommandService)
    assert scenario.services[0].env == {"A": value}


def test_an_empty_variable_leaves_its_key_out_where_no_string_can_stand(tmp_path: Path) -> None:
    extra = "services: {db: {postgres: {host: embedded, port: '${PORT:-}', password: '${W:-}'}}}"
    scenario = loaded(tmp_path, extra).scenario
    assert scenario.services == (EmbeddedPostgres("db", "postgres", None, "postgres", None, {}),)


def test_a_variables_value_is_never_an_expression(tmp_path: Path) -> None:
    one = loaded(tmp_path, "", 'endpoints.e.json="${A} and $${A}"', A="${uuid}")
    assert isinstance(one.scenario.endpoints[0].requests[0].body, JsonBody)
    assert one.document["endpoints"] == [
        {"name": "e", "request": "GET /", "json": "$${uuid} and $${A}"}
    ]


def test_the_environment_comes_before_the_env_file_before_dot_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=1\nC=1\n# no\n\nexport D='x y' # note\n")
    env_file = tmp_path / "other.env"
    env_file.write_text('A=2\nB=2\nE="q\\"#"\n')
    path = tmp_path / "scenario.yaml"
    path.write_text(LEAST + "description: ${A} ${B} ${C} ${D} ${E}")
    scenario = load(path, env_file=env_file, environ={"A": "3"}).scenario
    assert scenario.description == '3 2 1 x y q"#'


def test_a_broken_env_file_is_told_without_its_content(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nhunter2 is it\n")
    with pytest.raises(ScenarioError) as error:
        loaded(tmp_path)
    assert str(error.value) == f"{tmp_path / '.env'}:2:1: not a line of the form NAME=value"


def test_comments_are_not_interpolated(tmp_path: Path) -> None:
    assert loaded(tmp_path, "# ${UNSET}").scenario.name == "least"


def test_secrets_are_known_by_their_names_and_kept_out_of_messages(tmp_path: Path) -> None:
    one = loaded(tmp_path, "description: ${API_TOKEN} ${NAME}", API_TOKEN="abc", NAME="def")
    assert one.secrets == ("abc",)
    with pytest.raises(ScenarioError) as error:
        loaded(tmp_path, "workers: ${API_TOKEN}", API_TOKEN="hunter2")
    assert "hunter2" not in str(error.value)
    assert "it comes from ${API_TOKEN}" in str(error.value)


# Overlays and assignments


def test_an_overlay_changes_what_it_names_and_leaves_the_rest() -> None:
    stages = load(CHECKOUT, environment="quick", environ={}).scenario.stages
    assert [stage.duration for stage in stages] == [5, 5, 5, 10]
    assert stages[3].endpoints == Arrivals(Ramp(10, 10), 100)
    staging = load(CHECKOUT, environment="staging", environ={}).scenario
    assert staging.services[0] == ExistingPostgres("db", "postgresql://app@127.0.0.1/app")
    assert staging.environment == "staging"


def test_an_unknown_environment_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as error:
        load(CHECKOUT, environment="stagin", environ={})
    assert mistakes(error) == ["-e stagin:1:1: no environment 'stagin'"]
    assert "did you mean 'staging'?" in str(error.value)


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("name=other", ("name",), "other"),
        ("stages.a.duration=5s", ("stages", 0, "duration"), "5s"),
        ("stages.0.duration=5s", ("stages", 0, "duration"), "5s"),
        ("stages.a.endpoints.rate=5/s", ("stages", 0, "endpoints"), {"rate": "5/s"}),
        ("endpoints.e.json={a: [1]}", ("endpoints", 0, "json"), {"a": [1]}),
        ("http.timeout=1s", ("http",), {"timeout": "1s"}),
        ("thresholds=[http errors < 1%]", ("thresholds",), ["http errors < 1%"]),
        ("random_seed=${A}", ("random_seed",), 3),
    ],
)
def test_set_changes_one_value(
    assignment: str, path: tuple[str | int, ...], value: object, tmp_path: Path
) -> None:
    found: Any = loaded(tmp_path, "", assignment, A="3").document
    for step in path:
        found = dict(enumerate(found) if isinstance(found, list) else found)[step]
    assert found == value


def test_set_replaces_a_mapping_instead_of_merging_it(tmp_path: Path) -> None:
    extra = "services: {x: {command: x, env: {A: a, B: b}}}"
    services = loaded(tmp_path, extra, "services.x.env={C: c}").scenario.services
    assert isinstance(services[0], CommandService)
    assert services[0].env == {"C": "c"}


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("stages.b.duration=5s", "1:8: no item 'b' in stages"),
        ("stages.a.duration=5", "1:19: 5 has no unit: write 5s or 5ms"),
        ("stages.a.duratoin=5s", "1:10: unknown key 'duratoin'"),
        (
            "thresholds=[htp p95 < 1s]",
            "1:13: expected http, endpoint NAME, write NAME, mock NAME, postgres, generator",
        ),
        ("stages", "1:1: not of the form PATH=VALUE"),
        (f"stages.{'9' * 5000}.duration=5s", "1:8: no item '999"),
        ("stages..a=5", "1:1: not of the form PATH=VALUE"),
        ("name={a", "1:6: not valid YAML: did not find expected ',' or '}' in a flow mapping"),
        ("name=*a", "1:6: aliases are not supported"),
        ("name=\udcff", "1:6: the character '\\udcff' cannot stand in YAML"),
        ("description=${UNSET}", "1:13: the variable UNSET is not set"),
    ],
)
def test_a_mistake_in_set_is_told_within_its_argument(
    assignment: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioError) as error:
        loaded(tmp_path, "", assignment)
    (first, *others) = mistakes(error)
    assert first.startswith(f"--set {assignment}:{told}")
    assert others == []


# YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10_000", 10000),
        ("-5", -5),
        ("007", 7),
        ("0o17", 15),
        ("0xff", 255),
        ("1_000.5", 1000.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("True", True),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1__0", "1__0"),
        ("", None),
        ("~", None),
        ("null", None),
        ("١٢", "١٢"),
    ],
)
def test_plain_scalars_have_the_types_of_yaml_1_2(text: str, value: object) -> None:
    assert typed(text) == value
    assert type(typed(text)) is type(value)


names = st.text(max_size=8)
documents: st.SearchStrategy[dict[str, Plain]] = st.dictionaries(
    names,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
        | st.sampled_from(["yes", "1e5", "0o17", "<<", "1_0", "***", "2024-01-01", "1:30", "a: b"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(documents)
def test_a_dumped_document_reads_back_to_itself(document: dict[str, Plain]) -> None:
    text = to_yaml(document)
    source = compose(text, "dumped")
    assert source.mistakes == ()
    assert plain(source.root) == document
