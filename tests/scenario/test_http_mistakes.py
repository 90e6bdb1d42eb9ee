"""Mistakes in what a scenario says of requests, feeders, logins and loads, each where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from marked import assert_told

HEAD = "version: 1\nname: shop\nbase_url: http://127.0.0.1:8000\n"
STAGES = "stages:\n  - {name: peak, duration: 1s, endpoints: {vus: 1}}\n"
LOGIN = "login: {request: POST /session, capture: {token: $.token}}\n"
FEEDERS = "feeders: {people: {csv: people.csv}, orders: {json_lines: orders.jsonl}}\n"
TABLE = "seeding: [{table: products, rows: 5, columns: {sku: {hex: 8B}}}]\n"
WRITES = (
    "writes: [{name: stock, table: products, rows: 5, mix: {update: 1}, update: [stock],"
    " columns: {sku: {hex: 8B}, stock: {integer: [0, 9]}}}]\n"
)
DATABASE = "database: postgresql://a@127.0.0.1/a\n"


class Told(NamedTuple):
    """A scenario's parts with `☞` where the mistake is, and what is said of it."""

    source: str
    message: str
    hint: str = ""
    more: int = 0


def request(rest: str) -> str:
    """The parts of a scenario with an endpoint of one request."""
    return f"endpoints:\n  - {{name: e, request: POST /a, {rest}}}\n"


def steps(*rest: str) -> str:
    """The parts of a scenario with an endpoint of several steps."""
    return "endpoints:\n  - name: e\n    steps:\n" + "".join(f"      - {{{one}}}\n" for one in rest)


def load(source: str) -> str:
    """The parts of a scenario whose last stage has this load."""
    return (
        steps("request: GET /")
        + STAGES
        + f"  - {{name: last, duration: 1s, endpoints: {source}}}\n"
    )


REQUESTS = {
    "two bodies": Told(
        request("json: {}, ☞form: {a: b}"),
        "'form' cannot stand beside 'json'",
        "leave one of them out",
    ),
    "three bodies": Told(
        request('body: a, json: {}, ☞body_file: "cart.json"'),
        "'body_file' cannot stand beside 'json'",
        more=1,
    ),
    "body file that is missing": Told(
        request("body_file: ☞crat.json"),
        "cannot be read: No such file or directory",
        "crat.json",
    ),
    "body file that is a folder": Told(request("body_file: ☞."), "cannot be read: it is no file"),
    "body file with a wrong expression": Told(
        request("body_file: ☞bad.json"),
        "bad.json:2: unknown name 'intger'",
        "did you mean 'integer'?",
    ),
    "body file with an unknown variable": Told(
        request("body_file: ☞cart.json"), "cart.json:1: 'cart' is neither captured by an earlier"
    ),
    "body file with an unknown service": Told(
        request("body_file: ☞service.json"), "service.json:1: no 'services.api.url' to refer to"
    ),
    "part of a missing file": Told(
        request("multipart: {a: {file: ☞b.png}}"), "cannot be read: No such file or directory"
    ),
    "part without a file": Told(
        request("multipart: {a: ☞{type: image/png}}"), "'file' is missing in {file: picture.png}"
    ),
    "part of a wrong type": Told(
        request("multipart: {a: {file: cart.json, type: ☞png}}"),
        "expected a content type such as image/png, not 'png'",
    ),
    "multipart of nothing": Told(request("multipart: ☞{}"), "and at least one"),
    "mapping in a query": Told(
        request("query: {a: ☞{b: c}}"),
        "expected a text, a number, true or false, or a list of them, not a mapping",
    ),
    "wrong expression in a query": Told(
        request('query: {a: [b, "x${☞uudi}"]}'), "'uudi' is neither captured", "did you mean 'uuid'"
    ),
    "number for a body": Told(request("body: ☞5"), "expected a text, not 5", 'quote it: "5"'),
    "timeout without a unit": Told(request("timeout: ☞5"), "5 has no unit: write 5s or 5ms"),
    "timeout of nothing": Told(request("timeout: ☞0s"), "expected a duration above 0"),
    "too many redirects": Told(
        request("redirects: ☞21"), "expected a whole number from 0 to 20, not 21"
    ),
    "two kinds of auth": Told(
        request("auth: {☞bearer: a, basic: {user: a, password: b}}"),
        "'bearer' cannot stand beside 'basic'",
    ),
    "misspelt auth": Told(
        request("auth: ☞{beare: a}"),
        "expected one of the keys basic, bearer or api_key",
        "did you mean 'bearer'?",
    ),
    "auth in a word": Told(request("auth: ☞nnone"), "{api_key: …} or none, not 'nnone'"),
    "basic auth without a password": Told(
        request("auth: {basic: ☞{user: a}}"), "'password' is missing in {user: …, password: …}"
    ),
    "basic auth of a name with a colon": Told(
        request("auth: {basic: {user: ☞'a:b', password: c}}"), "no user's name with a colon"
    ),
    "auth beside its header": Told(
        request("auth: {bearer: a}, headers: {authorization: ☞b}"),
        "auth gives the header authorization already",
    ),
    "API key of two places": Told(
        request("auth: {api_key: {header: a, ☞query: b, value: c}}"),
        "'query' cannot stand beside 'header'",
    ),
    "length of the body": Told(
        request("json: {}, headers: {content-length: ☞'2'}"),
        "the header content-length follows from the body",
        "leave it out",
    ),
    "framing of the body": Told(
        request("json: {}, headers: {Transfer-Encoding: ☞chunked}"),
        "the header Transfer-Encoding follows from the body",
    ),
    "type of parts without their boundary": Told(
        request("multipart: {a: b}, headers: {Content-type: ☞multipart/form-data}"),
        "the header Content-type follows from multipart",
        "leave it out",
    ),
    "line's end in a token": Told(
        request('auth: {bearer: ☞"a\\nb"}'), "'\\n' cannot stand in a header"
    ),
}

