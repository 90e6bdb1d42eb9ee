"""What virtual users send and make of the answers: cookies, redirections, reading, logins, rows."""

from __future__ import annotations

import gzip
import json
import ssl
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import brotli
import pytest
import trio
import trustme
from served import against, errors, ok, only, times

from http_server import Exchange, Server, response, serve
from lanes import endpoint, request
from stressrun.data.checks import parse_check
from stressrun.data.conditions import parse_condition
from stressrun.data.expressions import parse
from stressrun.data.jsonpath import parse_path
from stressrun.errors import SetupError
from stressrun.metrics.recorder import Recorder
from stressrun.scenario.model import (
    Arrivals,
    BearerAuth,
    Capture,
    CsvFile,
    Expect,
    Feeder,
    FromCookie,
    FromHeader,
    FromRegex,
    FromStatus,
    Group,
    Http,
    Login,
    Query,
    Ramp,
    Think,
    Tls,
)

try:
    from compression import zstd
except ImportError:
    from backports import zstd


def paths(server: Server) -> list[str]:
    return [exchange.path for exchange in server.exchanges]


def header(server: Server, name: str) -> list[str | None]:
    return [exchange.headers.get(name) for exchange in server.exchanges]


# Cookies.


@pytest.mark.parametrize(
    ("cookies", "sent"),
    [
        ("vu", [None, "n=1", "n=2", "n=3"]),
        ("iteration", [None, "n=1", None, "n=3"]),
        ("none", [None, None, None, None]),
    ],
)
async def test_cookies_last_as_long_as_the_scenario_says(
    cookies: str, sent: list[str | None]
) -> None:
    numbers = Counter[str]()

    async def answer(exchange: Exchange) -> bytes:
        numbers["n"] += 1
        return response(200, {}, f"Set-Cookie: n={numbers['n']}; Path=/\r\n")

    steps = endpoint(request(path="/1"), request(path="/2"))
    _, server = await against(answer, steps, load=times(2), duration=20, http=Http(cookies=cookies))
    assert header(server, "cookie") == sent


async def test_virtual_users_share_no_cookie() -> None:
    both = trio.Event()
    seen: list[str | None] = []

    async def answer(exchange: Exchange) -> bytes:
        seen.append(exchange.headers.get("cookie"))
        if len(seen) == 2:
            both.set()
        await both.wait()
        return response(200, {}, f"Set-Cookie: user={id(exchange.stream)}\r\n")

    steps = endpoint(request(path="/1"), request(path="/2"))
    _, server = await against(answer, steps, load=times(2, vus=2), duration=20)
    assert header(server, "cookie") == [
        None if exchange.path == "/1" else f"user={id(exchange.stream)}"
        for exchange in server.exchanges
    ]


# Redirections.


async def redirecting(
    statuses: str, location: str, method: str = "GET", **how: Any
) -> tuple[Recorder, Server]:
    """Requests to /from, which is answered by a redirection; all others are answered by 200."""

    async def answer(exchange: Exchange) -> bytes:
        if exchange.path.startswith("/from"):
            place = location.replace("HERE", f"127.0.0.1:{exchange.headers['host'].split(':')[1]}")
            return response(int(statuses), None, f"Location: {place}\r\n")
        return response(200, None if exchange.method == "HEAD" else {"id": 7})

    body = {"json_body": {"a": 1}} if method in ("POST", "PUT") else {}
    asking = request(method, "/from", **{"redirects": 5, **body, **how})
    return await against(answer, endpoint(asking), load=times(2), duration=20)


async def test_a_redirection_is_an_answer_like_any_other_unless_it_is_to_be_followed() -> None:
    recorder, server = await redirecting("302", "/to", redirects=0)
    row = only(recorder)
    assert (row.succeeded, row.redirected, paths(server)) == (2, 0, ["/from", "/from"])


