"""A scenario that somebody else wrote does nothing but get refused, or be shown escaped.

What a scenario starts, its services' commands, is code that its author runs here: a scenario from
elsewhere is read before it is run. All else in it is data.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from stressrun.cli.plan import plan
from stressrun.errors import ScenarioError
from stressrun.run.budget import planned
from stressrun.scenario.load import check, load
from stressrun.scenario.model import Scenario

HEAD = "version: 1\nname: hostile\nbase_url: http://127.0.0.1:1\n"
STAGES = "stages: [{name: s, duration: 1s, endpoints: {rate: 1/s}}]\n"
GET = "endpoints: [{name: a, request: GET /}]\n"


def told(folder: Path, text: str, **environ: str) -> str:
    """What is wrong with a scenario; empty where nothing is."""
    path = folder / "scenario.yaml"
    path.write_text(text)
    try:
        check(path, environ=environ)
    except ScenarioError as error:
        return error.message
    return ""


def loaded(folder: Path, text: str, **environ: str) -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(text)
    return load(path, environ=environ).scenario


# Files.

READERS = {
    "seeding": "database: postgresql://127.0.0.1/a\nseeding: [{{sql_file: {file}}}]\n",
    "csv": 'feeders: {{f: {{csv: {file}}}}}\n',
    "lines": 'feeders: {{f: {{json_lines: {file}}}}}\n',
    "body": "endpoints: [{{name: a, request: POST /, body_file: {file}}}]\n",
    "part": "endpoints: [{{name: a, request: POST /, multipart: {{x: {{file: {file}}}}}}}]\n",
}  # fmt: skip


def reading(reader: str, file: str) -> str:
    part = READERS[reader].format(file=file)
    return HEAD + part + ("" if "endpoints" in part else GET) + STAGES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A scenario's folder, with what it must not read beside it."""
    (tmp_path / "secret").write_text("password\nhunter2\n")
    made = tmp_path / "scenarios"
    made.mkdir()
    return made


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "file",
    ["../secret", "/etc/passwd", "/proc/self/environ", "x/../../secret", "link", "linked/secret"],
)
def test_files_outside_of_the_scenario_s_folder_are_not_read(
    folder: Path, reader: str, file: str
) -> None:
    (folder / "x").mkdir()
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "linked").symlink_to(folder.parent)
    message = told(folder, reading(reader, file))
    assert f"lies outside of {folder}" in message
    assert "hunter2" not in message
    assert "password" not in message


@pytest.mark.parametrize("reader", ["csv", "body"])
@pytest.mark.parametrize("file", ["pipe", "folder", "zero"])
def test_what_is_no_file_is_not_waited_for(folder: Path, reader: str, file: str) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "zero").symlink_to("/dev/zero")
    message = told(folder, reading(reader, file))
    assert "it is no file" in message or "lies outside" in message


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("file", ['"a\\0b"', "a" * 5000])
def test_what_no_file_can_be_called_is_a_mistake(folder: Path, reader: str, file: str) -> None:
    assert "scenario.yaml:" in told(folder, reading(reader, file))


def test_files_of_the_scenario_s_repository_are_read(folder: Path) -> None:
    (folder.parent / ".git").mkdir()
    assert told(folder, reading("csv", "../secret")) == ""
    assert "lies outside" in told(folder, reading("csv", "/etc/passwd"))


def test_a_home_that_is_a_repository_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder.parent / ".git").mkdir()
    monkeypatch.setenv("HOME", str(folder.parent))
    assert "lies outside" in told(folder, reading("csv", "../secret"))


# Expressions.


@pytest.mark.parametrize(
    "value",
    ["${services.db.url}", "${SECRET}", "${A:-${SECRET}}", "$${SECRET}", "${env.HOME}", "${"],
)
def test_the_value_of_a_variable_is_data(folder: Path, value: str) -> None:
    text = HEAD + "description: '${GIVEN}'\n" + GET + STAGES
    scenario = loaded(folder, text, GIVEN=value, SECRET="hunter2")
    assert scenario.description == value.replace("$${", "${") or scenario.description == value
    assert "hunter2" not in scenario.description


@pytest.mark.parametrize(
    "expression",
    [
        "${__import__('os').system('id')}",
        "${faker.__class__}",
        "${faker._Generator__random}",
        "${faker.seed_instance}",
        "${integer.__init__(1)}",
        "${${uuid}}",
        "${faker.pylist(1e9)}",
        "${" * 1000,
        "${" + "a." * 10_000 + "b}",
    ],
)
def test_no_expression_reaches_beyond_its_generators(folder: Path, expression: str) -> None:
    text = HEAD + f'endpoints: [{{name: a, request: "GET /", headers: {{X: "{expression}"}}}}]\n'
    assert told(folder, text + STAGES) != ""


# Numbers.

HUGE = [
    "9" * 400,
    "1e308",
    "-1e308",
    "1e400",
    "0x" + "f" * 200,
    ".inf",
    "-.inf",
    ".nan",
    "9" * 5000,
]


def column(generator: str) -> str:
    return f"seeding: [{{table: t, rows: 1, columns: {{a: {{{generator}}}}}}}]\n"