ANSWERS = {
    "capture of a word": Told(
        request("capture: {a: ☞stauts}"), "expected a path such as $.items[0].id, or status"
    ),
    "capture of an unknown kind": Told(
        request("capture: {a: ☞{heder: ETag}}"),
        "expected one of the keys json, header, cookie or regex",
        "did you mean 'header'?",
    ),
    "regex that is none": Told(
        request("capture: {a: {regex: 'a☞(b'}}"),
        "'a(b' is no regular expression: missing ), unterminated",
    ),
    "path that is none": Told(
        request('capture: {a: {json: "$.a☞[?("}}'), "is no step of a JSON path"
    ),
    "unknown check": Told(
        request("expect: {body: {☞contain: ok}}"),
        "unknown key 'contain'",
        "did you mean 'contains'",
    ),
    "check of nothing": Told(request("expect: {body: ☞{}}"), "and at least one"),
    "mapping for a value": Told(
        request("expect: {json: {$.a: {☞b: c}}}"),
        "unknown key 'b'",
        "the keys here are equals, not",
    ),
    "check at a wrong path": Told(
        request('expect: {json: {☞"$.a b c": 1}}'), "'b c' is no step of a JSON path"
    ),
    "check at no path": Told(
        request("expect: {json: {☞a: 1}}"), "expected a path such as $.items[0].id, not 'a'"
    ),
    "pattern that is none": Told(
        request("expect: {headers: {ETag: {matches: '☞*'}}}"), "'*' is no regular expression"
    ),
    "length of a text": Told(
        request("expect: {json: {$.a: {length: ☞three}}}"), "expected a whole number from 0"
    ),
    "bound in words": Told(
        request("expect: {json: {$.a: {at_least: ☞many}}}"), "expected a number, or an expression"
    ),
    "unknown variable in a check": Told(
        request('expect: {json: {$.a: {equals: "${☞cart}"}}}'), "'cart' is neither captured by"
    ),
    "size without a unit": Told(
        request("expect: {size: {at_most: ☞10}}"), "10 has no unit: write 10B or 10KB"
    ),
    "size by a check of texts": Told(
        request("expect: {size: {☞matches: 10B}}"),
        "unknown key 'matches'",
        "at_most",
    ),
    "plain size without a unit": Told(
        request("expect: {size: ☞10}"), "10 has no unit: write 10B or 10KB"
    ),
}

