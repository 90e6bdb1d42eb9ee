"""YAML to nodes with positions.

What a scenario has no use for, and what can hurt, is refused: duplicate keys, aliases (a few
lines of them expand without bound), merge keys, tags, several documents, deep nesting. Scalars
get YAML 1.2's types (so `yes`, `1:30` and `2024-01-01` are strings), with `10_000` for numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import yaml

from stressrun.errors import Mistake, Position, ScenarioError
from stressrun.scenario.nodes import DictNode, ListNode, Node, Scalar, ScalarNode

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 100_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_INTEGER = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Scalar] = {"": None, "~": None}
_WORDS |= dict.fromkeys(("null", "Null", "NULL"))
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True)
_WORDS |= dict.fromkeys(("false", "False", "FALSE"), False)
_MAX_DIGITS = 300
_REFERENCE_END = re.compile(r"[^}]*\}[^\s,}\]]*")


class _Mark(Protocol):
    """A place in YAML's terms, counted from 0."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Source:
    """A scenario as it was read, with the mistakes that did not stop the reading."""

    root: Node
    mistakes: tuple[Mistake, ...]


def read(path: Path) -> Source:
    """Read a scenario file. Raises ScenarioError where it cannot be read as YAML at all."""
    return compose(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a small UTF-8 file. Raises ScenarioError for anything else."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _refused(Position(str(path), 1, 1), f"cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1_000_000} MB"
        raise _refused(Position(str(path), 1, 1), f"larger than {limit}, which no scenario needs")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        lines = _LINE_END.split(before)
        position = Position(str(path), len(lines), len(lines[-1]) + 1)
        raise _refused(position, "not UTF-8 text", "save the file as UTF-8") from error
    return text


def compose(text: str, file: str, *, prefix: str = "") -> Source:
    """Nodes of a YAML text; `prefix` is what stands before it on its first line.

    Raises ScenarioError for broken syntax, several documents, nesting past MAX_DEPTH and more
    than MAX_VALUES values.
    """
    unprintable = _UNPRINTABLE.search(text)
    if unprintable is not None:
        lines = _LINE_END.split(prefix + text[: unprintable.start()])
        position = Position(file, len(lines), len(lines[-1]) + 1)
        raise _refused(position, f"the character {unprintable[0]!r} cannot stand in YAML")
    composer = _Composer(file, _LINE_END.split(prefix + text), len(prefix))
    try:
        root = composer.document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        raise ScenarioError([_syntax_mistake(error, composer)]) from error
    return Source(root, tuple(composer.mistakes))


