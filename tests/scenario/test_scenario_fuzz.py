"""Whatever is done to a scenario file, it loads or its mistakes are told."""

from __future__ import annotations

from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders_scenario import ORDERS, write_files
from stressrun.errors import ScenarioError
from stressrun.scenario.load import check

GOOD = [(Path(__file__).parent / "checkout.yaml").read_text(), ORDERS.read_text()]
TOKENS = [
    *("${", "$${", "}", "{", "[", "]", ":", "-", "'", '"', "#", "&a", "*a", "<<:", "!!int", "---"),
    *("~", "5", "1e999", "-1", ".nan", "0o8", "yes", "%", "@", "|", ">", "- ", ": ", "\n", "\t"),
    *("\x00", "é", "\u2028", "${A}", "${services.db.url}", "${run.id}", "${A:-", "${A:?", "1%"),
    *("5s", "50/s", "GET /", "embedded", "peak", "in peak", "email", "http p95 < 1s"),
    *("none", "status", "$.id", "$..id", "${login.token}", "${cart} == 1", "cart.json", "(", "\0"),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(TOKENS),
)
keys = st.text(max_size=5) | st.sampled_from(TOKENS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def loads_or_tells(folder: Path, content: bytes) -> None:
    path = folder / "scenario.yaml"
    write_files(folder)
    path.write_bytes(content)
    try:
        check(path, environ={"A": "x${y}", "B": "\udcff"})
        mistakes = None
    except ScenarioError as error:
        mistakes = error.mistakes
    if mistakes is not None:
        assert mistakes
        assert all(str(mistake) and mistake.position.column >= 1 for mistake in mistakes)


@st.composite
def mutated_bytes(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(GOOD)).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        part = data[at : at + length]
        new = draw(
            st.sampled_from([token.encode() for token in TOKENS])
            | st.binary(max_size=3)
            | st.just(bytes(part) * 2)
        )
        data[at : at + length] = new
    return bytes(data)


def places(value: object, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [place]
    if isinstance(value, dict):
        for key, child in value.items():
            found += places(child, (*place, key))
    if isinstance(value, list):
        for index, child in enumerate(value):
            found += places(child, (*place, index))
    return found


PLACES = {good: places(yaml.safe_load(good))[1:] for good in GOOD}


@st.composite
def mutated_documents(draw: st.DrawFn) -> bytes:
    good = draw(st.sampled_from(GOOD))
    document = yaml.safe_load(good)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(PLACES[good]))
        parent = document
        try:
            for step in place[:-1]:
                parent = parent[step]
            former = parent[place[-1]]
        except (KeyError, IndexError, TypeError):
            continue
        action = draw(st.sampled_from(["delete", "replace", "copy", "rename"]))
        if action == "delete":
            del parent[place[-1]]
        elif action == "replace":
            parent[place[-1]] = draw(values)
        elif action == "copy":
            other = draw(st.sampled_from(PLACES[good]))
            value = yaml.safe_load(good)
            for step in other:
                value = value[step]
            parent[place[-1]] = value
        elif isinstance(parent, dict):
            parent[draw(st.text(max_size=4) | st.sampled_from(TOKENS))] = former
    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=mutated_bytes())
def test_a_file_with_changed_bytes_loads_or_tells_its_mistakes(
    tmp_path: Path, content: bytes
) -> None:
    loads_or_tells(tmp_path, content)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=mutated_documents())
def test_a_file_with_changed_values_loads_or_tells_its_mistakes(
    tmp_path: Path, content: bytes
) -> None:
    loads_or_tells(tmp_path, content)