STEPS = {
    "repeat of nothing": Told(
        steps("request: GET /, repeat: ☞0"), "expected a whole number from 1 to 1,000, not 0"
    ),
    "condition that is none": Told(
        steps("request: GET /, capture: {a: $}", 'request: GET /, when: "${a} ☞= b"'),
        "expected one of ==, !=",
    ),
    "condition on an unknown variable": Told(
        steps("request: GET /, capture: {status: $}", 'request: GET /, when: "${☞staus} == a"'),
        "'staus' is neither captured by an earlier step",
        "did you mean 'status'?",
    ),
    "condition on its own capture": Told(
        steps('request: GET /, when: "${☞a} == b", capture: {a: $}'), "'a' is neither captured"
    ),
    "capture that may be missing": Told(
        steps(
            "request: GET /, capture: {a: $}",
            'request: GET /, when: "${a} == b", capture: {c: $}',
            'request: "GET /${☞c}"',
        ),
        "'c' is captured only where the `when` of a step holds",
        "under the same `when`",
    ),
    "group without steps": Told(
        steps("repeat: 3"), "expected one of the keys request, think or steps"
    ),
    "group of pauses": Told(
        "endpoints:\n  - name: e\n    steps: ☞[{steps: [{think: 1s}], repeat: 2}]\n",
        "an endpoint without a request",
    ),
    "second name within a group": Told(
        steps("name: a, request: GET /", "steps: [{name: ☞a, request: GET /}]"),
        "a second step named 'a'",
    ),
    "mistake within a group": Told(
        steps("steps: [{steps: [{request: ☞GTE /}]}]"), "no method 'GTE'", "did you mean 'GET'?"
    ),
    "unknown key within a group": Told(
        steps("steps: [{request: GET /, ☞jsn: 1}]"), "unknown key 'jsn'", "did you mean 'json'?"
    ),
}

