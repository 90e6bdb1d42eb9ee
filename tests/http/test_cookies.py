from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.http.cookies import CookieJar

NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def jar(
    *set_cookie: str, host: str = "www.example.com", path: str = "/", secure: bool = True
) -> CookieJar:
    jar = CookieJar()
    jar.store(set_cookie, host, path, secure, NOW)
    return jar


def header(
    jar: CookieJar,
    host: str = "www.example.com",
    path: str = "/",
    *,
    secure: bool = True,
    now: float = NOW,
) -> str:
    return jar.header(host, path, secure, now)


@pytest.mark.parametrize(
    ("set_cookie", "sent"),
    [
        # RFC 6265 section 3.1, each as one exchange.
        (["SID=31d4d96e407aad42"], "SID=31d4d96e407aad42"),
        (["SID=31d4d96e407aad42; Path=/; Domain=example.com"], "SID=31d4d96e407aad42"),
        (
            ["SID=31d4d96e407aad42; Path=/; Secure; HttpOnly", "lang=en-US; Path=/"],
            "SID=31d4d96e407aad42; lang=en-US",
        ),
        (["lang=en-US; Expires=Wed, 09 Jun 2032 10:18:14 GMT"], "lang=en-US"),
        (["lang=en-US", "lang=; Expires=Sun, 06 Nov 1994 08:49:37 GMT"], ""),
        # Section 5.2: how a line is read.
        (["  a \t= b c ;x"], "a=b c"),
        (['a="b; c"'], 'a="b'),
        (["a=b=c"], "a=b=c"),
        (["a="], "a="),
        (["=b"], ""),
        (["a"], ""),
        ([""], ""),
        (["a=1;;;  ; SECURE ;unknown=x"], "a=1"),
        (["a=\x01"], ""),
        (["a=" + "x" * 5000], ""),
        # The later replaces, in the place of the earlier.
        (["a=1", "b=2", "a=3"], "a=3; b=2"),
        (["a=1", "A=2"], "a=1; A=2"),
    ],
)
def test_cookies_of_one_exchange(set_cookie: Sequence[str], sent: str) -> None:
    assert header(jar(*set_cookie)) == sent


@pytest.mark.parametrize(
    ("attribute", "set_by", "sent_to"),
    [
        ("", "example.com", {"example.com", "EXAMPLE.com"}),
        ("Domain=example.com", "example.com", {"example.com", "www.example.com", "EXAMPLE.com"}),
        ("Domain=example.com", "www.example.com", {"example.com", "www.example.com"}),
        ("Domain=.Example.COM", "www.example.com", {"example.com", "www.example.com"}),
        ("Domain=", "example.com", {"example.com"}),
        ("Domain=a.com; Domain=example.com", "example.com", {"example.com", "www.example.com"}),
        ("Domain=www.example.com", "example.com", set()),
        ("Domain=ample.com", "example.com", set()),
        ("Domain=com", "example.com", set()),
        ("Domain=other.com", "example.com", set()),
        ("Domain=example.com.", "example.com", set()),
        ("Domain=localhost", "localhost", {"localhost"}),
        ("Domain=127.0.0.1", "127.0.0.1", {"127.0.0.1"}),
        ("Domain=0.0.1", "127.0.0.1", set()),
        ("", "::1", {"::1"}),
    ],
)
def test_the_hosts_that_a_cookie_is_sent_to(attribute: str, set_by: str, sent_to: set[str]) -> None:
    hosts = {"example.com", "EXAMPLE.com", "www.example.com", "notexample.com", "com", "localhost"}
    one = jar(f"a=1; {attribute}", host=set_by)
    sent = {host for host in hosts | {"127.0.0.1", "::1"} if header(one, host)}
    assert {host.lower() for host in sent} == {host.lower() for host in sent_to}


@pytest.mark.parametrize(
    ("attribute", "set_at", "sent_to"),
    [
        ("", "/", {"/", "/docs", "/docs/", "/docs/web", "/docsets"}),
        ("", "/docs", {"/", "/docs", "/docs/", "/docs/web", "/docsets"}),
        ("", "/docs/web", {"/docs", "/docs/", "/docs/web"}),
        ("", "/docs/", {"/docs", "/docs/", "/docs/web"}),
        ("", "*", {"/", "/docs", "/docs/", "/docs/web", "/docsets"}),
        ("Path=/docs", "/", {"/docs", "/docs/", "/docs/web"}),
        ("Path=/docs/", "/", {"/docs/", "/docs/web"}),
        ("Path=docs", "/docs/web", {"/docs", "/docs/", "/docs/web"}),
        ("Path=", "/docs/web", {"/docs", "/docs/", "/docs/web"}),
        ("Path=/other; Path=/docs", "/", {"/docs", "/docs/", "/docs/web"}),
        ("Path=/Docs", "/", set()),
    ],
)
def test_the_paths_that_a_cookie_is_sent_to(attribute: str, set_at: str, sent_to: set[str]) -> None:
    one = jar(f"a=1; {attribute}", path=set_at)
    paths = {"/", "/docs", "/docs/", "/docs/web", "/docsets"}
    assert {path for path in paths if header(one, path=path)} == sent_to


