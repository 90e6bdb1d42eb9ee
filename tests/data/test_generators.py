from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.faker_source import COMMON, faker_drawer
from stressrun.data.generators import GeneratorError, parse_generator
from stressrun.data.words import readable_text

ONE_OF_EACH: list[dict[str, object]] = [
    {"serial": "SKU-{:08d}"},
    {"serial": 100},
    {"integer": [1, 1_000_000]},
    {"decimal": [1, 500]},
    {"faker": "name"},
    {"faker": "address", "locale": "de_DE"},
    {"hex": "1KB"},
    {"text": "200B"},
    {"choice": ["a", "b", "c"]},
    {"uuid": True},
    {"timestamp": ["2024-01-01", "2024-12-31"]},
    {"constant": "x"},
    {"choice": {"often": 9, "seldom": 1}},
    {"faker": "name", "null_share": "20%"},
    {
        "json": {
            "id": {"uuid": True},
            "who": {
                "name": {"faker": "name"},
                "since": {"timestamp": ["2024-01-01", "2024-02-01"]},
            },
            "sizes": [{"decimal": [1, 9]}, {"integer": [1, 9], "null_share": "50%"}, "fixed", None],
        }
    },
]
RANDOM = [spec for spec in ONE_OF_EACH if not {"serial", "constant"} & spec.keys()]
SWIFT = [spec for spec in ONE_OF_EACH if "locale" not in spec]
INDICES = (0, 1, 16_380, 16_381, 1_000_000, 2**63 - 1)
SEED = st.integers(0, 2**32)
INDEX = st.integers(0, 2**63 - 1)


def values(spec: dict[str, object], seed: int = 1, site: str = "a") -> list[object]:
    value = parse_generator(spec).compile(seed, site)
    return [value(index) for index in INDICES]


def test_the_same_seed_site_and_index_give_the_same_value_in_another_process() -> None:
    script = (
        "import ast, sys\n"
        "from stressrun.data.generators import parse_generator\n"
        "specs, indices = ast.literal_eval(sys.argv[1])\n"
        "for spec in specs:\n"
        "    value = parse_generator(spec).compile(7, 'writes.audit')\n"
        "    print(repr([value(index) for index in indices]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, repr((ONE_OF_EACH, INDICES))],
        check=True,
        capture_output=True,
        text=True,
    )
    here = [repr(values(spec, 7, "writes.audit")) for spec in ONE_OF_EACH]
    assert run.stdout.splitlines() == here


@pytest.mark.parametrize("spec", RANDOM, ids=lambda spec: next(iter(spec)))
def test_another_site_or_seed_has_other_values(spec: dict[str, object]) -> None:
    generator = parse_generator(spec)
    reads = [generator.compile(*place) for place in ((1, "a"), (1, "b"), (2, "a"))]
    rows = [repr([read(index) for index in range(200)]) for read in reads]
    assert len(set(rows)) == 3


@pytest.mark.parametrize("spec", ONE_OF_EACH, ids=lambda spec: next(iter(spec)))
def test_rendering_while_drawing_gives_the_rendered_values(spec: dict[str, object]) -> None:
    rendered = parse_generator(spec).compile_as(1, "a", lambda value: f"<{value}>")
    plain = parse_generator(spec).compile(1, "a")
    assert [rendered(index) for index in INDICES] == [f"<{plain(index)}>" for index in INDICES]


@pytest.mark.parametrize("spec", SWIFT, ids=lambda spec: next(iter(spec)))
def test_many_rows_at_once_have_the_values_that_each_of_them_has(spec: dict[str, object]) -> None:
    read = parse_generator(spec).compile_as(1, "a", repr)
    span = parse_generator(spec).compile_span(1, "a", repr)
    for indices in (range(3), range(3, 70), range(16_300, 16_500), range(10**6, 10**6 + 9)):
        assert [*span(indices)] == [*map(read, indices)]


def test_serial_counts_from_one_in_its_form_or_from_its_start() -> None:
    form, start = (parse_generator({"serial": one}).compile(1, "a") for one in ("S-{:03d}", 40))
    assert [form(index) for index in (0, 1, 999)] == ["S-001", "S-002", "S-1000"]
    assert [start(0), start(2**40)] == [40, 40 + 2**40]


@pytest.mark.parametrize(
    ("low", "high"), [(1, 3), (0, 0), (-5, 5), (-(2**63), 2**63 - 1), (2**63 - 2, 2**63 - 1)]
)
def test_integers_keep_their_bounds(low: int, high: int) -> None:
    value = parse_generator({"integer": [low, high]}).compile(1, "a")
    drawn = {value(index) for index in range(1000)}
    assert all(isinstance(one, int) and low <= one <= high for one in drawn)
    assert len(drawn) == high - low + 1 or high - low > 1000


