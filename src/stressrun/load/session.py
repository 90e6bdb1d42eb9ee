"""What a virtual user keeps between its requests: cookies, variables, a login, its last answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from stressrun.http.cookies import CookieJar
from stressrun.http.message import may_have_header, parse_head
from stressrun.http.origin import Origin
from stressrun.http.request import add_header, target_of

EQUALS = ord("=")


class Answer:
    """What came of the last request; it is the next one's after that.

    `failure` is None when there was an answer, else why there was none; `start` and `body` are as
    in `Connection`. `late` is from the intended start to the send, `service` from there to the
    end, `first_byte` from there to the first byte; nanoseconds. `lag` is what of them was the
    generator's own doing, where it is worth keeping; whoever counts it sets it back to 0.
    """

    __slots__ = (
        "body",
        "detail",
        "failure",
        "first_byte",
        "lag",
        "late",
        "received",
        "sent",
        "service",
        "start",
        "status",
    )

    def __init__(self) -> None:
        self.failure: str | None = None
        self.detail = ""
        self.status = 0
        self.start = b""
        self.body = b""
        self.late = 0
        self.lag = 0
        self.service = 0
        self.first_byte = 0
        self.sent = 0
        self.received = 0


@dataclass(slots=True)
class LoginState:
    """What a login gave, for one virtual user or for all; `until` is an instant in seconds."""

    variables: dict[str, object] = field(default_factory=dict)
    until: float = 0.0
    under_way: bool = False


class Session:
    """A virtual user's own state; `keeps_cookies` is vu, iteration or none."""

    __slots__ = ("answer", "cookies", "forgets_cookies", "keeps_cookies", "login")

    def __init__(self, keeps_cookies: str = "vu") -> None:
        self.answer = Answer()
        self.keeps_cookies = keeps_cookies != "none"
        self.forgets_cookies = keeps_cookies == "iteration"
        self.cookies: CookieJar | None = None
        self.login = LoginState()

    def with_cookies(self, content: bytes, origin: Origin) -> bytes:
        """A request with the cookies that belong to it."""
        if self.cookies is None:
            return content
        path = target_of(content).partition("?")[0]
        cookies = self.cookies.header(origin.host, path, origin.secure, time.time())
        return add_header(content, "Cookie", cookies) if cookies else content

    def store_cookies(self, content: bytes, origin: Origin) -> None:
        """Keep the cookies that the answer to a request sets, if there was one."""
        start = self.answer.start
        # Most answers set no cookie, and need not be parsed to see it: one has an equals sign.
        if EQUALS not in start or self.answer.failure is not None:
            return
        if not may_have_header(start, b"set-cookie:"):
            return
        received = parse_head(start).get_all("set-cookie")
        if not received:
            return
        if self.cookies is None:
            self.cookies = CookieJar()
        path = target_of(content).partition("?")[0]
        self.cookies.store(received, origin.host, path, origin.secure, time.time())
