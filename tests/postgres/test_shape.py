from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.postgres.shape import LONGEST, shape_of


@pytest.mark.parametrize(
    ("statement", "shape"),
    [
        ("select 1", "select ?"),
        ("select * from t1 where id = $1", "select * from t1 where id = $1"),
        ("update t\n   set a = 'x', b = -1.5e3\n", "update t set a = ?, b = -?"),
        ("select 'it''s', E'it\\'s', U&'d', $$a$b$$, $q$ $$ $q$", "select …"),
        ('select "Table 1"."a""b" from "t--x"', 'select "Table 1"."a""b" from "t--x"'),
        ("select a -- why\nfrom t /* because '\n */ where b", "select a from t where b"),
        ("delete from t where id in (1, 2,3)", "delete from t where id in (…)"),
        ("insert into t values ($1, $2), ($3, $4),\n($5,$6)", "insert into t values (…), …"),
        ("insert into t values (1, now())", "insert into t values (?, now())"),
        # Cut off at the server's limit.
        ("select 'secret that goes on and", "select ?"),
        ("select a /* comment that goes", "select a"),
        ("select $$ that goes", "select ?"),
        ("select 0x1F, a1, 1_000, a.b2, x'1F'", "select ?, a1, ?, a.b2, ?"),
        ("", ""),
    ],
)
def test_the_shape_of_a_statement(statement: str, shape: str) -> None:
    assert shape_of(statement) == shape


@given(st.text(max_size=300))
def test_any_text_becomes_one_short_line(text: str) -> None:
    shape = shape_of(text)
    assert len(shape) <= LONGEST
    assert len(shape.splitlines()) <= 1


@given(st.text(alphabet=st.characters(exclude_characters="\0")), st.integers(0))
def test_a_shape_does_not_depend_on_values(text: str, number: int) -> None:
    literal = "'" + text.replace("'", "''") + "'"
    shape = shape_of(f"update t set a = {literal}, b = {number} where c = 1")
    assert shape == "update t set a = ?, b = ? where c = ?"


def test_a_long_statement_takes_no_long_time() -> None:
    for piece in ("'a", "/*", "$a$", '"', "(1,", "1,", "-", "e'\\"):
        shape_of(piece * 5000)
