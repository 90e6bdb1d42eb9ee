"""Who requests come from: `auth:`."""

from __future__ import annotations

import re

from stressrun.data.expressions import Template
from stressrun.scenario.model import ApiKeyAuth, Auth, BasicAuth, BearerAuth
from stressrun.scenario.part import Part
from stressrun.scenario.scope import Scope

_NOT_IN_HEADER = re.compile(r"[^\t -~\x80-\xff]")


def build_auth(part: Part, scope: Scope) -> Auth | None:
    """Who requests come from; None of `none`."""
    if "basic" in part:
        basic = part["basic"]
        user = scope.template(basic["user"])
        if any(isinstance(text, str) and ":" in text for text in user.parts):
            basic["user"].fault("basic auth knows no user's name with a colon")
        return BasicAuth(user, scope.template(basic["password"]))
    if "bearer" in part:
        return BearerAuth(header_template(part["bearer"], scope))
    if "api_key" in part:
        key = part["api_key"]
        if "header" in key:
            return ApiKeyAuth(key["header"].text(), header_template(key["value"], scope), False)
        value = key["value"]
        return ApiKeyAuth(key["query"].literal(), scope.template(value, str(value.value)), True)
    return None


def auth_header(auth: Auth | None) -> str | None:
    """The header that carries it, in small letters."""
    if isinstance(auth, ApiKeyAuth):
        return None if auth.in_query else auth.name.lower()
    return None if auth is None else "authorization"


def auth_templates(auth: Auth) -> tuple[Template, ...]:
    """What is evaluated for it."""
    match auth:
        case BasicAuth(user, password):
            return user, password
        case BearerAuth(token):
            return (token,)
        case ApiKeyAuth():
            return (auth.value,)


def header_template(part: Part, scope: Scope) -> Template:
    """A header's value."""
    text = str(part.value)
    if (wrong := _NOT_IN_HEADER.search(text)) is not None:
        part.fault(f"{wrong[0]!r} cannot stand in a header", offset=wrong.start())
    return scope.template(part, text)
