"""The cookies of one virtual user, per RFC 6265 sections 5.1 to 5.4."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from math import inf

# What browsers keep of one site, so that a service that names each cookie anew fills no memory.
_MOST_COOKIES = 180
_LONGEST_COOKIE = 4096
_LONGEST_AGE = 400 * 86_400
_BLANK = " \t"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_AGE = re.compile(r"-?[0-9]{1,1024}")
_DATE_DELIMITER = re.compile(r"[\t -/;-@\[-`{-~]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_MONTH = re.compile("|".join(_MONTHS), re.IGNORECASE)
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")


@dataclass(frozen=True, slots=True)
class _Cookie:
    """`host_only`: it belongs to `domain` alone, not to the hosts below; `until` is in seconds."""

    name: str
    value: str
    domain: str
    host_only: bool
    path: str
    secure: bool
    until: float

    def belongs_to(self, host: str, path: str, secure: bool) -> bool:
        if self.secure and not _is_safe(host, secure):
            return False
        if host != self.domain and (self.host_only or not _is_below(host, self.domain)):
            return False
        return _path_matches(path, self.path)


class CookieJar:
    """Cookies as a browser keeps them. Paths are without a query; `now` is in seconds.

    Cookies that are Secure are kept and sent over TLS, and on loopback hosts, which browsers and
    curl take for as safe.
    """

    __slots__ = ("_cookies",)

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], _Cookie] = {}

    def store(
        self, set_cookie: Iterable[str], host: str, path: str, secure: bool, now: float
    ) -> None:
        """Keep what the Set-Cookie headers of an answer say; what is not to be kept is ignored."""
        host = host.lower()
        for text in set_cookie:
            cookie = _parse(text, host, path, now)
            if cookie is None or (cookie.secure and not _is_safe(host, secure)):
                continue
            key = (cookie.domain, cookie.path, cookie.name)
            if cookie.until <= now:
                self._cookies.pop(key, None)
            else:
                self._cookies[key] = cookie
        if len(self._cookies) > _MOST_COOKIES:
            self._shrink(now)

    def header(self, host: str, path: str, secure: bool, now: float) -> str:
        """The value of the Cookie header of a request; empty when there are none for it."""
        if not self._cookies:
            return ""
        host = host.lower()
        found = [
            cookie
            for cookie in self._cookies.values()
            if cookie.until > now and cookie.belongs_to(host, path, secure)
        ]
        # The longest path first; among the same, the earliest made.
        found.sort(key=lambda cookie: -len(cookie.path))
        return "; ".join([f"{cookie.name}={cookie.value}" for cookie in found])

    def get(self, name: str) -> str | None:
        """The value of a cookie, that of the last made where several have the name."""
        for cookie in reversed(self._cookies.values()):
            if cookie.name == name:
                return cookie.value
        return None

    def clear(self) -> None:
        self._cookies.clear()

    def _shrink(self, now: float) -> None:
        alive = [item for item in self._cookies.items() if item[1].until > now]
        self._cookies = dict(alive[-_MOST_COOKIES:])


def _parse(text: str, host: str, path: str, now: float) -> _Cookie | None:
    """The cookie that a Set-Cookie header makes; None where it makes none for this host."""
    pair, *attributes = text.split(";")
    name, equals, value = (part.strip(_BLANK) for part in pair.partition("="))
    if not (name and equals) or len(name) + len(value) > _LONGEST_COOKIE or _CONTROL.search(pair):
        return None
    given = dict(_attributes(attributes))
    domain = given.get("domain", "").removeprefix(".").lower()
    if domain not in ("", host) and not ("." in domain and _is_below(host, domain)):
        return None
    scope = given.get("path", "")
    return _Cookie(
        name,
        value,
        domain or host,
        domain == "" or _is_address(host),
        scope if scope.startswith("/") else _default_path(path),
        "secure" in given,
        _until(given, now),
    )


def _attributes(attributes: list[str]) -> Iterator[tuple[str, str]]:
    for attribute in attributes:
        name, _, value = (part.strip(_BLANK) for part in attribute.partition("="))
        yield name.lower(), value


def _until(given: dict[str, str], now: float) -> float:
    """When a cookie expires; Max-Age goes before Expires, and what can't be read is ignored."""
    age = given.get("max-age", "")
    if _AGE.fullmatch(age):
        return now + min(int(age), _LONGEST_AGE) if int(age) > 0 else -inf
    if (date := _date(given.get("expires", ""))) is not None:
        return date
    return inf


def _date(text: str) -> float | None:
    """A date as section 5.1.1 reads it: by its parts, wherever they stand; seconds."""
    found: dict[re.Pattern[str], re.Match[str]] = {}
    for token in _DATE_DELIMITER.split(text):
        for pattern in (_TIME, _DAY, _MONTH, _YEAR):
            if pattern not in found and (match := pattern.match(token)):
                found[pattern] = match
                break
    if len(found) < 4:
        return None
    year = int(found[_YEAR][1])
    year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    month = _MONTHS.index(found[_MONTH][0].lower()) + 1
    hour, minute, second = (int(part) for part in found[_TIME].groups())
    if year < 1601:
        return None
    try:
        date = datetime(year, month, int(found[_DAY][1]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return date.timestamp()


def _default_path(path: str) -> str:
    """The folder of a request's path (section 5.1.4)."""
    return (path.rpartition("/")[0] or "/") if path.startswith("/") else "/"


def _path_matches(path: str, scope: str) -> bool:
    if not path.startswith(scope):
        return False
    return len(path) == len(scope) or scope.endswith("/") or path[len(scope)] == "/"


def _is_below(host: str, domain: str) -> bool:
    return host.endswith(f".{domain}") and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_safe(host: str, secure: bool) -> bool:
    if secure or host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ip_address(host).is_loopback
