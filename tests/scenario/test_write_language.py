"""What a scenario can say of write mixes, and the model that it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from stressrun.data.expressions import parse
from stressrun.scenario.dump import to_yaml
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import Arrivals, Load, NamedOperation, Ramp, Users, WriteMix

HEAD = "version: 1\nname: shop\ndatabase: postgresql://a@127.0.0.1/a\n"
STAGES = "stages:\n  - {name: peak, duration: 1s, writes: {workers: 1}}\n"
LEAST = "writes:\n  - {name: w, mix: {own: 1}, operations: {own: {sql: select 1}}}\n"
WHOLE = """
writes:
  - name: w
    table: shop.products
    rows: 50
    key: sku
    columns: {sku: {serial: "SKU-{:08d}"}, name: {faker: name}, stock: {integer: [0, 9]}}
    indexes: [name]
    mix: {insert: 5, update: 3, delete: "${DELETES:-1}", select: 0, restock: 2.5, sell: 1}
    operations:
      restock: {sql: "update shop.products set stock = stock + ${integer(1, 5)} where sku = ${key}"}
      sell:
        transaction:
          - update shop.products set stock = stock - 1 where sku = ${key}
          - insert into sales (sku, by) values (${key}, '${run.id}')
    update: [stock]
    batch: 10
    keys: zipfian
    protocol: ${PROTOCOL:-extended}
    isolation: repeatable read
    retries: 7
    pipeline: 1
thresholds:
  - write w.restock p95 < 5ms in peak
environments:
  hot:
    writes:
      w:
        mix: {restock: 90}
        pipeline: 8
        operations: {restock: {sql: "select ${key}"}}
"""


def loaded(folder: Path, source: str, *sets: str, **options: str) -> Loaded:
    path = folder / "scenario.yaml"
    path.write_text(HEAD + source + ("" if "stages:" in source else STAGES))
    return load(path, sets=sets, environ={}, **options)


def test_a_mix_needs_little(tmp_path: Path) -> None:
    named = NamedOperation("own", (parse("select 1"),), transaction=False)
    assert loaded(tmp_path, LEAST).scenario.writes == (WriteMix("w", None, {"own": 1}, (named,)),)


def test_all_that_a_mix_can_say(tmp_path: Path) -> None:
    one = loaded(tmp_path, WHOLE)
    (mix,) = one.scenario.writes
    assert mix.seed is not None
    assert (mix.seed.table.name, mix.seed.table.key, mix.seed.rows) == ("shop.products", "sku", 50)
    assert mix.weights == {"insert": 5, "update": 3, "delete": 1, "restock": 2.5, "sell": 1}
    assert [(own.name, len(own.statements), own.transaction) for own in mix.named] == [
        ("restock", 1, False),
        ("sell", 2, True),
    ]
    assert [name for name, _ in mix.named[1].statements[1].variables] == ["key"]
    assert (mix.batch, mix.updated_columns, mix.keys) == (10, ("stock",), "zipfian")
    assert (mix.protocol, mix.isolation) == ("extended", "repeatable read")
    assert (mix.retries, mix.pipeline) == (7, 1)
    threshold, *built_in = one.scenario.thresholds
    assert all(each.built_in for each in built_in)
    assert (threshold.name, threshold.operation, threshold.value) == ("w", "restock", 0.005)


def test_the_run_s_id_stands_in_the_text_of_a_statement(tmp_path: Path) -> None:
    _, scenario = loaded(tmp_path, WHOLE).resolve({"run.id": "r7"})
    text = scenario.writes[0].named[1].statements[1].source
    assert text == "insert into sales (sku, by) values (${key}, 'r7')"


def test_updates_set_all_columns_but_the_key_serial_and_constant_ones(tmp_path: Path) -> None:
    columns = (
        "{id: {uuid: true}, a: {hex: 8B}, n: {serial: 1}, c: {constant: 1}, z: {integer: [1, 2]}}"
    )
    source = f"writes: [{{name: w, table: t, rows: 1, columns: {columns}, mix: {{update: 1}}}}]\n"
    assert loaded(tmp_path, source).scenario.writes[0].updated_columns == ("a", "z")


def test_an_overlay_changes_what_it_names(tmp_path: Path) -> None:
    source = WHOLE.replace(", sell: 1}", ", sell: 0}")
    (mix,) = loaded(tmp_path, source, environment="hot").scenario.writes
    assert (mix.weights["insert"], mix.weights["restock"], mix.pipeline) == (5, 90, 8)
    assert [own.statements[0].source for own in mix.named] == [
        "select ${key}",
        "update shop.products set stock = stock - 1 where sku = ${key}",
    ]


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("writes.w.keys=latest", "keys", "latest"),
        ("writes.w.protocol=simple", "protocol", "simple"),
        ("writes.0.isolation=serializable", "isolation", "serializable"),
        ("writes.w.retries=0", "retries", 0),
        ("writes.w.batch=3", "batch", 3),
        (
            "writes.w.mix={insert: 1, restock: 1, sell: 1}",
            "weights",
            dict.fromkeys(("insert", "restock", "sell"), 1),
        ),
        ("writes.w.update=[name, stock]", "updated_columns", ("name", "stock")),
    ],
)
def test_set_changes_one_setting(assignment: str, name: str, value: object, tmp_path: Path) -> None:
    source = WHOLE.replace("in peak", "")
    (mix,) = loaded(tmp_path, source, assignment).scenario.writes
    assert getattr(mix, name) == value


def test_set_changes_a_statement_and_a_weight(tmp_path: Path) -> None:
    sets = ("writes.w.operations.restock.sql=select ${key}", "writes.w.mix.restock=4")
    (mix,) = loaded(tmp_path, WHOLE, *sets).scenario.writes
    assert mix.named[0].statements == (parse("select ${key}"),)
    assert mix.weights["restock"] == 4


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{workers: 8}", Users(Ramp(8, 8))),
        ("{workers: {from: 2, to: 8}}", Users(Ramp(2, 8))),
        ("{rate: 200/s}", Arrivals(Ramp(200, 200), 10)),
        ("{rate: {from: 1/s, to: 90/m}, max_workers: 3}", Arrivals(Ramp(1, 1.5), 3)),
    ],
)
def test_the_loads_of_writes(source: str, expected: Load, tmp_path: Path) -> None:
    stages = f"stages:\n  - {{name: peak, duration: 1s, writes: {source}}}\n"
    assert loaded(tmp_path, LEAST + stages).scenario.stages[0].writes == expected


def test_the_canonical_document_says_the_same(tmp_path: Path) -> None:
    one = loaded(tmp_path, WHOLE)
    path = tmp_path / "canonical.yaml"
    path.write_text(to_yaml(one.document))
    assert load(path, environ={}).scenario == one.scenario