@pytest.mark.parametrize("location", ["/to?a=1", "to?a=1", "http://HERE/to?a=1", "//HERE/to?a=1#x"])
async def test_a_redirection_is_followed_and_counted_with_its_request(location: str) -> None:
    recorder, server = await redirecting("302", location, captures={"id": "$.id"})
    row = only(recorder)
    assert (row.planned, row.succeeded, row.redirected) == (2, 2, 2)
    assert paths(server) == 2 * ["/from", "/to?a=1"]
    assert server.connections == 1
    assert row.bytes_received == sum(
        len(response(302, None, f"Location: {location}\r\n".replace("HERE", f"127.0.0.1:{p}")))
        + len(response(200, {"id": 7}))
        for p in 2 * [server.port]
    )


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        ("301", "POST", "GET"),
        ("302", "POST", "GET"),
        ("303", "POST", "GET"),
        ("303", "PUT", "GET"),
        ("303", "HEAD", "HEAD"),
        ("302", "PUT", "PUT"),
        ("307", "POST", "POST"),
        ("308", "POST", "POST"),
        ("308", "DELETE", "DELETE"),
    ],
)
async def test_the_status_says_with_what_method_to_go_on(
    status: str, method: str, then: str
) -> None:
    recorder, server = await redirecting(status, "/to", method)
    assert only(recorder).succeeded == 2
    first, second = server.exchanges[:2]
    assert (first.method, second.method) == (method, then)
    assert second.body == (first.body if method == then else b"")
    assert ("content-type" in second.headers) == bool(second.body)


async def test_a_loop_fails_after_so_many_redirections() -> None:
    recorder, server = await redirecting("302", "/from?again", redirects=3)
    row = only(recorder)
    assert (row.failed, row.redirected, len(server.exchanges)) == (2, 6, 8)
    assert errors(recorder) == {"too many redirects": 2}


@pytest.mark.parametrize("location", ["http://10.255.255.1/", "//203.0.113.9:81/x"])
async def test_a_redirection_to_a_host_that_is_not_allowed_is_refused(location: str) -> None:
    recorder, server = await redirecting("302", location)
    assert errors(recorder) == {"refused by the guard": 2}
    (sample, _) = only(recorder).samples["refused by the guard"]
    assert "allow_hosts" in sample.detail
    assert paths(server) == ["/from", "/from"]


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/", "http://[::1", "http://127.0.0.1:x/"])
async def test_a_redirection_to_nowhere_is_itself_the_answer(location: str) -> None:
    recorder, _ = await redirecting("302", location)
    assert (only(recorder).succeeded, only(recorder).redirected) == (2, 0)


async def to_and_fro(first_tls: Any, second_tls: Any, **how: Any) -> tuple[Server, Server]:
    """Requests to /from of one origin, led to /to of another, and from there back to /end."""
    servers: dict[str, str] = {}

    async def answer(exchange: Exchange) -> bytes:
        match exchange.path:
            case "/from":
                return response(302, None, f"Location: {servers['second']}/to\r\n{COOKIE}")
            case "/to":
                return response(302, None, f"Location: {servers['first']}/end\r\n")
        return response(200, {})

    async with trio.open_nursery() as nursery:
        second = await nursery.start(partial(serve, answer, tls=second_tls))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        servers["first"] = f"http{'s' if first_tls else ''}://127.0.0.1:{port}"
        servers["second"] = f"http{'s' if second_tls else ''}://127.0.0.1:{second.port}"
        recorder, first = await against(
            answer,
            endpoint(
                request(
                    path="/from",
                    redirects=2,
                    auth=BearerAuth(parse("secret")),
                    headers={"X-Own": "mine"},
                )
            ),
            load=times(1),
            duration=20,
            tls=first_tls,
            listeners=listeners,
            **how,
        )
        nursery.cancel_scope.cancel()
    assert (only(recorder).succeeded, only(recorder).redirected) == (1, 2)
    return first, second


COOKIE = "Set-Cookie: session=abc; Path=/\r\n"


async def test_what_proves_who_asks_goes_to_no_other_origin() -> None:
    first, second = await to_and_fro(None, None)
    assert (paths(first), paths(second)) == (["/from", "/end"], ["/to"])
    assert header(first, "authorization")[0] == "Bearer secret"
    assert header(second, "authorization") == header(second, "x-own") == [None]
    assert header(second, "host") == [f"127.0.0.1:{second.port}"]


