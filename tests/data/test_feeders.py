from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.errors import FeederError
from stressrun.data.feeders import (
    ComputedRows,
    Exhausted,
    RandomRows,
    RowSource,
    SequentialRows,
    UniqueRows,
    csv_columns,
    csv_rows,
    json_lines_columns,
    json_lines_rows,
)

ROWS = st.lists(st.integers(0, 9), min_size=1, max_size=30).map(
    lambda values: [(number, value) for number, value in enumerate(values)]
)
WORKERS = st.integers(1, 7)
NAMES = ("f.number", "f.value")


def write(tmp_path: Path, content: str | bytes) -> str:
    file = tmp_path / "rows"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(file)


def drawn(source: RowSource, count: int) -> list[object]:
    rows = []
    for index in range(count):
        variables: dict[str, object] = {}
        source.draw(index, variables)
        assert tuple(variables) == source.variables
        rows.append(variables["f.number"])
    return rows


@given(ROWS, WORKERS, st.integers(0, 40))
def test_sequential_rows_are_used_equally_often_by_all_workers_together(
    rows: list[tuple[int, int]], workers: int, count: int
) -> None:
    used: Counter[object] = Counter({number: 0 for number, _ in rows})
    for worker in range(workers):
        used.update(drawn(SequentialRows(NAMES, rows, worker, workers), count))
    assert sum(used.values()) == workers * count
    assert max(used.values()) - min(used.values()) <= 1


def test_sequential_rows_come_in_their_order_and_then_again() -> None:
    rows = [(number, "x") for number in range(5)]
    assert drawn(SequentialRows(NAMES, rows, 1, 2), 6) == [1, 3, 0, 2, 4, 1]


@given(ROWS, WORKERS)
def test_unique_rows_are_used_once_by_all_workers_together(
    rows: list[tuple[int, int]], workers: int
) -> None:
    used: list[object] = []
    for worker in range(workers):
        share = rows[worker::workers]
        source = UniqueRows(NAMES, share, "f")
        used += drawn(source, len(share))
        with pytest.raises(Exhausted, match="no row left in f"):
            source.draw(0, {})
    assert sorted(map(str, used)) == sorted(str(number) for number, _ in rows)


@given(ROWS, st.integers())
def test_random_rows_are_the_same_for_the_same_seed_in_every_worker(
    rows: list[tuple[int, int]], seed: int
) -> None:
    one, another = (RandomRows(NAMES, rows, seed, "feeders.f") for _ in range(2))
    assert drawn(one, 20) == drawn(another, 20)
    assert {*drawn(one, 200)} <= {number for number, _ in rows}


def test_random_rows_differ_by_seed_and_site() -> None:
    rows = [(number, "x") for number in range(1000)]
    sources = [RandomRows(NAMES, rows, seed, site) for seed, site in ((1, "a"), (2, "a"), (1, "b"))]
    assert len({tuple(drawn(source, 10)) for source in sources}) == 3


def test_computed_rows_are_read_at_one_number() -> None:
    source = ComputedRows(NAMES, (lambda number: number, lambda number: -number), 50, 1, "rows.t")
    for index in range(100):
        variables: dict[str, object] = {"other": 1}
        source.draw(index, variables)
        assert variables["f.number"] == -int(str(variables["f.value"]))
        assert 0 <= int(str(variables["f.number"])) < 50
    assert variables["other"] == 1


def test_csv_rows_are_texts_of_the_columns_that_are_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeffid,email,note\r\n1,a@x,"two\nlines, ""q"""\r\n\r\n2,ü@x,\r\n')
    assert csv_columns(path) == ("id", "email", "note")
    assert list(csv_rows(path, ["note", "id"])) == [('two\nlines, "q"', "1"), ("", "2")]


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        ("", 1, "the header is missing"),
        ("id\n", None, "there are no rows"),
        ("id,,c\n1,2,3\n", 1, "column 2 has no name"),
        ("id, ,c\n1,2,3\n", 1, "column 2 has no name"),
        ("id,b,id\n1,2,3\n", 1, "a second column 'id'"),
        ("id,b\n1,2\n3\n", 3, "expected 2 fields as in the header, not 1"),
        ('id,b\n"1\n1",2\n3,4,5\n', 4, "expected 2 fields as in the header, not 3"),
        ('id,b\n1,2\n3,"4\n5\n', 3, "not CSV"),
        ('id\n1"2\n"3"4\n', 3, "not CSV"),
        ("ident\n1\n", 1, "no column 'id'"),
        (b"id\n\xff\n", None, "not UTF-8"),
    ],
)
def test_a_wrong_csv_file_is_told_with_its_line(
    tmp_path: Path, content: str | bytes, line: int | None, told: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(FeederError) as caught:
        list(csv_rows(path, ["id"]))
    assert told in caught.value.message
    place = path if line is None else f"{path}:{line}"
    assert caught.value.message.startswith(f"{place}: ")
    assert caught.value.hint


def test_the_columns_need_the_first_line_alone(tmp_path: Path) -> None:
    assert csv_columns(write(tmp_path, "a,b\n1\n")) == ("a", "b")
    assert json_lines_columns(write(tmp_path, '\n{"a": 1, "b": 2}\nnonsense')) == ("a", "b")


@pytest.mark.parametrize("read", [csv_columns, json_lines_columns])
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, read: Callable[[str], tuple[str, ...]]
) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(FeederError, match="cannot be read") as caught:
            read(str(path))
        assert str(path) in caught.value.message


def test_json_lines_keep_their_values(tmp_path: Path) -> None:
    content = '\ufeff{"id": 1, "tags": ["a", {"b": null}]}\r\n\n{"tags": 1.5, "id": "x", "c": 1}'
    path = write(tmp_path, content)
    assert json_lines_columns(path) == ("id", "tags")
    assert list(json_lines_rows(path, ["tags", "id"])) == [(["a", {"b": None}], 1), (1.5, "x")]


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        ("", None, "there are no rows"),
        ('{"id": 1}\n{"id": }\n', 2, "not JSON"),
        ('{"id": 1}\n[1]\n', 2, "not a JSON object"),
        ('{"id": NaN}\n', 1, "not JSON: NaN"),
        ('{"id": 1}\n\n{"ident": 1}\n', 3, "no column 'id'"),
        ('{"id": "\\ud800"}\n', 1, "half of a surrogate pair"),
        ('{"id": ' + "[" * 100_000 + "\n", 1, "not JSON"),
    ],
)
def test_a_wrong_file_of_json_lines_is_told_with_its_line(
    tmp_path: Path, content: str, line: int | None, told: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(FeederError) as caught:
        list(json_lines_rows(path, ["id"]))
    assert told in caught.value.message
    assert caught.value.message.startswith(path if line is None else f"{path}:{line}: ")
    assert caught.value.hint


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    with (folder / "csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("a", "b"), *rows])
    assert list(csv_rows(str(folder / "csv"), ["a", "b"])) == rows
    lines = "\n".join(json.dumps({"a": a, "b": b}, ensure_ascii=False) for a, b in rows)
    (folder / "lines").write_text(lines, encoding="utf-8", newline="")
    assert list(json_lines_rows(str(folder / "lines"), ["a", "b"])) == rows