@pytest.mark.parametrize("places", [0, 2, 6])
def test_decimals_have_their_places_and_keep_their_bounds(places: int) -> None:
    value = parse_generator({"decimal": [-1, 9], "places": places}).compile(1, "a")
    drawn = [value(index) for index in range(500)]
    assert all(isinstance(one, Decimal) and -1 <= one <= 9 for one in drawn)
    assert {len(f"{one:f}".partition(".")[2]) for one in drawn} == {places}


def test_decimals_reach_both_bounds() -> None:
    value = parse_generator({"decimal": [0.1, 0.3], "places": 1}).compile(1, "a")
    assert {value(index) for index in range(100)} == {
        Decimal("0.1"),
        Decimal("0.2"),
        Decimal("0.3"),
    }


@given(length=st.integers(1, 5000), seed=st.integers(0, 2**32))
def test_text_is_readable_and_has_exactly_its_length(length: int, seed: int) -> None:
    text = readable_text(Random(seed), length)
    assert len(text) == length
    assert text.replace(" ", "").rstrip(".").isalpha() or length < 3
    assert not text.endswith(" ")


@pytest.mark.parametrize(("size", "length"), [("1B", 1), ("7B", 7), ("1KB", 1000), ("1KiB", 1024)])
def test_hex_has_exactly_its_size(size: str, length: int) -> None:
    value = parse_generator({"hex": size}).compile(1, "a")
    for index in INDICES:
        digits = value(index)
        assert isinstance(digits, str)
        assert len(digits) == length
        assert set(digits) <= set("0123456789abcdef")


def test_choice_follows_its_weights() -> None:
    value = parse_generator({"choice": {"often": 3, "seldom": 1}}).compile(1, "a")
    drawn = [value(index) for index in range(10_000)]
    assert drawn.count("often") + drawn.count("seldom") == 10_000
    assert 0.72 < drawn.count("often") / 10_000 < 0.78


@given(seed=SEED, first=INDEX, second=INDEX)
def test_a_uuid_is_valid_and_each_index_has_its_own(seed: int, first: int, second: int) -> None:
    value = parse_generator({"uuid": True}).compile(seed, "a")
    shown = UUID(str(value(first)))
    assert str(shown) == value(first)
    assert (shown.version, shown.variant) == (4, RFC_4122)
    assert (value(first) == value(second)) == (first == second)


def test_timestamps_are_aware_and_their_last_day_is_included() -> None:
    value = parse_generator({"timestamp": ["2024-02-28", "2024-02-29"]}).compile(1, "a")
    drawn = [value(index) for index in range(1000)]
    assert all(isinstance(one, datetime) and one.tzinfo is UTC for one in drawn)
    assert {f"{one:%d}" for one in drawn} == {"28", "29"}


def test_timestamp_now_is_the_time_of_asking() -> None:
    value = parse_generator({"timestamp": "now"}).compile(1, "a")
    before = datetime.now(UTC)
    asked = value(0)
    assert isinstance(asked, datetime)
    assert before <= asked <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("spec", "sql_type"),
    [
        ({"serial": "SKU-{}"}, "text"),
        ({"serial": 1}, "bigint"),
        ({"integer": [0, 2**31 - 1]}, "integer"),
        ({"integer": [0, 2**31]}, "bigint"),
        ({"integer": [-(2**31) - 1, 0]}, "bigint"),
        ({"decimal": [1, 2]}, "numeric"),
        ({"faker": "name"}, "text"),
        ({"faker": "pyint"}, "bigint"),
        ({"faker": "pybool"}, "boolean"),
        ({"faker": "latitude"}, "numeric"),
        ({"faker": "date_object"}, "date"),
        ({"faker": "date_time"}, "timestamp"),
        ({"faker": "pyfloat"}, "double precision"),
        ({"faker": "name", "locale": "de_DE"}, "text"),
        ({"hex": "1KB"}, "text"),
        ({"text": "1KB"}, "text"),
        ({"choice": ["a", None]}, "text"),
        ({"choice": [True, False]}, "boolean"),
        ({"choice": [1, 2]}, "integer"),
        ({"choice": [1, 2.5]}, "numeric"),
        ({"uuid": True}, "uuid"),
        ({"timestamp": "now"}, "timestamptz"),
        ({"timestamp": ["2024-01-01", "2024-01-02"]}, "timestamptz"),
        ({"constant": 2**40}, "bigint"),
        ({"json": {"a": 1}}, "jsonb"),
        ({"json": [1]}, "jsonb"),
        ({"integer": [1, 2], "null_share": "5%"}, "integer"),
        ({"constant": None}, "text"),
    ],
)
def test_a_generator_knows_the_type_that_holds_its_values(
    spec: dict[str, object], sql_type: str
) -> None:
    assert parse_generator(spec).sql_type == sql_type