ROWS = {
    "unknown column of a CSV file": Told(
        FEEDERS + steps('request: "GET /${people.☞emial}"'),
        "people has no column 'emial'",
        "did you mean 'email'?",
    ),
    "unknown name of a JSON object": Told(
        FEEDERS + steps('request: "GET /${orders.☞zzz}"'),
        "orders has no column 'zzz'",
        "the columns of orders are id, total",
    ),
    "unknown column of a table": Told(
        DATABASE + TABLE + steps('request: "GET /${products.☞suk}"'),
        "products has no column 'suk'",
        "did you mean 'sku'?",
    ),
    "unknown rows": Told(
        FEEDERS + steps('request: "GET /${☞peopel.email}"'),
        "no feeder, and no table with rows, 'peopel'",
        "did you mean 'people'?",
    ),
    "table without rows": Told(
        DATABASE + TABLE.replace("rows: 5", "rows: 0") + steps('request: "GET /${☞products.sku}"'),
        "no feeder, and no table with rows, 'products'",
    ),
    "missing CSV file": Told(
        "feeders: {a: {csv: ☞b.csv}}\n" + steps("request: GET /"),
        "cannot be read: No such file or directory",
    ),
    "CSV file without a header": Told(
        "feeders: {a: {csv: ☞empty.csv}}\n" + steps("request: GET /"),
        "empty.csv:1: the header is missing",
    ),
    "JSON lines that are none": Told(
        "feeders: {a: {json_lines: ☞people.csv}}\n" + steps("request: GET /"),
        "people.csv:1: not JSON",
    ),
    "two sources of a feeder": Told(
        "feeders: {a: {csv: people.csv, ☞sql: select 1}}\n" + steps("request: GET /"),
        "'sql' cannot stand beside 'csv'",
    ),
    "unknown order": Told(
        "feeders: {a: {csv: people.csv, order: ☞uniqe}}\n" + steps("request: GET /"),
        "expected sequential, random or unique, not 'uniqe'",
        "did you mean 'unique'?",
    ),
    "SQL feeder without a database": Told(
        "feeders: {a: {☞sql: select 1}}\n" + steps("request: GET /"), "this needs a database"
    ),
    "feeder of a table's name": Told(
        DATABASE + TABLE + "feeders: {☞products: {csv: people.csv}}\n" + steps("request: GET /"),
        "the table products gives rows of that name already",
    ),
    "time of writing of a row": Told(
        DATABASE
        + TABLE.replace("{hex: 8B}", "{hex: 8B}, at: {timestamp: now}")
        + steps('request: "GET /${☞products.at}"'),
        "products.at is the time of writing, which only the database knows",
        "such as {sql: select at from products}",
    ),
    "column that updates change": Told(
        DATABASE + WRITES + steps('request: "GET /${products.sku}/${☞products.stock}"'),
        "products.stock is changed by the updates of stock",
        "such as {sql: select stock from products}",
    ),
    "rows of a reserved name": Told(
        DATABASE + TABLE.replace("products", "login") + steps('request: "GET /${☞login.sku}"'),
        "no login to take this from",
    ),
    "reserved rows beside a login": Told(
        DATABASE
        + TABLE.replace("products", "login")
        + LOGIN
        + steps('request: "GET /${login.☞sku}"'),
        "login captures no 'sku'",
    ),
    "rows named like the services": Told(
        DATABASE
        + TABLE.replace("products", "services")
        + steps('request: "GET /${☞services.sku}"'),
        "no 'services.sku' to refer to",
    ),
    "rows named like the run": Told(
        DATABASE + TABLE.replace("products", "run") + steps('request: "GET /${☞run.sku}"'),
        "no 'run.sku' to refer to",
    ),
    "rows named like Faker": Told(
        DATABASE + TABLE.replace("products", "faker") + steps('request: "GET /${☞faker.sku}"'),
        "unknown faker provider 'sku'",
    ),
    "feeder of a reserved name": Told(
        "feeders: {☞login: {csv: people.csv}}\n" + steps("request: GET /"),
        "'login' cannot name a feeder",
    ),
}

LOGINS = {
    "unknown variable of the login": Told(
        LOGIN + steps('request: "GET /${login.☞tokn}"'),
        "login captures no 'tokn'",
        "did you mean 'token'?",
    ),
    "variable of the login without its prefix": Told(
        LOGIN + steps('request: "GET /${☞token}"'), "'token' is neither", "write ${login.token}"
    ),
    "no login": Told(steps('request: "GET /${☞login.token}"'), "no login to take this from"),
    "login within itself": Told(
        'login: {request: "POST /${☞login.token}", capture: {token: $}}\n'
        + steps("request: GET /"),
        "no login to take this from",
    ),
    "login for nobody": Told(
        "login: {request: POST /, per: ☞user}\n" + steps("request: GET /"),
        "expected run or vu, not 'user'",
    ),
    "login of two kinds": Told(
        "login: {request: POST /, ☞steps: [{request: POST /}]}\n" + steps("request: GET /"),
        "'steps' cannot stand beside 'request'",
    ),
    "login of pauses": Told(
        "login: {steps: ☞[{think: 1s}]}\n" + steps("request: GET /"), "a login without a request"
    ),
    "undo within a login": Told(
        "login: {steps: [{request: POST /, capture: {a: $.b}, ☞undo: 'DELETE /${a}'}]}\n"
        + steps("request: GET /"),
        "what a login makes is not undone",
        "or remove it in teardown",
    ),
    "refresh at once": Told(
        "login: {request: POST /, refresh: ☞0s}\n" + steps("request: GET /"),
        "expected a duration above 0",
    ),
}

