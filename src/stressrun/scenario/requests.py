"""Requests: of endpoints, of their steps, and of a login."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from stressrun.data.expressions import Template
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.answers import build_captures, build_expect
from stressrun.scenario.auth import auth_header, auth_templates, build_auth, header_template
from stressrun.scenario.bodies import Bodies, build_arguments
from stressrun.scenario.model import Auth, Body, MultipartBody, Request, Undo
from stressrun.scenario.part import Part
from stressrun.scenario.scope import LOGIN, Scope
from stressrun.scenario.wording import one_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

_TIMEOUT = 30.0

_EXPRESSION = re.compile(r"\$\{[^{}]*\}")
_NOT_IN_PATH = re.compile(r"[^!-~]|#")
_FROM_BODY = ("content-length", "transfer-encoding")
_CONTENT_TYPE = "content-type"
_OF_LOGIN = f"{LOGIN}."

Headers = tuple[tuple[str, Template], ...]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What requests have that say nothing else: `http:` says it for all of them."""

    timeout: float
    redirects: int
    headers: Headers
    auth: Auth | None

    def without_login(self) -> Defaults:
        """Without what is known only after a login."""
        headers = tuple((name, value) for name, value in self.headers if not _from_login([value]))
        auth = self.auth
        if auth is not None and _from_login(auth_templates(auth)):
            auth = None
        return replace(self, headers=headers, auth=auth)

    def without_rows(self) -> Defaults:
        """Without what is known only when there are rows: all variables but those of a login."""
        headers = tuple(header for header in self.headers if not _from_rows([header[1]]))
        auth = self.auth
        if auth is not None and _from_rows(auth_templates(auth)):
            auth = None
        return replace(self, headers=headers, auth=auth)


def build_defaults(http: Part, scope: Scope) -> Defaults:
    """The defaults that the scenario's `http:` gives."""
    given = http.get("auth")
    auth = None if given is None else build_auth(given, scope)
    return Defaults(
        http.duration("timeout", _TIMEOUT, positive=True),
        http.integer("redirects", 0),
        _headers(http, scope, auth),
        auth,
    )


class Requests:
    """Builds requests, with what they have in common; only `undoable` ones may have an `undo`."""

    def __init__(self, defaults: Defaults, bodies: Bodies, *, undoable: bool = True) -> None:
        self._defaults = defaults
        self._bodies = bodies
        self._undoable = undoable

    def build(self, part: Part, scope: Scope, name: str | None) -> Request:
        """A request, by default named by its method and path; its captures are in the scope."""
        source = part["request"]
        method, path, offset = method_and_path(source)
        template = scope.template(source, path, offset)
        defaults = self._defaults
        given = part.get("auth")
        auth = None if given is None else build_auth(given, scope)
        headers = _headers(part, scope, auth)
        body = self._bodies.build(part, scope)
        if isinstance(body, MultipartBody):
            _check_multipart(part)
        request = Request(
            name or f"{method} {path}",
            method,
            template,
            query=build_arguments(part, "query", scope),
            headers=_merged(defaults.headers, headers, auth, body),
            auth=_default_auth(defaults, headers) if given is None else auth,
            body=body,
            captures=build_captures(part),
            expect=build_expect(part, scope),
            timeout=part.duration("timeout", defaults.timeout, positive=True),
            redirects=part.integer("redirects", defaults.redirects),
        )
        scope.capture(capture.variable for capture in request.captures)
        if "undo" in part and not self._undoable:
            part["undo"].fault(
                "what a login makes is not undone",
                "make it by a request of an endpoint or of seeding, or remove it in teardown",
                at_key=True,
            )
            return request
        return replace(request, undo=_undo(part, scope))


def method_and_path(part: Part) -> tuple[str, str, int]:
    """The method, the path, and where the path begins in `METHOD /path`."""
    text = part.text()
    method = text.split(" ", 1)[0]
    offset = len(text) - len(text[len(method) :].lstrip())
    path = text[offset:]
    if method not in METHODS:
        hint = did_you_mean(method, METHODS) or f"write {one_of(METHODS)}"
        part.fault(f"no method {method!r}", hint, offset=0)
    # Blanked out at their length, expressions keep the offsets of what stands around them.
    fixed = _EXPRESSION.sub(lambda match: "x" * len(match[0]), path)
    for wrong in _NOT_IN_PATH.finditer(fixed):
        encoded = "".join(f"%{byte:02X}" for byte in wrong[0].encode())
        part.fault(
            f"{wrong[0]!r} cannot stand in a request's path",
            f"write {encoded}",
            offset=offset + wrong.start(),
        )
    return method, path, offset


def _undo(part: Part, scope: Scope) -> Undo | None:
    """The request that undoes another, with what has been captured by then."""
    source = part.get("undo")
    if source is None:
        return None
    method, path, offset = method_and_path(source)
    template = scope.template(source, path, offset)
    if source.sound and not template.variables:
        source.fault(
            "this undoes the same thing each time: it has nothing that was captured",
            "capture what the answer calls it, such as capture: {cart: $.id}, and name it here: "
            "DELETE /carts/${cart}; what removes all at once is a step of teardown",
        )
    return Undo(method, template)


def _headers(part: Part, scope: Scope, auth: Auth | None) -> Headers:
    """The headers that a part names; none of them can come from its auth as well."""
    headers = []
    for name, value in part.entries("headers"):
        if name.lower() in _FROM_BODY:
            value.fault(f"the header {name} follows from the body", "leave it out")
        if name.lower() == auth_header(auth):
            value.fault(f"auth gives the header {name} already", "leave one of them out")
        headers.append((name, header_template(value, scope)))
    return tuple(headers)


def _check_multipart(part: Part) -> None:
    """A Content-Type of one's own would not tell the boundary between the parts."""
    for name, value in part.entries("headers"):
        if name.lower() == _CONTENT_TYPE:
            value.fault(f"the header {name} follows from multipart", "leave it out")


def _merged(defaults: Headers, own: Headers, auth: Auth | None, body: Body | None) -> Headers:
    """The defaults that nothing of the request's own stands in place of, and its own."""
    taken = {*_names(own), auth_header(auth)}
    if isinstance(body, MultipartBody):
        taken.add(_CONTENT_TYPE)
    return (*(header for header in defaults if header[0].lower() not in taken), *own)


def _default_auth(defaults: Defaults, own: Headers) -> Auth | None:
    return None if auth_header(defaults.auth) in _names(own) else defaults.auth


def _names(headers: Headers) -> set[str]:
    return {name.lower() for name, _ in headers}


def _from_rows(templates: Iterable[Template]) -> bool:
    variables = (name for template in templates for name, _ in template.variables)
    return any(not name.startswith(_OF_LOGIN) for name in variables)


def _from_login(templates: Iterable[Template]) -> bool:
    variables = (name for template in templates for name, _ in template.variables)
    return any(name.startswith(_OF_LOGIN) for name in variables)
