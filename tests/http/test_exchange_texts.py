"""Requests and answers as texts for people."""

from __future__ import annotations

import gzip

import pytest

from stressrun.http.exchange import answer_text, request_text

HEAD = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n"


@pytest.mark.parametrize(
    ("start", "body", "text"),
    [
        (HEAD + b"\r\nsold\r\n\r\nout", None, "503 Busy\nRetry-After: 1\n\nsold\r\n\r\nout"),
        (HEAD + b"\r\nsold", b"all of it", "503 Busy\nRetry-After: 1\n\nall of it"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 3\r\n\r\nout",
            None,
            "503 Busy\nRetry-After: 1\nContent-Length: 3\n\nout",
        ),
        (
            HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"sold", mtime=0),
            None,
            "503 Busy\nRetry-After: 1\nContent-Encoding: gzip\n\nsold",
        ),
        (b"no\xffsense", None, "no\\xffsense"),
    ],
    ids=["the start of a body", "a whole body", "after an interim answer", "encoded", "broken"],
)
def test_an_answer_is_its_status_headers_and_body(
    start: bytes, body: bytes | None, text: str
) -> None:
    assert answer_text(start, body) == text


def test_what_is_secret_in_general_is_not_shown_and_a_long_body_is_an_excerpt() -> None:
    content = (
        b"POST /a?api_key=abc&x=1 HTTP/1.1\r\nAuthorization: Bearer abc\r\n\r\n"
        b'{"password": "abc", "note": "' + b"n" * 5_000
    )
    text = request_text(content, 1_000)
    assert text.startswith(
        'POST /a?api_key=***&x=1\nAuthorization: ***\n\n{"password": "***", "note": "nnn'
    )
    assert "abc" not in text
    shown, _, rest = text.partition("…")
    assert 1_000 < len(shown) < 5_000
    assert rest.endswith(" more characters)")
