"""Run-time expressions `${…}` as a scenario writes them, parsed when it is loaded.

    expression = name | name "(" argument ("," argument)* ")"
    argument   = number | word | 'text' | "text"

A name is a variable, `uuid`, `now`, `faker.PROVIDER`, or a reference that the start of the run
replaces. A variable is captured, or dotted: a column of a feeder's or a table's row, or what the
login captured. `$${` is the only escape and gives `${`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal

from stressrun.data.errors import ExpressionError, GeneratorError
from stressrun.data.generators import parse_generator
from stressrun.data.kinds import Choice, Generator, Now, Scalar, Uuid
from stressrun.data.references import Reference
from stressrun.data.suggest import did_you_mean


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, and where in its text the name begins."""

    name: str
    offset: int


Part = str | Variable | Generator | Reference


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: its literal texts, variables, generators and references in their order."""

    source: str
    parts: tuple[Part, ...]

    @property
    def constant(self) -> bool:
        """Whether it is the same text always."""
        return all(isinstance(part, str) for part in self.parts)

    @property
    def variables(self) -> tuple[tuple[str, int], ...]:
        """The variables that it needs: name and offset."""
        return tuple((part.name, part.offset) for part in self.parts if isinstance(part, Variable))


def parse(source: str) -> Template:
    """Parse a text with expressions. Raises ExpressionError."""
    parts: list[Part] = []
    literal = ""
    position = 0
    while opening := _OPENING.search(source, position):
        literal += source[position : opening.start()]
        position = opening.end()
        if opening[0] == "$${":
            literal += "${"
            continue
        if literal:
            parts.append(literal)
            literal = ""
        part, position = _Expression(source, position).parse()
        parts.append(part)
    literal += source[position:]
    if literal:
        parts.append(literal)
    return Template(source, tuple(parts))


def variables_of(part: object) -> Iterator[str]:
    """The names of all variables in the templates of what is made of them."""
    if isinstance(part, Template):
        yield from (name for name, _ in part.variables)
    elif isinstance(part, Mapping):
        yield from variables_of(tuple(part.values()))
    elif isinstance(part, tuple):
        for item in part:
            yield from variables_of(item)
    elif is_dataclass(part):
        for field in fields(part):
            yield from variables_of(getattr(part, field.name))


_OPENING = re.compile(r"\$?\$\{")
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w*(?:\.[\w-]+)*", re.ASCII)
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_WORD = re.compile(r"""[^\s,()'"{}]+""")
_WHOLE = re.compile(r"-?\d+(?:_\d+)*", re.ASCII)
_DECIMAL = re.compile(r"-?\d+(?:_\d+)*\.\d+", re.ASCII)
_LONGEST_NUMBER = 40
_CONSTANTS: Mapping[str, Scalar] = {"true": True, "false": False, "null": None}


class _Expression:
    """The parser of one expression; `position` is where it reads next."""

    def __init__(self, source: str, position: int) -> None:
        self._source = source
        self._start = position
        self._position = position

    def parse(self) -> tuple[Part, int]:
        """The expression and the position behind its closing brace."""
        name, offset = self._name()
        arguments = list(self._arguments()) if self._skip("(") else None
        if not self._skip("}"):
            raise self._error_at_position("`}`")
        return _part(name, offset, arguments), self._position

    def _name(self) -> tuple[str, int]:
        self._space()
        match = _NAME.match(self._source, self._position)
        if match is None:
            raise self._error_at_position("a name")
        self._position = match.end()
        return match[0], match.start()

    def _arguments(self) -> Iterator[Scalar]:
        if self._skip(")"):
            return
        while True:
            yield self._argument()
            if self._skip(")"):
                return
            if not self._skip(","):
                raise self._error_at_position("`,` or `)`")

    def _argument(self) -> Scalar:
        self._space()
        if quoted := _QUOTED.match(self._source, self._position):
            self._position = quoted.end()
            return quoted[0][1:-1]
        word = _WORD.match(self._source, self._position)
        if word is None:
            raise self._error_at_position("a number, a word or a quoted text")
        self._position = word.end()
        return _value(word[0])

    def _space(self) -> None:
        match = _SPACE.match(self._source, self._position)
        assert match is not None
        self._position = match.end()

    def _skip(self, mark: str) -> bool:
        self._space()
        if not self._source.startswith(mark, self._position):
            return False
        self._position += len(mark)
        return True

    def _error_at_position(self, expected: str) -> ExpressionError:
        if self._position == len(self._source):
            return ExpressionError(
                f"an expression is not closed: expected {expected}",
                self._start - 2,
                "end it with `}`, or write $${ for the characters ${",
            )
        found = self._source[self._position]
        return ExpressionError(f"expected {expected}, not {found!r}", self._position, _FORMS)


def _value(word: str) -> Scalar:
    if len(word) > _LONGEST_NUMBER:
        return word
    if _WHOLE.fullmatch(word):
        return int(word)
    if _DECIMAL.fullmatch(word):
        return Decimal(word)
    return _CONSTANTS.get(word, word)


def _part(name: str, offset: int, arguments: list[Scalar] | None) -> Part:
    if name in _FUNCTIONS:
        return _call(name, offset, arguments)
    part = _plain(name, offset, called=arguments is not None)
    if arguments is not None:
        raise ExpressionError(f"{name} takes no arguments", offset, f"write ${{{name}}}")
    return part


def _plain(name: str, offset: int, *, called: bool) -> Part:
    if name in _GENERATORS:
        return _GENERATORS[name]
    if name.startswith(("services.", "run.")):
        return Reference(name, offset)
    if name.startswith("faker."):
        try:
            return parse_generator({"faker": name.removeprefix("faker.")})
        except GeneratorError as error:
            raise ExpressionError(error.message, offset, error.hint) from None
    if called or not _VARIABLE.fullmatch(name):
        known = (*_FUNCTIONS, *_GENERATORS, "faker", "services", "run")
        first = name.partition(".")[0]
        raise ExpressionError(
            f"unknown name {name!r}", offset, did_you_mean(first, known) or _FORMS
        )
    return Variable(name, offset)


def _call(name: str, offset: int, arguments: list[Scalar] | None) -> Generator:
    example, build = _FUNCTIONS[name]
    if not arguments:
        raise ExpressionError(f"{name} needs arguments", offset, f"such as ${{{example}}}")
    try:
        return build(arguments)
    except GeneratorError as error:
        raise ExpressionError(error.message, offset, f"such as ${{{example}}}") from None


def _integer(arguments: list[Scalar]) -> Generator:
    return parse_generator({"integer": arguments})


def _decimal(arguments: list[Scalar]) -> Generator:
    """As many places as the bounds are written with, and at least two."""
    written = [-int(one.as_tuple().exponent) for one in arguments if isinstance(one, Decimal)]
    return parse_generator({"decimal": arguments, "places": max([2, *written])})


def _choice(arguments: list[Scalar]) -> Generator:
    return Choice(tuple(arguments), (1,) * len(arguments))


def _hex(arguments: list[Scalar]) -> Generator:
    return parse_generator({"hex": _size(arguments)})


def _text(arguments: list[Scalar]) -> Generator:
    return parse_generator({"text": _size(arguments)})


def _size(arguments: list[Scalar]) -> str:
    if len(arguments) != 1 or type(arguments[0]) is not int:
        raise GeneratorError("the number of characters is a whole number")
    return f"{arguments[0]}B"


_FUNCTIONS: Mapping[str, tuple[str, Callable[[list[Scalar]], Generator]]] = {
    "integer": ("integer(1, 100)", _integer),
    "decimal": ("decimal(1, 9.99)", _decimal),
    "choice": ("choice(red, blue)", _choice),
    "hex": ("hex(16)", _hex),
    "text": ("text(20)", _text),
}
_GENERATORS: Mapping[str, Generator] = {"uuid": Uuid(), "now": Now()}
_FORMS = (
    "one of "
    + ", ".join(example for example, _ in _FUNCTIONS.values())
    + ", uuid, now, faker.NAME or a variable"
)