@pytest.mark.parametrize(
    ("spec", "key", "told"),
    [
        ({}, "", "one of serial"),
        ({"intger": [1, 2]}, "intger", "did you mean 'integer'?"),
        ({"integer": [1, 2], "uuid": True}, "uuid", "leave one"),
        ({"decimal": [1, 2], "place": 3}, "place", "did you mean 'places'?"),
        ({"uuid": True, "places": 3}, "places", "one of null_share"),
        ({"uuid": True, "null_shre": "3%"}, "null_shre", "did you mean 'null_share'?"),
        ({"uuid": True, "null_share": 3}, "null_share", "from 0% to 100%"),
        ({"uuid": True, "null_share": "101%"}, "null_share", "from 0% to 100%"),
        ({"json": "text"}, "json", "such as {name: {faker: name}"),
        ({"reference": "customers"}, "reference", "such as customers.id"),
        ({"reference": 5}, "reference", "such as customers.id"),
        ({"serial": "SKU"}, "serial", "SKU-{:08d}"),
        ({"serial": "{}-{}"}, "serial", "SKU-{:08d}"),
        ({"serial": "{0.__class__}"}, "serial", "SKU-{:08d}"),
        ({"serial": "{:999999999d}"}, "serial", "SKU-{:08d}"),
        ({"integer": [2, 1]}, "integer", "lower bound first"),
        ({"integer": [1.5, 2]}, "integer", "such as [1, 100]"),
        ({"integer": [True, 2]}, "integer", "such as [1, 100]"),
        ({"integer": [0, 2**63]}, "integer", "64 bits"),
        ({"integer": 5}, "integer", "such as [1, 100]"),
        ({"decimal": ["a", 2]}, "decimal", "such as [1, 9.99]"),
        ({"decimal": [0, float("inf")]}, "decimal", "such as [1, 9.99]"),
        ({"decimal": [0.001, 1]}, "decimal", "places"),
        ({"decimal": [0, 1], "places": 99}, "places", "from 0 to 12"),
        ({"faker": "nmae"}, "faker", "did you mean 'name'?"),
        ({"faker": "profile"}, "faker", "gives dict"),
        ({"faker": "enum"}, "faker", "gives nothing"),
        ({"faker": "random_digit_or_empty"}, "faker", "gives int or str"),
        ({"faker": "name", "locale": "de_DD"}, "locale", "did you mean 'de_DE'?"),
        ({"faker": ["name"]}, "faker", "such as name"),
        ({"hex": 16}, "hex", "a size such as"),
        ({"hex": "0B"}, "hex", "from 1B to 1MB"),
        ({"text": "2GB"}, "text", "from 1B to 1MB"),
        ({"text": "9" * 400 + "B"}, "text", "a size such as"),
        ({"choice": []}, "choice", "such as [red, blue]"),
        ({"choice": "red"}, "choice", "such as [red, blue]"),
        ({"choice": {"a": 0}}, "choice", "above 0"),
        ({"choice": {"a": 1e308, "b": 1e308}}, "choice", "above 0"),
        ({"choice": ["a", 1]}, "choice", "quote them all"),
        ({"choice": [["a"]]}, "choice", "text, a number"),
        ({"uuid": False}, "uuid", "uuid: true"),
        ({"timestamp": "yesterday"}, "timestamp", "or now"),
        ({"timestamp": ["2024-02-30", "2024-03-01"]}, "timestamp", "such as 2024-01-31"),
        ({"timestamp": ["2024-03-01", "2024-02-01"]}, "timestamp", "lower bound first"),
        ({"timestamp": ["0001-01-01T00:00:00+05:00", "2024-02-01"]}, "timestamp", "such as 2024"),
        ({"constant": [1]}, "constant", "text, a number"),
    ],
)
def test_a_wrong_generator_is_told_at_its_key(spec: dict[str, object], key: str, told: str) -> None:
    with pytest.raises(GeneratorError) as caught:
        parse_generator(spec)
    assert caught.value.key == key
    assert told in f"{caught.value.message} {caught.value.hint}"


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("now"), st.just("1KB")
)
KEYS = st.sampled_from(
    [
        *("serial", "integer", "decimal", "hex", "text", "choice", "uuid", "timestamp"),
        *("constant", "places", "other"),
    ]
)


@given(
    st.dictionaries(
        KEYS,
        SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(), SCALARS),
        max_size=2,
    )
)
def test_any_mapping_is_a_generator_or_a_generator_error(spec: dict[str, object]) -> None:
    try:
        assert parse_generator(spec).sql_type
    except GeneratorError as error:
        key = error.key
    else:
        key = ""
    assert key in (*spec, "")


@pytest.mark.parametrize("provider", sorted(COMMON))
def test_a_common_faker_provider_gives_text_as_taken_for_granted(provider: str) -> None:
    drawn = [faker_drawer(provider, "en_US")(Random(seed)) for seed in range(20)]
    assert {type(one) for one in drawn} == {str}


def test_common_providers_are_checked_without_importing_faker() -> None:
    script = (
        "import sys\n"
        "from stressrun.data.expressions import parse\n"
        "parse('${faker.name} ${integer(1, 2)} ${uuid}')\n"
        "sys.exit('faker' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