def test_the_longest_path_comes_first_then_the_earliest_made() -> None:
    one = jar("a=1; Path=/", "b=2; Path=/docs", "c=3; Path=/", "b=4; Path=/", "a=5; Path=/")
    assert header(one, path="/docs/web") == "b=2; a=5; c=3; b=4"


@pytest.mark.parametrize(
    ("attributes", "seconds"),
    [
        ("", None),
        ("Max-Age=60", 60),
        ("Max-Age=0", 0),
        ("Max-Age=-1", 0),
        ("Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT", 60),
        ("Expires=Thu, 01 Jan 2099 00:00:00 GMT; Max-Age=60", 60),
        ("Max-Age=soon", None),
        ("Max-Age=1.5", None),
        ("Max-Age=", None),
        ("Max-Age=" + "9" * 5000, None),
        ("Max-Age=" + "9" * 1000, 400 * 86400),
        ("Max-Age=5; Max-Age=60", 60),
        ("Expires=Thu, 01 Jan 2026 00:01:00 GMT", 60),
        ("Expires=Thursday, 01-Jan-26 00:01:00 GMT", 60),
        ("Expires=Thu Jan  1 00:01:00 2026", 60),
        ("Expires=1 jan 26 0:1:0", 60),
        ("Expires=2026 1 January 00:01:00", 60),
        ("Expires=Wed, 31 Dec 2025 23:59:59 GMT", 0),
        ("Expires=Sun, 06 Nov 94 08:49:37", 0),
        ("Expires=Thu, 01 Jan 1600 00:00:00 GMT", None),
        ("Expires=Thu, 32 Jan 2026 00:00:00 GMT", None),
        ("Expires=Mon, 30 Feb 2025 00:00:00 GMT", None),
        ("Expires=Wed, 31 Dec 2025 24:00:00 GMT", None),
        ("Expires=Wed, 31 Dec 2025", None),
        ("Expires=tomorrow", None),
    ],
)
def test_how_long_a_cookie_lives(attributes: str, seconds: int | None) -> None:
    one = jar(f"a=1; {attributes}")
    far = NOW + 10**9
    if seconds is None:
        assert header(one, now=far) == "a=1"
    else:
        assert header(one, now=NOW + seconds - 1) == ("a=1" if seconds else "")
        assert header(one, now=NOW + seconds) == ""


def test_what_has_expired_deletes() -> None:
    one = jar("a=1", "b=2")
    one.store(["a=; Max-Age=0"], "www.example.com", "/", True, NOW)
    assert (one.get("a"), one.get("b")) == (None, "2")


@pytest.mark.parametrize(
    ("host", "secure", "kept"),
    [
        ("example.com", True, True),
        ("example.com", False, False),
        ("10.0.0.1", False, False),
        ("localhost", False, True),
        ("shop.localhost", False, True),
        ("127.0.0.1", False, True),
        ("::1", False, True),
    ],
)
def test_secure_cookies_are_for_tls_and_loopback(host: str, secure: bool, kept: bool) -> None:
    one = jar("a=1; Secure", "b=2", host=host, secure=secure)
    assert header(one, host, secure=secure) == ("a=1; b=2" if kept else "b=2")


def test_a_secure_cookie_does_not_leave_tls() -> None:
    one = jar("a=1; Secure", host="example.com")
    assert (header(one, "example.com"), header(one, "example.com", secure=False)) == ("a=1", "")


def test_a_cookie_is_found_by_its_name() -> None:
    one = jar("a=1", "b=2", "a=3; Path=/docs")
    assert (one.get("a"), one.get("b"), one.get("c")) == ("3", "2", None)


def test_a_cleared_jar_is_empty() -> None:
    one = jar("a=1")
    one.clear()
    assert (header(one), one.get("a")) == ("", None)


def test_a_jar_does_not_grow_without_end() -> None:
    one = jar("old=1; Max-Age=5")
    for number in range(1000):
        one.store([f"c{number}=1"], "www.example.com", "/", True, NOW)
    sent = header(one).split("; ")
    assert (len(sent), sent[-1]) == (180, "c999=1")


@given(st.lists(st.text()), st.text(), st.text())
def test_no_cookie_line_breaks_the_jar(lines: list[str], host: str, path: str) -> None:
    one = jar(*lines, host=host, path=path)
    assert isinstance(header(one, host, path), str)


@given(st.text(alphabet="0123456789:-/ ,;JanFebGMT", max_size=40))
def test_no_date_breaks_the_jar(date: str) -> None:
    header(jar(f"a=1; Expires={date}"))