HTTP = {
    "unknown setting": Told(
        "http: {☞timout: 1s}\n", "unknown key 'timout'", "did you mean 'timeout'?"
    ),
    "unknown protocol": Told("http: {protocol: ☞http3}\n", "expected http1 or http2, not 'http3'"),
    "unknown reuse": Told("http: {reuse: ☞none_}\n", "expected vu, iteration or none"),
    "resolve without a unit": Told("http: {resolve: ☞30}\n", "30 has no unit: write 30s or 30ms"),
    "resolve in a word": Told(
        "http: {resolve: ☞onec}\n", "expected a duration such as 30s, once or connection"
    ),
    "trace of more than all": Told("http: {trace: {sampled: ☞101%}}\n", "a share is at most 100%"),
    "trace in a word": Told("http: {trace: ☞yes}\n", "not 'yes'", "write true"),
    "missing CA": Told("http: {tls: {ca: ☞ca.pem}}\n", "cannot be read: No such file or directory"),
    "CA that is a folder": Told("http: {tls: {ca: ☞.}}\n", "cannot be read: it is no file"),
    "key without a certificate": Told(
        "http: {tls: {☞key: cart.json}}\n", "a key without a certificate"
    ),
    "captured variable in all requests": Told(
        'http: {headers: {X-A: "${☞cart}"}}\n', "'cart' is neither captured"
    ),
    "token of an unknown login": Told(
        'http: {auth: {bearer: "${☞login.token}"}}\n', "no login to take this from"
    ),
    "auth and its header for all": Told(
        "http: {auth: {bearer: a}, headers: {Authorization: ☞b}}\n", "auth gives the header"
    ),
}

LOADS = {
    "iterations without users": Told(
        load("☞{iterations: 10}"),
        "'vus' is missing in {iterations: 1000, vus: 10}",
        "such as vus: 10",
    ),
    "iterations beside a rate": Told(
        load("{rate: 5/s, ☞iterations: 10}"), "'iterations' cannot stand beside 'rate'"
    ),
    "two kinds of iterations": Told(
        load("{iterations: 5, vus: 2, ☞iterations_per_vu: 10}"),
        "'iterations_per_vu' cannot stand beside 'iterations'",
    ),
    "misspelt iterations": Told(
        load("{vus: 2, ☞iteratoins: 10}"), "unknown key 'iteratoins'", "the keys here are vus"
    ),
    "ramp of users beside iterations": Told(
        load("{iterations: 5, vus: ☞{from: 1, to: 2}}"), "expected a whole number from 1 to 100,000"
    ),
    "catch_up of users": Told(load("{vus: 2, ☞catch_up: false}"), "unknown key 'catch_up'"),
    "unknown spacing": Told(
        load("{rate: 5/s, spacing: ☞poison}"),
        "expected uniform or poisson, not 'poison'",
        "did you mean 'poisson'?",
    ),
}

EVERY = REQUESTS | ANSWERS | STEPS | ROWS | LOGINS | HTTP | LOADS


def written(folder: Path) -> None:
    """The files that the scenarios name."""
    (folder / "cart.json").write_text('{"id": "${cart}"}')
    (folder / "bad.json").write_text('{\n  "n": ${intger(1, 2)}\n}')
    (folder / "service.json").write_text("${services.api.url}")
    (folder / "people.csv").write_text("email,name\na@example.org,Alice\n")
    (folder / "orders.jsonl").write_text('{"id": 1, "total": 5}\n')
    (folder / "empty.csv").write_text("")


@pytest.mark.parametrize("case", EVERY.values(), ids=EVERY)
def test_a_mistake_is_told_where_it_stands(case: Told, tmp_path: Path) -> None:
    written(tmp_path)
    source = case.source if "endpoints:" in case.source else case.source + steps("request: GET /")
    content = HEAD + source + ("" if "stages:" in source else STAGES)
    assert_told(tmp_path, content, case.message, case.hint, case.more)
