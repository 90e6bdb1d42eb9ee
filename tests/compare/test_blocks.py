"""The blocks of a comparison: under which load, how many, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stressrun.compare.blocks import (
    WARM_UP_PAIRS,
    Part,
    check_sides,
    chosen_stage,
    in_blocks,
    order,
    pairs_of,
    parts_of,
    planned_by,
)
from stressrun.compare.comparison import Base, Comparison, Options
from stressrun.errors import RefusedError, UsageError
from stressrun.scenario.load import Loaded, load
from stressrun.scenario.model import Arrivals, Scenario, Users

HEAD = """version: 1
name: shop
services:
  db: {postgres: embedded}
  api: {command: python -m shop}
base_url: ${services.api.url}
endpoints:
  - {name: home, weight: 3, request: GET /}
  - {name: buy, request: POST /buy}
writes:
  - {name: w, operations: {one: {sql: select 1}}, mix: {one: 1}}
thresholds: [http p95 < 1s in rates]
invariants: [{sql: select 1, expect: 1, after: rates}]
teardown: [{sql: select 1}]
"""
STAGES = {
    "warm-up": "{name: warm-up, duration: 1s, warmup: true, endpoints: {rate: 5/s}}",
    "ramp": "{name: ramp, duration: 1s, endpoints: {rate: {from: 1/s, to: 9/s}}}",
    "rates": "{name: rates, duration: 1s, endpoints: {rate: 80/s}, writes: {rate: 5/s}}",
    "users": "{name: users, duration: 1s, endpoints: {vus: 8}}",
    "some": "{name: some, duration: 1s, endpoints: {iterations: 9, vus: 3}}",
    "mixed": "{name: mixed, duration: 1s, endpoints: {rate: 8/s}, writes: {workers: 3}}",
    "writing": "{name: writing, duration: 1s, writes: {rate: 5/s}}",
}


def loaded(folder: Path, *stages: str, head: str = HEAD, more: str = "") -> Loaded:
    path = folder / "scenario.yaml"
    listed = "".join(f"  - {STAGES[name]}\n" for name in stages)
    head = head if "rates" in stages else head.replace("in rates", "").replace(", after: rates", "")
    path.write_text(f"{head}stages:\n{listed}{more}")
    return load(path, environ={})


def resolved(blocks: Loaded) -> Scenario:
    values = {
        f"services.{name}.{key}": "postgresql://127.0.0.1/a" if name == "db" else "http://127.0.0.1"
        for name in ("db", "api")
        for key in ("url", "host", "port", "user", "password", "database")
    }
    return blocks.resolve({**values, "run.id": "r"})[1]


@pytest.mark.parametrize(
    ("stages", "chosen"),
    [
        (["warm-up", "ramp", "rates", "users"], "rates"),
        (["rates", "mixed", "ramp"], "mixed"),
        (["warm-up", "ramp", "users"], "users"),
        (["some", "ramp"], "ramp"),
        (["users", "writing"], "writing"),
    ],
)
def test_the_load_is_that_of_the_last_judged_stage_with_a_constant_rate(
    stages: list[str], chosen: str, tmp_path: Path
) -> None:
    assert chosen_stage(loaded(tmp_path, *stages).scenario).name == chosen


def test_a_scenario_can_name_the_stage(tmp_path: Path) -> None:
    more = "compare: {stage: warm-up}\n"
    assert chosen_stage(loaded(tmp_path, "warm-up", "rates", more=more).scenario).name == "warm-up"


@pytest.mark.parametrize(
    ("stages", "more", "told"),
    [
        (["warm-up", "some"], "", "no judged stage has a rate, users or workers"),
        (["rates", "some"], "compare: {stage: some}\n", "ends when its iterations are done"),
    ],
)
def test_a_load_that_ends_by_itself_has_no_blocks(
    stages: list[str], more: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        chosen_stage(loaded(tmp_path, *stages, more=more).scenario)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{command: python -m shop}", "{url: 'http://127.0.0.1:8000'}", "service api is there"),
        ("postgres: embedded", "postgres: 'postgresql://127.0.0.1/a'", "service db is there"),
        (
            "base_url:",
            "database: postgresql://127.0.0.1/a\nbase_url:",
            "the database is there already",
        ),
        (
            "base_url: ${services.api.url}",
            "base_url: http://127.0.0.1:8000",
            "what answers at http://127.0.0.1:8000 is there already",
        ),
        ("endpoints:", "http: {unix_socket: /run/shop.sock}\nendpoints:", "share the socket"),
    ],
)
def test_sides_do_not_share_a_service(old: str, new: str, told: str, tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "rates", head=HEAD.replace(old, new)).scenario
    with pytest.raises(UsageError, match=told):
        check_sides(scenario, tmp_path)
    check_sides(loaded(tmp_path, "rates").scenario, tmp_path)


def test_two_configurations_of_one_folder_cannot_prepare_it(tmp_path: Path) -> None:
    more = "compare: {prepare: [make]}\n"
    scenario = loaded(tmp_path, "rates", more=more).scenario
    with pytest.raises(UsageError, match="would prepare the same folder"):
        check_sides(scenario, None)
    check_sides(scenario, tmp_path)


def test_an_endpoint_may_be_called_writes(tmp_path: Path) -> None:
    before = loaded(tmp_path, "rates", head=HEAD.replace("name: buy", "name: writes"))
    parts = parts_of(before.scenario, isolated=True)
    assert [part.only for part in parts] == ["home", "writes", "the writes"]
    alone = [resolved(in_blocks(before, part, pairs=1)).stages[0] for part in parts[1:]]
    assert [stage.writes is None for stage in alone] == [True, False]


def test_a_long_block_is_as_long_as_it_says(tmp_path: Path) -> None:
    before = loaded(tmp_path, "rates", more="compare: {block: 20m}\n")
    scenario = resolved(in_blocks(before, Part(chosen_stage(before.scenario)), pairs=1))
    assert scenario.stages[1].duration == 1200


def test_there_are_more_pairs_than_the_test_needs(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, "rates").scenario  # two endpoints and an operation: 6 pairs
    assert pairs_of(scenario, None) == 30
    assert pairs_of(scenario, 3) == 3
    assert pairs_of(loaded(tmp_path, "rates", more="compare: {pairs: 20}\n").scenario, None) == 20


def test_sides_take_turns_in_going_first() -> None:
    assert [order(pair) for pair in range(4)] == [(0, 1), (1, 0), (0, 1), (1, 0)]


def test_each_pair_has_a_warm_up_and_a_block_of_the_stages_load(tmp_path: Path) -> None:
    before = loaded(tmp_path, "warm-up", "rates", more="compare: {block: 3s, warm_up: 200ms}\n")
    scenario = resolved(in_blocks(before, Part(chosen_stage(before.scenario)), pairs=4))
    assert len(scenario.stages) == 2 * (4 + WARM_UP_PAIRS)
    assert [stage.duration for stage in scenario.stages[:4]] == [0.2, 3.0, 0.2, 3.0]
    load = before.scenario.stages[1]
    assert all(
        (stage.endpoints, stage.writes) == (load.endpoints, load.writes)
        for stage in scenario.stages
    )
    assert (scenario.thresholds, scenario.invariants, scenario.teardown) == ((), (), ())


def test_isolated_endpoints_have_their_share_of_the_rate(tmp_path: Path) -> None:
    before = loaded(tmp_path, "rates")
    parts = parts_of(before.scenario, isolated=True)
    assert [part.only for part in parts] == ["home", "buy", "the writes"]
    home, buy, writes = (resolved(in_blocks(before, part, pairs=1)) for part in parts)
    for scenario, name, rate in ((home, "home", 60.0), (buy, "buy", 20.0)):
        assert [each.name for each in scenario.endpoints] == [name]
        load = scenario.stages[1].endpoints
        assert isinstance(load, Arrivals)
        assert load.rate.start == load.rate.end == rate
        assert scenario.stages[1].writes is None
    assert writes.stages[1].endpoints is None
    assert writes.stages[1].writes == before.scenario.stages[0].writes


def test_isolated_users_are_at_least_one(tmp_path: Path) -> None:
    before = loaded(tmp_path, "users", head=HEAD.replace("weight: 3", "weight: 99"))
    parts = parts_of(before.scenario, isolated=True)
    loads = [resolved(in_blocks(before, part, pairs=1)).stages[1].endpoints for part in parts]
    assert all(isinstance(load, Users) for load in loads)
    assert [load.count.start for load in loads if isinstance(load, Users)] == [8, 1]


def test_a_budget_is_held_against_both_sides_and_all_parts(tmp_path: Path) -> None:
    seeding = "seeding: [{table: t, rows: 100, columns: {name: {text: 9B}}}]\n"
    head = HEAD.replace("base_url:", "database: ${services.db.url}\n" + seeding + "base_url:")
    more = "compare: {block: 2s, warm_up: 500ms}\nbudget: {rows: 399}\n"
    before = loaded(tmp_path, "rates", head=head, more=more)
    together = planned_by(before, parts_of(before.scenario, isolated=False), pairs=3)
    each = (3 + WARM_UP_PAIRS) * 2.5
    assert together == {"requests": 2 * 80 * each, "rows": 2 * 100, "duration": 2 * each}
    isolated = planned_by(before, parts_of(before.scenario, isolated=True), pairs=3)
    assert isolated["rows"] == 3 * together["rows"]
    assert isolated["duration"] == 3 * together["duration"]
    assert isolated["requests"] == pytest.approx(together["requests"], rel=0.01)
    options = Options(tmp_path / "scenario.yaml", Base("the same tree"), no_loading)
    assert Comparison(before, options, print).run_id
    with pytest.raises(RefusedError, match="its budget is 399 rows, and at least 600 rows are"):
        Comparison(before, replace(options, isolated=True), print)


def no_loading(path: Path, environ: Mapping[str, str]) -> Loaded:
    raise AssertionError("nothing is compared")