@pytest.mark.parametrize("secure", [(True, False), (False, True), (True, True)])
async def test_redirections_lead_to_https_and_back(
    secure: tuple[bool, bool], tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    first, second = await to_and_fro(
        *(context if each else None for each in secure),
        http=Http(tls=Tls(ca=str(tmp_path / "ca.pem"))),
    )
    assert (paths(first), paths(second)) == (["/from", "/end"], ["/to"])


# Reading.


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("br", brotli.compress),
        ("zstd", zstd.compress),
        ("gzip, br", lambda content: brotli.compress(gzip.compress(content))),
    ],
)
async def test_bodies_are_decoded_when_they_are_read(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        content = encode(json.dumps({"id": "x-9"}).encode())
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n"
        return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content

    steps = endpoint(request(captures={"id": "$.id"}), request(path="/${id}"))
    recorder, server = await against(answer, steps, load=times(1), duration=20)
    assert recorder.rows["endpoint", "e"].succeeded == 1
    assert paths(server) == ["/", "/x-9"]
    assert coding.split(", ")[0] in str(header(server, "accept-encoding")[0])


async def test_captures_come_from_every_part_of_an_answer() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(
            201, {"text": "order no. 17"}, "X-Request: r-1\r\nSet-Cookie: session=abc\r\n"
        )

    captures = (
        Capture("header", FromHeader("x-request")),
        Capture("status", FromStatus()),
        Capture("cookie", FromCookie("session")),
        Capture("group", FromRegex(r"no\. (\d+)")),
        Capture("whole", FromRegex(r"o.der")),
    )
    use = request(path="/${header}/${status}/${cookie}/${group}/${whole}")
    first = replace(request(), captures=captures)
    recorder, server = await against(answer, endpoint(first, use), load=times(1), duration=20)
    assert recorder.rows["endpoint", "e"].succeeded == 1
    assert paths(server)[1] == "/r-1/201/abc/17/order"


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (FromHeader("x-none"), "capture: no x"),
        (FromCookie("none"), "capture: no x"),
        (FromRegex("nowhere"), "capture: no x"),
        (FromRegex("(nowhere)|id"), "capture: no x"),
    ],
)
async def test_a_capture_without_a_match_fails_its_step(source: Any, error: str) -> None:
    capturing = replace(request(), captures=(Capture("x", source),))
    recorder, _ = await against(ok, endpoint(capturing), load=times(2), duration=20)
    assert errors(recorder) == {error: 2}


