"""How all requests are sent: the scenario's `http:`."""

from __future__ import annotations

from math import inf

from stressrun.scenario.files import Files
from stressrun.scenario.model import Http, Tls
from stressrun.scenario.part import Part
from stressrun.units import parse_duration, parse_share

_DEFAULTS = Http()
_RESOLVED = {"once": inf, "connection": 0.0}


def build_http(part: Part, files: Files) -> Http:
    """The settings; what is left out is as in `Http()`."""
    socket, tls = part.get("unix_socket"), part.get("tls")
    return Http(
        protocol=_word(part, "protocol", _DEFAULTS.protocol),
        connect_timeout=part.duration("connect_timeout", _DEFAULTS.connect_timeout, positive=True),
        cookies=_word(part, "cookies", _DEFAULTS.cookies),
        reuse=_word(part, "reuse", _DEFAULTS.reuse),
        resolve_after=_resolve_after(part.get("resolve")),
        unix_socket=None if socket is None else files.path(socket),
        tls=Tls() if tls is None else _tls(tls, files),
        traced=_traced(part.get("trace")),
    )


def _word(part: Part, key: str, default: str) -> str:
    found = part.get(key)
    return default if found is None else found.text()


def _resolve_after(part: Part | None) -> float:
    if part is None:
        return _DEFAULTS.resolve_after
    word = part.text()
    return _RESOLVED[word] if word in _RESOLVED else part.parsed(parse_duration, 0.0)


def _tls(part: Part, files: Files) -> Tls:
    ca, certificate, key = (
        None if (file := part.get(name)) is None else files.trusted(file)
        for name in ("ca", "certificate", "key")
    )
    if "key" in part and "certificate" not in part:
        part["key"].fault("a key without a certificate", "name both", at_key=True)
    verify = part.get("verify")
    return Tls(ca, certificate, key, verify is None or verify.flag())


def _traced(part: Part | None) -> float | None:
    if part is None:
        return _DEFAULTS.traced
    if "sampled" not in part:
        return 1.0 if part.flag() else None
    sampled = part["sampled"]
    share = sampled.parsed(parse_share, 1.0)
    if share > 1:
        sampled.fault("a share is at most 100%")
    return share