def typed(text: str) -> Scalar:
    """The value of a plain scalar by YAML 1.2's core schema, with `_` between digits."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_DIGITS:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if abs(value) != float("inf"):
                return value
    return text


@dataclass(slots=True)
class _Composer:
    """Turns one document's events into nodes, collecting the mistakes that it can go on after."""

    file: str
    lines: list[str]
    shift: int
    mistakes: list[Mistake] = field(default_factory=list)
    values: int = 0

    def position(self, mark: _Mark | None) -> Position:
        assert mark is not None
        column = mark.column + 1 + (self.shift if mark.line == 0 else 0)
        line = self.lines[mark.line] if mark.line < len(self.lines) else ""
        return Position(self.file, mark.line + 1, column, line)

    def document(self, events: Iterator[yaml.Event]) -> Node:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                if root is not None:
                    raise ScenarioError(
                        [self._mistake(event, "a second document; a file holds one scenario")]
                    )
                root = self._node(event, events, 1)
        return root or ScalarNode(None, "", Position(self.file, 1, 1 + self.shift, self.lines[0]))

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise ScenarioError([self._mistake(event, f"nested more than {MAX_DEPTH} deep")])
        self.values += 1
        if self.values > MAX_VALUES:
            message = f"more than {MAX_VALUES:,} values, which no scenario needs"
            raise ScenarioError([self._mistake(event, message)])
        if isinstance(event, yaml.AliasEvent):
            self._add(event, "aliases are not supported", "write the value out here")
            return ScalarNode(None, "", self.position(event.start_mark))
        assert isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent))
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._add(event, f"the tag {tag} is not supported", "leave it out")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, events, depth)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        return self._sequence(event, events, depth)

    def _sequence(self, start: yaml.Event, events: Iterator[yaml.Event], depth: int) -> ListNode:
        items = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, depth + 1))
        return ListNode(tuple(items), self.position(start.start_mark))

    def _mapping(self, start: yaml.Event, events: Iterator[yaml.Event], depth: int) -> DictNode:
        entries: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._key(event, self._node(event, events, depth + 1))
            value = self._node(next(events), events, depth + 1)
            if key is None:
                continue
            if key in entries:
                first = keys[key].line
                self._add(event, f"duplicate key {key!r}", f"it stands on line {first} already")
                continue
            entries[key] = value
            keys[key] = self.position(event.start_mark)
        return DictNode(entries, keys, self.position(start.start_mark))

    def _key(self, event: yaml.Event, node: Node) -> str | None:
        if not isinstance(node, ScalarNode):
            self._add(event, "a key must be a plain string")
            return None
        if isinstance(event, yaml.AliasEvent):
            return None
        if node.text == "<<" and node.text_column == node.position.column:
            self._add(event, "merge keys are not supported", "write the keys out here")
            return None
        if not isinstance(node.value, str):
            self._add(event, f"the key {node.text} is not a string", f'quote it: "{node.text}"')
        return node.text

    def _scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        position = self.position(start)
        quotes = 1 if event.style in ("'", '"') else 0
        width = end.column - start.column if end.line == start.line else 0
        literal = event.style not in ("|", ">") and width == len(event.value) + 2 * quotes
        return ScalarNode(
            event.value if event.style else typed(event.value),
            event.value,
            position,
            position.column + quotes if literal else None,
        )

    def _add(self, event: yaml.Event, message: str, hint: str = "") -> None:
        self.mistakes.append(self._mistake(event, message, hint))

    def _mistake(self, event: yaml.Event, message: str, hint: str = "") -> Mistake:
        return Mistake(message, self.position(event.start_mark), hint)


def _refused(position: Position, message: str, hint: str = "") -> ScenarioError:
    return ScenarioError([Mistake(message, position, hint)])


def _syntax_mistake(error: yaml.MarkedYAMLError, composer: _Composer) -> Mistake:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "broken"
    position = composer.position(mark)
    if not position.source_line and error.context_mark is not None:
        # At the end of the file: what began and did not end says more.
        position = composer.position(error.context_mark)
        what = str(error.context).removeprefix("while ").removeprefix("parsing ")
        what = what.removeprefix("scanning ")
        return Mistake(f"not valid YAML: {problem} in {what} that begins here", position)
    before = position.source_line[: position.column - 1]
    rest = position.source_line[position.column - 1 :]
    if before.endswith("$") and rest.startswith("{"):
        hint = f"quote the value that holds it: {_quoted_value(before, rest)}"
        message = "an unquoted ${…} cannot stand inside {…} or […]"
        return Mistake(message, replace(position, column=position.column - 1), hint)
    return Mistake(f"not valid YAML: {problem}", position, _syntax_hint(rest, problem))


def _quoted_value(before: str, rest: str) -> str:
    start = max(before.rfind("{"), before.rfind("["), before.rfind(", "), before.rfind(": ")) + 1
    end = _REFERENCE_END.match(rest)
    value = before[start:].lstrip() + (end[0] if end else rest)
    return f'"{value}"'


def _syntax_hint(rest: str, problem: str) -> str:
    if rest.startswith("\t"):
        return "indent with spaces: YAML allows no tabs there"
    if rest[:1] in ("@", "`", "%", "*", "&", "!"):
        return f"quote a value that begins with {rest[0]}"
    if "mapping values are not allowed" in problem:
        return "check the indentation, and quote a value that holds a colon and a space"
    return ""
