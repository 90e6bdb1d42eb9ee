"""Plain JSONPath: one value of a JSON document by its names and positions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from stressrun.data.errors import ExpressionError

_STEP = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*) | \['(?P<single>[^']*)'\] | \["(?P<double>[^"]*)"\]
    | \[(?P<position>-?\d{1,9})\]""",
    re.VERBOSE,
)
_FORM = "write a plain path such as $.items[0].id or $['item id']"


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path to one value: `steps` are names of objects and positions in arrays."""

    source: str
    steps: tuple[str | int, ...] = field(repr=False)

    def find(self, document: object) -> object:
        """The value at this path. Raises LookupError where the document has none."""
        for step in self.steps:
            document = _step_into(document, step)
        return document


def parse_path(source: str) -> JsonPath:
    """Parse `$`, `.name`, `['name']` and `[n]`, from the end where n < 0.

    Raises ExpressionError.
    """
    if not source.startswith("$"):
        raise ExpressionError(f"{source!r} is no JSON path: it begins with $", 0, _FORM)
    steps: list[str | int] = []
    offset = 1
    while offset < len(source):
        match = _STEP.match(source, offset)
        if match is None:
            raise ExpressionError(
                f"{source[offset:][:20]!r} is no step of a plain JSON path", offset, _FORM
            )
        text = match[match.lastgroup or 0]
        steps.append(int(text) if match.lastgroup == "position" else text)
        offset = match.end()
    return JsonPath(source, tuple(steps))


def _step_into(value: object, step: str | int) -> object:
    if isinstance(step, str) and isinstance(value, dict):
        return value[step]
    # Python would find positions in a text, too.
    if isinstance(step, int) and isinstance(value, list):
        return value[step]
    raise LookupError(f"no {step!r} in a value of type {type(value).__name__}")
