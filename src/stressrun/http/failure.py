"""Why a connection can't go on: each failure has a kind, which the report counts it under."""

from __future__ import annotations

import errno
import os
import re
import ssl
from collections.abc import Mapping


class ConnectionFailed(Exception):  # noqa: N818 - it is an outcome, with a kind for the report
    """The connection can't go on; `kind` is the failure's kind in the report."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


_KINDS = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "refused",  # a Unix socket that is not there
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EMFILE: "generator: out of file descriptors",
    errno.ENFILE: "generator: out of file descriptors",
    errno.EADDRNOTAVAIL: "generator: out of local ports",
    errno.ENOBUFS: "generator: out of memory",
    errno.ENOMEM: "generator: out of memory",
}
OPENING = _KINDS | {
    errno.ETIMEDOUT: "connect timeout",
    errno.EAGAIN: "refused",  # the backlog of a Unix socket is full
}
HANDSHAKE = {number: f"tls: {kind}" for number, kind in _KINDS.items()}


def failure(error: OSError, kinds: Mapping[int, str] = _KINDS) -> ConnectionFailed:
    """What an error of a socket or of TLS means, by the kinds of the phase it came in."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionFailed("tls: certificate", error.verify_message)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ConnectionFailed("closed" if kinds is _KINDS else "tls: closed")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        if reason == "wrong version number":
            reason += ": what answers may speak no TLS, try http://"
        return ConnectionFailed("tls", reason)
    number = error.errno or 0
    kind = kinds.get(number) or f"socket error {errno.errorcode.get(number, '')}".rstrip()
    return ConnectionFailed(kind, error.strerror or str(error))


def refusal(number: int) -> ConnectionFailed:
    """What the error number of a connect means."""
    return failure(OSError(number, os.strerror(number)), OPENING)


# What the parser (llhttp) says of a status line, and of the headers that frame a body.
_STATUS_LINE = re.compile(r"HTTP|status|version|dot|response line|LF after CR$")
_FRAMING = re.compile(r"Content-Length|Transfer-Encoding")


def kind_of_head(reason: str) -> str:
    """The kind of a syntax error in a head, from what the parser says of it."""
    if "Data after" in reason:
        return "excess data"
    if _STATUS_LINE.search(reason):
        return "malformed status line"
    return "wrong Content-Length" if _FRAMING.search(reason) else "malformed header"