@pytest.mark.parametrize("levels", [99, 200, 940, 950, 960, 970, 980, 990, 100_000])
async def test_a_value_nested_beyond_pythons_stack_fails_its_step_and_nothing_else(
    levels: int,
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        content = b"[" * levels + b"]" * levels
        return b"HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)

    captures = endpoint(
        request(captures={"x": "$"}), group(request("POST", json_body="${x}"), when="${x} == 1")
    )
    expects = endpoint(request(expect=expecting(json={"$": ("equals", 1)})), name="expects")
    recorder, _ = await against(answer, captures, expects, load=times(10), duration=20)
    row, other = recorder.rows["endpoint", "e"], recorder.rows["endpoint", "expects"]
    assert row.succeeded == (row.planned if levels == 99 else 0)
    assert (other.failed, row.planned + other.planned) == (other.planned, 10)


def expecting(**checks: Any) -> Expect:
    """Expectations by header or JSON path, of the body and of its size."""
    return Expect(
        headers=tuple((name, parse_check(*how)) for name, how in checks.get("headers", {}).items()),
        json=tuple(
            (parse_path(at), parse_check(*how)) for at, how in checks.get("json", {}).items()
        ),
        body=tuple(parse_check(*how) for how in checks.get("body", ())),
        size=tuple(parse_check(*how) for how in checks.get("size", ())),
    )


@pytest.mark.parametrize(
    ("expect", "error", "detail"),
    [
        (expecting(headers={"x-kind": ("equals", "a")}), None, ""),
        (expecting(headers={"X-Kind": ("matches", "^[ab]$")}), None, ""),
        (expecting(headers={"x-none": ("exists", False)}), None, ""),
        (
            expecting(headers={"x-kind": ("equals", "b")}),
            "expect: header x-kind",
            "expected equals 'b': it is \"a\"",
        ),
        (
            expecting(headers={"x-none": ("exists", True)}),
            "expect: header x-none",
            "expected exists: it is missing",
        ),
        (expecting(json={"$.id": ("equals", 7), "$.tags": ("contains", "y")}), None, ""),
        (expecting(json={"$.tags": ("length", 2), "$.id": ("at_least", 7)}), None, ""),
        (expecting(json={"$.id": ("at_most", 6)}), "expect: $.id", "expected at most 6: it is 7"),
        (
            expecting(json={"$.no": ("equals", 1)}),
            "expect: $.no",
            "expected equals 1: it is missing",
        ),
        (expecting(json={"$.id": ("not", 7)}), "expect: $.id", "expected not 7: it is 7"),
        (expecting(body=[("contains", '"id"'), ("matches", "tags")]), None, ""),
        (
            expecting(body=[("contains", "nothing")]),
            "expect: body",
            "expected contains 'nothing': it is ",
        ),
        (expecting(size=[("at_least", 10), ("at_most", 100)]), None, ""),
        (expecting(size=[("at_most", 10)]), "expect: size", "expected at most 10: it is 29"),
    ],
)
async def test_every_kind_of_expectation_says_what_it_found(
    expect: Expect, error: str | None, detail: str
) -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(200, {"id": 7, "tags": ["x", "y"]}, "X-Kind: a\r\n")

    recorder, _ = await against(answer, endpoint(request(expect=expect)), load=times(2))
    row = only(recorder)
    assert dict(row.errors) == ({} if error is None else {error: 2})
    if error is not None:
        sample = row.samples[error][0]
        assert sample.detail.startswith(detail), sample.detail
        assert sample.request.startswith("GET /")
        assert sample.answer.startswith("200")
        assert '"tags"' in sample.answer


async def test_the_samples_of_a_failed_request_hide_its_secrets() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(500, {"error": "boom"}, "Set-Cookie: session=hidden\r\n")

    secret = request(auth=BearerAuth(parse("hidden")), path="/?api_key=hidden")
    recorder, server = await against(answer, endpoint(secret), load=times(5), duration=20)
    samples = only(recorder).samples["status 500"]
    assert header(server, "authorization")[0] == "Bearer hidden"
    assert len(samples) == 3
    assert "hidden" not in str(samples)
    assert "boom" in samples[0].answer


# Groups.


def group(*steps: Any, repeat: int = 1, when: str | None = None) -> Group:
    return Group(steps, repeat, None if when is None else parse_condition(when))


async def test_a_group_is_repeated_with_data_of_its_own() -> None:
    steps = endpoint(
        request(path="/first", captures={"id": "$.id"}),
        group(request(path="/${integer(1, 1000000)}"), repeat=20),
        request(path="/last"),
    )
    recorder, server = await against(ok, steps, load=times(2), duration=20)
    rows = {name: row.planned for (kind, name), row in recorder.rows.items() if kind == "step"}
    assert list(rows.values()) == [2, 40, 2]
    assert len(set(paths(server))) > 35


async def test_a_group_in_a_group_has_other_data_each_time() -> None:
    inner = group(request(path="/${integer(1, 1000000)}"), repeat=4)
    steps = endpoint(group(group(inner), request(path="/"), repeat=5))
    _, server = await against(ok, steps, load=times(1), duration=20)
    assert len(set(paths(server)) - {"/"}) > 17


@pytest.mark.parametrize(
    ("when", "done"),
    [("${id} == 7", True), ("${id} > 7", False), ("${never}", False), ("${id}", True)],
)
async def test_a_group_is_done_when_its_condition_holds(when: str, done: bool) -> None:
    steps = endpoint(
        request(path="/first", captures={"id": "$.id"}), group(request(path="/then"), when=when)
    )
    recorder, server = await against(ok, steps, load=times(1), duration=20)
    assert paths(server) == ["/first"] + ["/then"] * done
    assert recorder.rows["endpoint", "e"].succeeded == 1


async def test_a_request_without_a_value_it_needs_fails_and_has_no_times() -> None:
    step = request(path="/${never}")
    for steps in (endpoint(step), endpoint(step, request())):
        recorder, _ = await against(ok, steps, load=times(2), duration=20)
        row = recorder.rows["endpoint", "e"]
        assert dict(row.errors) == {"no value for never": 2}
        assert row.response.count == row.service.count == 0


async def test_a_failed_step_in_a_group_ends_the_iteration() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(500 if exchange.path == "/bad" else 200, {})

    steps = endpoint(
        group(request(path="/good"), request(path="/bad"), repeat=3), request(path="/never")
    )
    recorder, server = await against(answer, steps, load=times(2), duration=20)
    assert dict(recorder.rows["endpoint", "e"].errors) == {"status 500": 2}
    assert paths(server) == ["/good", "/bad", "/good", "/bad"]


# Logins.


def login(*, per_vu: bool = False, refresh: float | None = None) -> Login:
    steps = (request("POST", "/login", captures={"token": "$.token"}),)
    return Login(steps, per_vu, refresh)


USES_LOGIN = request(path="/data", auth=BearerAuth(parse("${login.token}")))


class Tokens:
    """A server that hands out numbered tokens and refuses those that it has revoked."""

    def __init__(self, *revoked_after_use: str) -> None:
        self.given = 0
        self.revoked_after_use = set(revoked_after_use)
        self.refused: set[str] = set()

    async def answer(self, exchange: Exchange) -> bytes:
        if exchange.path == "/login":
            self.given += 1
            return response(200, {"token": f"t{self.given}"})
        token = exchange.headers["authorization"].removeprefix("Bearer ")
        if token in self.refused:
            return response(401, {})
        if token in self.revoked_after_use:
            self.refused.add(token)
        return response(200, {})


@pytest.mark.parametrize(("per_vu", "logins"), [(False, 1), (True, 4)])
async def test_a_login_is_done_once_for_all_or_once_for_each_virtual_user(
    per_vu: bool, logins: int
) -> None:
    tokens = Tokens()
    gathered, waiting = trio.Event(), Counter[str]()

    async def answer(exchange: Exchange) -> bytes:
        if exchange.path == "/data" and not gathered.is_set():
            waiting["n"] += 1
            if waiting["n"] == 4:
                gathered.set()
            await gathered.wait()
        return await tokens.answer(exchange)

    recorder, server = await against(
        answer, endpoint(USES_LOGIN), load=times(12, vus=4), duration=20, login=login(per_vu=per_vu)
    )
    assert recorder.rows["endpoint", "e"].succeeded == 12
    assert tokens.given == paths(server).count("/login") == logins
    assert len({token for token in header(server, "authorization") if token}) == logins


@pytest.mark.parametrize("per_vu", [False, True])
async def test_a_refused_token_is_renewed_before_the_next_use(per_vu: bool) -> None:
    tokens = Tokens("t1", "t2")
    recorder, _ = await against(
        tokens.answer,
        endpoint(USES_LOGIN),
        load=times(8),
        duration=20,
        login=login(per_vu=per_vu),
    )
    row = recorder.rows["endpoint", "e"]
    # t1: used, refused; t2: used, refused; t3 for the rest.
    assert (dict(row.errors), row.succeeded, tokens.given) == ({"status 401": 2}, 6, 3)


async def test_a_late_refusal_of_an_old_token_does_not_cost_the_new_one() -> None:
    given, held, renewed = Counter[str](), Counter[str](), trio.Event()

    async def answer(exchange: Exchange) -> bytes:
        if exchange.path == "/login":
            given["n"] += 1
            if given["n"] == 2:
                renewed.set()
            return response(200, {"token": f"t{given['n']}"})
        if exchange.headers["authorization"] != "Bearer t1":
            return response(200, {})
        held["n"] += 1
        if held["n"] < 4:
            await renewed.wait()
        return response(401, {})

    recorder, _ = await against(
        answer, endpoint(USES_LOGIN), load=times(20, vus=4), duration=20, login=login()
    )
    assert dict(recorder.rows["endpoint", "e"].errors) == {"status 401": 4}
    assert given["n"] == 2


@pytest.mark.parametrize(("refresh", "logins"), [(0.0, 5), (60, 1), (None, 1)])
async def test_a_login_is_refreshed_when_its_time_is_over(
    refresh: float | None, logins: int
) -> None:
    tokens = Tokens()
    recorder, _ = await against(
        tokens.answer,
        endpoint(USES_LOGIN),
        load=times(5),
        duration=20,
        login=login(per_vu=True, refresh=refresh),
    )
    assert (recorder.rows["endpoint", "e"].succeeded, tokens.given) == (5, logins)


async def test_a_shared_login_that_fails_ends_the_run_before_the_load() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(403, {})

    with pytest.raises(BaseExceptionGroup) as caught:
        await against(answer, endpoint(USES_LOGIN), load=times(5), login=login())
    (error,) = caught.value.exceptions
    assert isinstance(error, SetupError)
    assert "login" in error.message
    assert "status 403" in error.message


async def test_a_login_of_a_virtual_users_own_that_fails_fails_the_iteration() -> None:
    async def answer(exchange: Exchange) -> bytes:
        return response(403, {})

    recorder, server = await against(
        answer, endpoint(USES_LOGIN), load=times(3), duration=20, login=login(per_vu=True)
    )
    row = recorder.rows["endpoint", "e"]
    assert (row.planned, dict(row.errors)) == (3, {"login: status 403": 3})
    assert set(paths(server)) == {"/login"}


async def test_what_a_login_gave_is_in_no_sample() -> None:
    async def answer(exchange: Exchange) -> bytes:
        if exchange.path == "/login":
            return response(200, {"token": "hidden-token"})
        return response(500, {"error": "boom", "you": "hidden-token"})

    shows = request(path="/${login.token}", headers={"X-Me": "${login.token}"})
    recorder, server = await against(
        answer, endpoint(shows), load=times(1), duration=20, login=login(per_vu=True)
    )
    (sample,) = recorder.rows["endpoint", "e"].samples["status 500"]
    assert paths(server) == ["/login", "/hidden-token"]
    assert "hidden" not in str(sample)
    assert "boom" in sample.answer


async def test_an_iteration_that_is_interrupted_in_its_login_is_in_the_endpoints_books() -> None:
    async def answer(exchange: Exchange) -> bytes:
        await trio.sleep_forever()
        return b""

    recorder, _ = await against(
        answer,
        endpoint(USES_LOGIN),
        load=Arrivals(Ramp(20, 20), 50),
        duration=0.5,
        grace=0.1,
        login=login(per_vu=True),
    )
    row = recorder.rows["endpoint", "e"]
    assert (row.planned, row.interrupted) == (10, 10)


async def test_what_an_arrival_waited_before_its_login_is_in_its_response_time() -> None:
    async def answer(exchange: Exchange) -> bytes:
        await trio.sleep(0.2 if exchange.path == "/login" else 0)
        return response(200, {"token": "t"})

    recorder, _ = await against(
        answer,
        endpoint(USES_LOGIN),
        load=Arrivals(Ramp(20, 20), 1),
        duration=0.5,
        login=login(per_vu=True, refresh=0.0),
    )
    row = recorder.rows["endpoint", "e"]
    # Of two logins one after the other, the second began a fifth of a second after the first.
    assert row.succeeded > 1
    assert row.response.maximum > 100_000_000
    assert row.service.maximum < 200_000_000


# Rows.


def feeder(order: str, path: Path) -> Feeder:
    path.write_text("name,email\n" + "".join(f"n{n},e{n}@x.test\n" for n in range(5)))
    return Feeder("people", CsvFile(str(path)), order)


USES_ROWS = request("POST", "/${people.name}", json_body={"email": "${people.email}"})


async def test_sequential_rows_are_used_in_turn(tmp_path: Path) -> None:
    feeders = (feeder("sequential", tmp_path / "people.csv"),)
    recorder, server = await against(
        ok, endpoint(USES_ROWS), load=times(7), duration=20, feeders=feeders
    )
    assert only(recorder).succeeded == 7
    assert paths(server) == [f"/n{n % 5}" for n in range(7)]
    assert json.loads(server.exchanges[6].body) == {"email": "e1@x.test"}


async def test_random_rows_are_rows_of_the_file(tmp_path: Path) -> None:
    feeders = (feeder("random", tmp_path / "people.csv"),)
    _, server = await against(ok, endpoint(USES_ROWS), load=times(30), duration=20, feeders=feeders)
    assert set(paths(server)) <= {f"/n{n}" for n in range(5)}
    assert len(set(paths(server))) > 2


async def test_unique_rows_end_and_what_is_left_fails_by_name(tmp_path: Path) -> None:
    feeders = (feeder("unique", tmp_path / "people.csv"),)
    recorder, server = await against(
        ok, endpoint(USES_ROWS), load=times(7, vus=2), duration=20, feeders=feeders
    )
    assert sorted(paths(server)) == [f"/n{n}" for n in range(5)]
    assert only(recorder).planned == 7
    assert errors(recorder) == {"no row left in people": 2}


async def test_rows_that_were_asked_of_the_database_are_handed_over() -> None:
    feeders = (Feeder("people", Query("select name"), "sequential"),)
    uses = request(path="/${people.name}")
    _, server = await against(
        ok,
        endpoint(uses, Think(0, 0), request(path="/again/${people.name}")),
        load=times(2),
        duration=20,
        feeders=feeders,
        rows={"people": [["a/b"], ["\u00fc"]]},
    )
    assert paths(server) == ["/a%2Fb", "/again/a%2Fb", "/%C3%BC", "/again/%C3%BC"]
