"""Which variables an expression can name where it stands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from stressrun.data.expressions import ExpressionError, Json, Template, parse, parse_json
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.part import Part, strings
from stressrun.scenario.wording import there_are

LOGIN = "login"
NAMESPACES = ("faker", "services", "run", LOGIN)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where dotted variables come from.

    `columns` is by the name of their feeder, table or login; None where they are not known before
    the run. `unusable` has a message and a hint by the names of variables whose value only the
    database knows. Where none of them is there, `absent` says why and what to do.
    """

    columns: Mapping[str, Collection[str] | None]
    unusable: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    absent: tuple[str, str] | None = None

    def with_login(self, captures: Collection[str]) -> Sources:
        """These, and what a login captures."""
        return replace(self, columns={**self.columns, LOGIN: captures})


def is_reserved(source: str) -> bool:
    """Whether a name has a meaning of its own in expressions, so that no rows can have it."""
    return source.partition(".")[0] in NAMESPACES


Tell = Callable[[str, str, int], None]
"""What is told of a mistake: the message, the hint, and where in the text it is."""


class Scope:
    """The variables that are there at one place, from one step to the next.

    Where there are no steps to capture any, `otherwise` is the hint for those that are not known.
    """

    def __init__(self, sources: Sources, otherwise: str = "") -> None:
        self._sources = sources
        self._otherwise = otherwise
        self._captured: set[str] = set()
        self._conditional: set[str] = set()

    def capture(self, names: Iterable[str]) -> None:
        """What follows can use these."""
        self._captured.update(names)

    @contextmanager
    def conditional(self) -> Iterator[None]:
        """What is captured in here may be missing after it."""
        before = set(self._captured)
        yield
        self._conditional |= self._captured - before
        self._captured = before

    def template(self, part: Part, text: str | None = None, offset: int = 0) -> Template:
        """The text of a part, or what of it begins at `offset`."""

        def tell(message: str, hint: str, at: int) -> None:
            part.fault(message, hint, offset=offset + at)

        return self.parsed(part.text() if text is None else text, tell)

    def parsed(self, text: str, tell: Tell) -> Template:
        """A text with expressions; an empty one after a mistake."""
        try:
            template = parse(text)
        except ExpressionError as error:
            tell(error.message, error.hint, error.offset)
            return parse("")
        self.check(template.variables, tell)
        return template

    def json(self, part: Part) -> Json:
        """A JSON value with expressions; null after a mistake."""
        for place, text in strings(part.value, part.place):
            self.template(Part(text, place, part.faults))
        if not part.sound:
            return parse_json(None)
        try:
            return parse_json(part.value)
        except ExpressionError as error:
            Part(None, (*part.place, *error.path), part.faults).fault(error.message, error.hint)
            return parse_json(None)

    def check(self, variables: Iterable[tuple[str, int]], tell: Tell) -> None:
        """Tell of those that are not known here: names, and where they begin."""
        for name, offset in variables:
            if "." in name:
                self._check_column(name, offset, tell)
            elif name not in self._captured:
                tell(*self._unknown(name), offset)

    def _unknown(self, name: str) -> tuple[str, str]:
        if name in self._conditional:
            message = f"{name!r} is captured only where the `when` of a step holds"
            return message, "put what needs it under the same `when`: {when: …, steps: […]}"
        guess = did_you_mean(name, (*self._captured, "uuid", "now"))
        if self._otherwise:
            return f"{name!r} is no variable and no generator", guess or self._otherwise
        message = f"{name!r} is neither captured by an earlier step nor a generator"
        if name in (self._sources.columns.get(LOGIN) or ()):
            return message, f"write ${{{LOGIN}.{name}}}"
        return message, guess or f"an earlier step captures it by capture: {{{name}: $.path}}"

    def _check_column(self, name: str, offset: int, tell: Tell) -> None:
        source, _, column = name.rpartition(".")
        absent = self._sources.absent
        if absent is not None and source not in self._sources.columns:
            tell(f"{name!r} {absent[0]}", absent[1], offset)
            return
        if source not in self._sources.columns:
            tell(*self._unknown_source(source), offset)
            return
        if name in self._sources.unusable:
            tell(*self._sources.unusable[name], offset)
            return
        columns = self._sources.columns[source]
        if columns is None or column in columns:
            return
        kind = "variables" if source == LOGIN else "columns"
        message = f"{source} has no column {column!r}"
        if source == LOGIN:
            message = f"login captures no {column!r}"
        hint = did_you_mean(column, columns) or there_are(f"{kind} of {source}", columns)
        tell(message, hint, offset + len(source) + 1)

    def _unknown_source(self, source: str) -> tuple[str, str]:
        if source == LOGIN:
            return "no login to take this from", "${login.…} is what login: captures"
        if is_reserved(source):
            message = f"{source!r} has a meaning of its own, and gives no rows"
            return message, "take them by a feeder of another name, such as {sql: select …}"
        known = self._sources.columns
        hint = did_you_mean(source, (*known, *NAMESPACES)) or there_are("feeders and tables", known)
        return f"no feeder, and no table with rows, {source!r}", hint
