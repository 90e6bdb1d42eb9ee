from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.http.message import Head, body_of, parse_head

ANSWER = (
    b"HTTP/1.1 201 Created at last\r\n"
    b"Content-Type:application/json \r\n"
    b"X-Empty:\r\n"
    b"Set-Cookie: a=1; Path=/\r\n"
    b"set-cookie: b=2\r\n"
    b"Content-Length: 10\r\n"
    b"\r\n"
)
HEAD = Head(
    201,
    "Created at last",
    (
        ("Content-Type", "application/json"),
        ("X-Empty", ""),
        ("Set-Cookie", "a=1; Path=/"),
        ("set-cookie", "b=2"),
        ("Content-Length", "10"),
    ),
)


@pytest.mark.parametrize(
    "rest",
    [b"", b"12345", b"1234567890", b"1234567890HTTP/1.1 200 OK\r\nX: y\r\n\r\n", b"1234567890?!"],
)
def test_a_head_is_read_whatever_follows_it(rest: bytes) -> None:
    assert parse_head(ANSWER + rest) == HEAD


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 200, "OK"),
        (b"HTTP/1.1 200\r\n\r\n", 200, ""),
        (b"HTTP/1.0 404 \r\n\r\n<html>", 404, ""),
        (b"HTTP/1.1 204 None\r\n\r\n", 204, "None"),
        (b"HTTP/1.1 200 Sch\xc3\xb6n\r\n\r\n", 200, "Schön"),
        (b"HTTP/1.1 200 Sch\xf6n\r\n\r\n", 200, "Schön"),
        (b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\0", 101, "Switch"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nz", 200, "OK"),
    ],
)
def test_status_and_reason(raw: bytes, status: int, reason: str) -> None:
    head = parse_head(raw)
    assert (head.status, head.reason) == (status, reason)


def test_interim_answers_before_it_are_left_out() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    assert parse_head(interim + ANSWER) == HEAD
    assert parse_head(interim + b"HTTP/1.1 200\r\n\r\n") == Head(200, "", ())


def test_headers_are_found_in_any_case() -> None:
    assert HEAD.get("CONTENT-TYPE") == "application/json"
    assert HEAD.get("x-empty") == ""
    assert HEAD.get("X-Absent") is None
    assert HEAD.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert HEAD.get_all("X-Absent") == []


def test_several_lines_of_a_header_are_one_list() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: br\r\n\r\n"
    assert parse_head(raw).get("content-encoding") == "gzip, br"


@pytest.mark.parametrize(
    ("raw", "text"), [(b"Zo\xc3\xab", "Zoë"), (b"Zo\xeb", "Zoë"), (b"a\tb", "a\tb")]
)
def test_values_are_utf_8_or_else_latin_1(raw: bytes, text: str) -> None:
    assert parse_head(b"HTTP/1.1 200 OK\r\nX: " + raw + b"\r\n\r\n").get("x") == text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad header\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
    ],
)
def test_what_has_no_whole_head_is_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match="no head of an answer: "):
        parse_head(raw)


@given(st.binary(), st.integers(0, len(ANSWER)))
def test_no_bytes_raise_anything_else(noise: bytes, at: int) -> None:
    with suppress(ValueError):
        parse_head(ANSWER[:at] + noise + ANSWER[at:])


LENGTH = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (LENGTH % 0, b""),
        (LENGTH % 9 + b"a\r\n\r\nb\r\nc", b"a\r\n\r\nb\r\nc"),
        (LENGTH % 900 + b"a\r\n\r\nb", b"a\r\n\r\nb"),
        (INTERIM + LENGTH % 3 + b"abc", b"abc"),
        (INTERIM + b"HTTP/1.1 200 OK\r\n\r\na\r\n\r\nb", b"a\r\n\r\nb"),
        (CHUNKED + b"3\r\nabc\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", b"abc\r\n\r\n"),
        (CHUNKED + b"3\r\nab", b"ab"),
        (INTERIM + CHUNKED + b"3\r\nabc\r\nzz\r\n\r\n", b"3\r\nabc\r\nzz\r\n\r\n"),
        (LENGTH % 1 + b"HTTP/1.1 100 Continue", b"HTTP/1.1 100 Continue"),
        (b"\r\n" + LENGTH % 2 + b"{}", b"{}"),
        (b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\0", b""),
    ],
)
def test_a_body_is_what_follows_the_head_that_counts(raw: bytes, body: bytes) -> None:
    assert body_of(raw) == body