NUMBERS: dict[str, Callable[[str], str]] = {
    "rows": lambda n: f"seeding: [{{table: t, rows: {n}, columns: {{a: {{text: 9B}}}}}}]\n",
    "integer": lambda n: column(f"integer: [0, {n}]"),
    "decimal": lambda n: column(f"decimal: [0, {n}]"),
    "text": lambda n: column(f"text: {n}GB"),
    "budget": lambda n: f"budget: {{requests: {n}}}\n",
    "bytes": lambda n: f"budget: {{bytes: {n}GB}}\n",
    "duration": lambda n: f"budget: {{duration: {n}s}}\n",
    "workers": lambda n: f"workers: {n}\n",
    "random_seed": lambda n: f"random_seed: {n}\n",
    "timeout": lambda n: f"http: {{timeout: {n}h}}\n",
    "sampled": lambda n: f"http: {{trace: {{sampled: {n}%}}}}\n",
    "threshold": lambda n: f"thresholds: ['http p95 < {n}s']\n",
    "window": lambda n: f"thresholds: ['http p95 < 1s over {n}s']\n",
}  # fmt: skip


@pytest.mark.parametrize("number", HUGE, ids=lambda number: number[:6])
@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_past_all_bounds_is_refused_or_planned(
    folder: Path, kind: str, number: str
) -> None:
    text = HEAD + "database: postgresql://127.0.0.1/a\n" + NUMBERS[kind](number) + GET + STAGES
    if not told(folder, text):
        planned(loaded(folder, text))
        shown = CliRunner().invoke(plan, [str(folder / "scenario.yaml")])
        assert shown.exit_code == 0, shown.exception


def test_reading_takes_little_memory(folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for hostile in (
        "x: " + "{a: " * 200_000,
        "x: [" + "[]," * 300_000 + "]",
        "? " * 300_000,
        "- " * 300_000,
        f"{'k' * 900_000}: 1",
        "x: '" + "${A:-" * 100_000 + "'",
        'x: "' + "\\x41" * 200_000 + '"',
    ):
        assert told(folder, hostile) != ""
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 300_000, "kilobytes"


# Names and texts.

TEXTS = {
    "name": 'name: "{text}"',
    "step": 'endpoints: [{{name: a, steps: [{{name: "{text}", request: GET /}}]}}]',
    "invariant": 'invariants: [{{name: "{text}", sql: select 1, expect: 1}}]',
    "stage": 'stages: [{{name: "{text}", duration: 1s, endpoints: {{rate: 1/s}}}}]',
}


@pytest.mark.parametrize("text", ["a\\nverdict: passed", "\\e[2J\\e[1;1H", "a\\rb", "\\0", "\\x7f"])
@pytest.mark.parametrize("kind", TEXTS)
def test_names_are_on_one_line_and_the_mistake_is_shown_escaped(
    folder: Path, kind: str, text: str
) -> None:
    parts = {"name": "name: hostile", "step": GET, "stage": STAGES, "invariant": ""}
    parts[kind] = TEXTS[kind].format(text=text)
    whole = "\n".join(["version: 1", "base_url: http://127.0.0.1:1", *parts.values()])
    path = folder / "scenario.yaml"
    path.write_text(f"{whole}\ndatabase: postgresql://127.0.0.1/a\n")
    result = CliRunner().invoke(plan, [str(path)])
    assert isinstance(result.exception, ScenarioError), result.output
    assert "\x1b" not in result.exception.message


@given(st.text(max_size=30))
def test_a_plan_of_any_description_does_nothing_to_a_terminal(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("plan")
    quoted = "".join(
        c if c.isascii() and c.isalnum() else f"\\U{ord(c):08x}" for c in text if c.isprintable()
        or ord(c) < 0xD800
    )  # fmt: skip
    (folder / "scenario.yaml").write_text(HEAD + f'description: "{quoted}"\n' + GET + STAGES)
    shown = CliRunner().invoke(plan, [str(folder / "scenario.yaml")])
    assert all(c == "\n" or c.isprintable() or c.isspace() for c in shown.output)
    assert "\x1b" not in shown.output


@pytest.mark.parametrize(
    "text", ["http://a/\\r\\nX: y", "http://a/\\e[31m", "http://a /", "http://a/\\0"]
)
def test_no_url_can_end_the_line_that_it_is_sent_in(folder: Path, text: str) -> None:
    scenario = HEAD.replace("http://127.0.0.1:1", f'"{text}"') + GET + STAGES
    assert "cannot stand in a URL" in told(folder, scenario)


# Hosts.


@pytest.mark.parametrize(
    "host",
    [
        *("0.0.0.0/0", "::/0", "0.0.0.0/1", "128.0.0.0/1", "2000::/3", "10.0.0.0/7", "*"),
        *("*.example.com", "http://staging.example.com", "staging.example.com:80", "a b", ""),
        *("0.0.0.0", "::", "[::1]", "300.1.1.1", "1.2.3.4/40", "10.0.0.0/x", "..", "-a", "a/../b"),
        *("user@host", "a,b", "a\\nb", "2130706433", "0x7f.1/8"),
        pytest.param("a" + ":1" * 10_000, id="ports"),
    ],
)
def test_what_is_no_host_or_nearly_all_of_them_cannot_be_allowed(folder: Path, host: str) -> None:
    assert "scenario.yaml:" in told(folder, HEAD + f'allow_hosts: ["{host}"]\n' + GET + STAGES)


@pytest.mark.parametrize(
    "host",
    [
        *("staging.example.com", "staging.example.com.", "db", "db_1.internal", "10.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "192.0.2.7", "2001:db8::1", "bücher.example", "10.1.2.3/16"),
    ],
)
def test_hosts_and_networks_of_one_s_own_can_be_allowed(folder: Path, host: str) -> None:
    assert told(folder, HEAD + f'allow_hosts: ["{host}"]\n' + GET + STAGES) == ""
