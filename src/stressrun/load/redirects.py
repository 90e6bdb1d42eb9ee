"""Where an answer redirects to, per RFC 9110 section 15.4."""

from __future__ import annotations

from urllib.parse import quote, urldefrag, urljoin, urlsplit

from stressrun.http.message import parse_head
from stressrun.http.origin import Origin, origin_of
from stressrun.http.request import IDEMPOTENT, build_request, parse_request
from stressrun.load.program import Program
from stressrun.load.session import Answer
from stressrun.metrics.recorder import Row

_REDIRECTIONS = (301, 302, 303, 307, 308)
_OF_THE_BODY = ("content-length", "content-type")
# What another server may see: nothing that proves who asks.
_FOR_ANYONE = ("accept", "accept-encoding", "content-length", "content-type", "host", "user-agent")


class Hop:
    """A request that a redirection asks for; it is counted with the one that was redirected."""

    __slots__ = ("expects_body", "idempotent", "keep_body", "origin", "row", "timeout")

    def __init__(self, before: Program, method: str, origin: Origin) -> None:
        self.origin = origin
        self.timeout = before.timeout
        self.keep_body = before.keep_body
        self.row: Row = before.row
        self.idempotent = method in IDEMPOTENT
        self.expects_body = method != "HEAD"


def next_hop(before: Program, content: bytes, answer: Answer) -> tuple[Hop, bytes] | None:
    """The request that an answer asks for; None where it redirects to nothing that can be asked."""
    if answer.failure is not None or answer.status not in _REDIRECTIONS:
        return None
    location = parse_head(answer.start).get("location")
    if location is None:
        return None
    method, target, headers, body = parse_request(content)
    try:
        url = urldefrag(urljoin(_url(before.origin, target), location)).url
        origin = origin_of(url)
        if origin == before.origin:
            origin = before.origin  # the same object: its connection is kept
    except ValueError:
        return None
    if (answer.status == 303 and method != "HEAD") or (answer.status < 303 and method == "POST"):
        method, body = "GET", b""
        headers = [(name, value) for name, value in headers if name.lower() not in _OF_THE_BODY]
    if origin != before.origin:
        headers = [(name, value) for name, value in headers if name.lower() in _FOR_ANYONE]
    headers = [
        (name, origin.authority if name.lower() == "host" else value) for name, value in headers
    ]
    return Hop(before, method, origin), build_request(method, _target(url), headers, body)


def _url(origin: Origin, target: str) -> str:
    return f"{'https' if origin.secure else 'http'}://{origin.authority}{target}"


def _target(url: str) -> str:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(target, safe="/?#[]@!$&'()*+,;=:%~-._")
