"""What a scenario can say of a mock, and mistakes in it, each where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from marked import assert_told

from stressrun.data.expressions import Json, compile_json
from stressrun.scenario.load import load

HEAD = """version: 1
name: shop
base_url: http://127.0.0.1:8000
endpoints: [{name: home, request: GET /}]
stages:
  - {name: steady, duration: 3s, endpoints: {vus: 1}}
  - {name: peak, duration: 3s, endpoints: {vus: 1}}
services:
  pay:
    mock:
"""


class Told(NamedTuple):
    """A route with `☞` where the mistake is, and what is said of it."""

    route: str
    message: str
    hint: str = ""


ROUTES = {
    "no method": Told("☞on: FETCH /a".replace("☞on: ", "on: ☞"), "no method 'FETCH'", "PATCH"),
    "a query in the path": Told("on: 'GET /a☞?b=1'", "'?' cannot stand here", "${query.NAME}"),
    "half a segment": Told("on: 'GET /a☞{id}'", "'{' cannot stand here", "/charges/{id}"),
    "a name twice": Told("on: ☞'GET /{id}/{id}'", "two segments are named 'id'"),
    "an unknown stage": Told(
        "on: GET /, fail: {status: 503, in: ☞peek}", "no stage 'peek'", "did you mean 'peak'"
    ),
    "an unknown stage in a list": Told("on: GET /, in: [peak, ☞low]", "no stage 'low'"),
    "too many shares": Told(
        "on: GET /, fail: ☞[{status: 503, share: 60%}, {reset: true, share: 50%}]",
        "the shares add up to 110 %",
        "share: 90%",
    ),
    "too many shares in a stage": Told(
        "on: GET /, latency: ☞[{is: 1s, in: peak}, {is: 2s, share: 1%, in: [peak, steady]}]",
        "the shares add up to 101 % in peak",
    ),
    "no request has it": Told(
        'on: GET /, respond: {body: "${☞boddy.id}"}',
        "'boddy.id' is nothing that a request has",
        "did you mean 'body'",
    ),
    "no such segment": Told(
        'on: "GET /{id}", respond: {json: {a: "${path.☞di}"}}',
        "the path has no segment 'di'",
        "the segments of the path are id",
    ),
    "a captured variable": Told('on: GET /, respond: {body: "${☞cart}"}', "'cart' is nothing that"),
    "a broken expression": Told('on: GET /, respond: {body: "☞${integer("}', "is not closed"),
    "two bodies": Told("on: GET /, respond: {json: 1, ☞body: a}", "'body' cannot stand beside"),
    "a body of none": Told("on: GET /, respond: {status: 204, ☞body: a}", "has no body"),
    "a header of the framing": Told(
        "on: GET /, respond: {headers: {Content-Length: ☞5}}", "follows from the answer"
    ),
    "no calls": Told("on: GET /, respond: [{after: ☞3}]", "expected a number of calls"),
    "a failure of two kinds": Told("on: GET /, fail: {reset: true, ☞close: true}", "cannot stand"),
    "no kind of failure": Told("on: GET /, fail: ☞{share: 1%}", "expected one of the keys status"),
    "a status that is none": Told("on: GET /, fail: {status: ☞99}", "a status from 200 to 599"),
    "percentiles out of order": Told(
        "on: GET /, latency: ☞{p50: 2s, p99: 1s}", "a higher percentile is shorter"
    ),
    "a percentile below all": Told(
        "on: GET /, latency: {☞p00: 1ms}", "p00 is below all times", "such as p01"
    ),
    "a percentile twice": Told(
        "on: GET /, latency: {p50: 1ms, ☞p500: 2ms}", "p500 is the same percentile as p50"
    ),
    "no percentile": Told("on: GET /, latency: {☞q50: 2s}", "a percentile such as p50, or max"),
    "a latency without a unit": Told("on: GET /, latency: ☞50", "50ms"),
    "the longest first": Told("on: GET /, latency: ☞2s..1s", "the shortest latency comes first"),
    "no rate": Told("on: GET /, limit: ☞0/s", "a limit of 0 answers nothing"),
    "an unknown key": Told("on: GET /, ☞answer: {status: 200}", "unknown key 'answer'"),
    "a hostile name": Told('on: GET /, in: ☞"\\x1b[2J"', "no stage '\\x1b[2J'"),
    "a broken pattern": Told("on: GET /, headers: {X: {matches: '☞('}}", "no regular expression"),
    "a broken path": Told("on: GET /, json: {☞'$.[': 1}", "no step of a JSON path"),
}


@pytest.mark.parametrize("told", ROUTES.values(), ids=ROUTES.keys())
def test_a_mistake_in_a_route_is_told_where_it_is(told: Told, tmp_path: Path) -> None:
    assert_told(tmp_path, f"{HEAD}      - {{{told.route}}}\n", told.message, told.hint)


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ("mock ☞pya calls > 1", "no mock 'pya'"),
        ("mock pay ☞call > 1", "expected a metric, not 'call'"),
        ("mock pay calls > ☞1.5", "a whole number"),
        ("mock pay amplification < ☞1x", "a number such as 2 or 1.5"),
        ("mock pay lag.p99 < ☞5", "5 has no unit"),
        ("mock pay recovery < 5s", "the mock pay names no stage here that is followed"),
        ("mock pay calls > 1 ☞over 1s", "figures of mock are of whole stages"),
    ],
)
def test_a_mistake_in_a_threshold_on_a_mock_is_told(
    threshold: str, message: str, tmp_path: Path
) -> None:
    source = f"{HEAD}      - {{on: GET /}}\nthresholds: ['{threshold}']\n"
    assert_told(tmp_path, source, message)


@pytest.mark.parametrize(
    "following",
    ["duration: 2s, endpoints: {vus: 1}", "duration: 9s, writes: {workers: 1}"],
)
def test_a_stage_that_cannot_show_that_the_service_recovered_is_none(
    following: str, tmp_path: Path
) -> None:
    head = HEAD.replace(
        "{name: peak, duration: 3s, endpoints: {vus: 1}}", f"{{name: a, {following}}}"
    )
    assert head != HEAD
    source = (
        f"{head}      - {{on: GET /, fail: {{close: true, in: steady}}}}\n"
        "database: {url: 'postgresql://u@127.0.0.1/test'}\n"
        "writes: [{name: w, operations: {one: {sql: select 1}}, mix: {one: 1}}]\n"
        "thresholds: [☞mock pay recovery < 5s]\n"
    )
    assert_told(tmp_path, source, "of 3 s with load on the endpoints", "and a stage after it")


def test_a_mock_may_name_a_service_that_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(
        HEAD.replace("http://127.0.0.1:8000", "${services.api.url}")
        + '      - {on: POST /, respond: {json: {back: "${services.api.url}/done/${run.id}"}}}\n'
        '  api: {command: api, env: {PAY: "${services.pay.url}"}}\n'
    )
    loaded = load(path, environ={})
    _, scenario = loaded.resolve(
        {
            "services.api.url": "http://127.0.0.1:1",
            "services.pay.url": "http://127.0.0.1:2",
            "run.id": "r1",
        }
    )
    (answer,) = scenario.mocks[0].routes[0].answers
    assert isinstance(answer.body, Json)
    assert compile_json(answer.body, 1, "")(0, {}) == b'{"back":"http://127.0.0.1:1/done/r1"}'
