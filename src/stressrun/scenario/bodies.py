"""The bodies of requests: `json`, `form`, `multipart`, `body` and `body_file`."""

from __future__ import annotations

import mimetypes
from pathlib import PurePath

from stressrun.data.expressions import Template
from stressrun.data.references import Reference, substitute
from stressrun.scenario.files import Files
from stressrun.scenario.model import (
    Body,
    FormBody,
    JsonBody,
    MultipartBody,
    MultipartPart,
    RawBody,
)
from stressrun.scenario.part import Part
from stressrun.scenario.references import References
from stressrun.scenario.scope import Scope

KINDS = ("json", "form", "multipart", "body", "body_file")
_ANY_BYTES = "application/octet-stream"


class Bodies:
    """Builds the bodies of a scenario's requests."""

    def __init__(self, files: Files, references: References) -> None:
        self._files = files
        self._references = references

    def build(self, part: Part, scope: Scope) -> Body | None:
        """The body of a request's part."""
        kinds = [kind for kind in KINDS if kind in part]
        for kind in kinds[1:]:
            message = f"{kind!r} cannot stand beside {kinds[0]!r}"
            part[kind].fault(message, "leave one of them out", at_key=True)
        source = part.get(kinds[0]) if kinds else None
        if source is None:
            return None
        match kinds[0]:
            case "json":
                return JsonBody(scope.json(source))
            case "form":
                return FormBody(build_arguments(part, "form", scope))
            case "multipart":
                parts = part.entries("multipart")
                return MultipartBody(tuple(self._part(name, entry, scope) for name, entry in parts))
            case "body":
                return RawBody(scope.template(source), None)
            case _:
                return self._from_file(source, scope)

    def _part(self, name: str, part: Part, scope: Scope) -> MultipartPart:
        if not isinstance(part.value, dict):
            return MultipartPart(name, scope.template(part, str(part.value)), None, None)
        file = part["file"]
        given, kind = part.get("name"), part.get("type")
        path = self._files.path(file)
        return MultipartPart(
            name,
            self._files.content(file),
            PurePath(path).name if given is None else given.literal(),
            _guessed_type(path) or _ANY_BYTES if kind is None else kind.literal(),
        )

    def _from_file(self, part: Part, scope: Scope) -> RawBody:
        content = self._files.content(part)
        kind = _guessed_type(self._files.path(part))
        text = _text_of(content)
        return RawBody(content if text is None else self._evaluated(part, text, scope), kind)

    def _evaluated(self, part: Part, text: str, scope: Scope) -> Template:
        """A file's text with its expressions; mistakes name the file and the line."""
        text = str(substitute(text, self._references.values)) if self._references.values else text

        def tell(message: str, hint: str, at: int) -> None:
            line = text.count("\n", 0, at) + 1
            part.fault(f"{part.text()}:{line}: {message}", hint)

        template = scope.parsed(text, tell)
        for reference in template.parts:
            if isinstance(reference, Reference):
                problem = self._references.problem(reference)
                if problem is not None:
                    tell(*problem, reference.offset)
        return template


def build_arguments(part: Part, key: str, scope: Scope) -> tuple[tuple[str, Template], ...]:
    """Names and values under a key; a list gives its name several times."""
    arguments = []
    for name, value in part.entries(key):
        values = list(part[key].items(name)) if isinstance(value.value, list) else [value]
        arguments += [(name, scope.template(one, str(one.value))) for one in values]
    return tuple(arguments)


def _text_of(content: bytes) -> str | None:
    """The text of a file, None where it is none."""
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None


def _guessed_type(path: str) -> str | None:
    return mimetypes.guess_type(path)[0]
