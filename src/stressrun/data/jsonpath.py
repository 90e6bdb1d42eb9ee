"""JSONPath: a value of a JSON document by its names and positions.

A plain path is a few look-ups. All others, which can find several values, are `jsonpath-ng`'s;
it is imported only where a scenario has such a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter

from stressrun.data.bounded import bounded
from stressrun.data.errors import ExpressionError

_STEP = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*) | \['(?P<single>[^']*)'\] | \["(?P<double>[^"]*)"\]
    | \[(?P<position>-?\d{1,9})\]""",
    re.VERBOSE,
)
_PLACE = re.compile(r"(?:at 1:|line 1, col )(\d+)")
_FORM = "write a path such as $.items[0].id, $['item id'] or $.items[*].id"


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path to a value.

    `find` gives the value of a document at this path, the first where there are several, and
    raises LookupError where the document has none.
    """

    source: str
    find: Callable[[object], object] = field(repr=False, compare=False)


def parse_path(source: str) -> JsonPath:
    """Parse a JSON path. Raises ExpressionError.

    Plain are `$`, `.name`, `['name']`, and `[n]`, from the end where n < 0.
    """
    if not source.startswith("$"):
        raise ExpressionError(f"{source!r} is no JSON path: it begins with $", 0, _FORM)
    steps: list[str | int] = []
    offset = 1
    while offset < len(source):
        match = _STEP.match(source, offset)
        if match is None:
            return JsonPath(source, _search(source, offset))
        text = match[match.lastgroup or 0]
        steps.append(int(text) if match.lastgroup == "position" else text)
        offset = match.end()
    return JsonPath(source, _walk(tuple(steps)))


def _walk(steps: tuple[str | int, ...]) -> Callable[[object], object]:
    # Python would find positions in a text, too.
    walk = [(dict if isinstance(step, str) else list, itemgetter(step)) for step in steps]

    def find(document: object) -> object:
        for kind, get in walk:
            if not isinstance(document, kind):
                raise LookupError(f"{get} in a value of type {type(document).__name__}")
            document = get(document)
        return document

    return find


def _search(source: str, plain: int) -> Callable[[object], object]:
    """The search for a path that is plain only so far."""
    from jsonpath_ng.ext.parser import parse

    # Beside its own errors it raises those of its parts, such as one of a regular expression.
    try:
        search = parse(source).find
    except Exception as error:
        place = _PLACE.search(str(error))
        offset = min(int(place[1]), len(source)) if place else plain
        raise ExpressionError(
            f"{source[offset:][:20]!r} is no step of a JSON path", offset, _FORM
        ) from error

    def find(document: object) -> object:
        try:
            with bounded:
                found = search(document)
        except Exception as error:
            raise LookupError(f"{source} cannot be asked for: {error}") from error
        if not found:
            raise LookupError(f"nothing at {source}")
        value: object = found[0].value
        return value

    return find
