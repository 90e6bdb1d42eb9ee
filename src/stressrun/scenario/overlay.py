"""What changes a scenario from outside: an overlay of `environments:`, and `--set PATH=VALUE`.

Mappings are merged. An item of a list is addressed by its `name` (of seeding, its `table`) or its
index, so a mapping over a list changes items, and a list over a list replaces it. A mapping that
names another kind of the same thing (`vus` over `rate`, `url` over `command`) replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from stressrun.data.suggest import did_you_mean
from stressrun.errors import Mistake, Position, ScenarioError
from stressrun.scenario.nodes import DictNode, ListNode, Node, ScalarNode, find, within_request
from stressrun.scenario.source import compose
from stressrun.scenario.wording import there_are

_INDEX = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class _Rivals:
    """Keys that tell kinds of one thing apart, a set for each kind.

    Where one kind is put over another, the `whole` of the other goes, or only its keys.
    """

    kinds: tuple[frozenset[str], ...]
    whole: bool

    def lost(self, base: Collection[str], over: Collection[str]) -> set[str]:
        """The keys that `base` loses to `over`."""
        if not any(not kind.isdisjoint(over) for kind in self.kinds):
            return set()
        others = (kind for kind in self.kinds if kind.isdisjoint(over))
        rivals = frozenset[str]().union(*others) & set(base)
        return set(base) if rivals and self.whole else set(rivals)


def _one_of(*keys: str, whole: bool) -> _Rivals:
    return _Rivals(tuple(frozenset({key}) for key in keys), whole)


_SEEDINGS = _one_of("table", "sql", "sql_file", "command", "request", whole=True)
_SERVICES = _one_of("postgres", "command", "mock", "url", whole=True)
_LOADS = _Rivals(
    (
        frozenset({"rate"}),
        frozenset({"vus", "iterations", "iterations_per_vu"}),
        frozenset({"workers"}),
    ),
    whole=True,
)
_ITERATIONS = _one_of("iterations", "iterations_per_vu", whole=False)
_GENERATORS = _one_of(
    *("serial", "integer", "decimal", "faker", "hex", "text"),
    *("choice", "uuid", "timestamp", "constant", "json", "reference"),
    whole=True,
)
_BODIES = _one_of("json", "form", "multipart", "body", "body_file", whole=False)
_AUTHS = _one_of("basic", "bearer", "api_key", whole=True)
_CAPTURES = _one_of("json", "header", "cookie", "regex", whole=True)
_FEEDERS = _one_of("csv", "json_lines", "sql", whole=False)


def overlaid(root: DictNode, environment: str) -> DictNode:
    """The scenario with the overlay of an environment. Raises ScenarioError."""
    overlays = root.entries.get("environments")
    known = overlays.entries if isinstance(overlays, DictNode) else {}
    overlay = known.get(environment)
    if overlay is None:
        flag = Position(f"-e {environment}", 1, 1, environment)
        hint = did_you_mean(environment, known) or there_are("environments", known)
        raise ScenarioError([Mistake(f"no environment {environment!r}", flag, hint)])
    if not isinstance(overlay, DictNode):
        raise ScenarioError([Mistake("expected the keys to override", overlay.position)])
    mistakes: list[Mistake] = []
    for key in ("version", "environments"):
        if key in overlay.entries:
            message = f"{key!r} cannot be overridden by an environment"
            mistakes.append(Mistake(message, overlay.keys[key]))
    merged = _merged(root, overlay, (), mistakes)
    if mistakes:
        raise ScenarioError(mistakes)
    assert isinstance(merged, DictNode)
    return merged


def environment_names(root: Node) -> tuple[str, ...]:
    """The names of a scenario's overlays, or none where they are no mapping."""
    overlays = root.entries.get("environments") if isinstance(root, DictNode) else None
    return tuple(overlays.entries) if isinstance(overlays, DictNode) else ()


def environment_lines(root: Node, environment: str) -> set[int]:
    """The lines on which an environment's overlay stands."""
    overlay = find(root, ("environments", environment))
    return set() if overlay is None else set(_lines(overlay))


def assigned(root: DictNode, assignment: str) -> DictNode:
    """The scenario with one `PATH=VALUE`, the value in YAML. Raises ScenarioError."""
    path, equals, value = assignment.partition("=")
    file = f"--set {assignment}"
    steps = path.split(".")
    if not equals or not all(steps):
        hint = "write --set PATH=VALUE, such as --set stages.peak.duration=5s"
        position = Position(file, 1, 1, assignment)
        raise ScenarioError([Mistake("not of the form PATH=VALUE", position, hint)])
    source = compose(value, file, prefix=f"{path}=")
    if source.mistakes:
        raise ScenarioError(source.mistakes)
    node = source.root
    # The innermost first: each step is wrapped into a mapping of one key, and that is merged.
    for index in range(len(steps) - 1, -1, -1):
        column = sum(len(step) + 1 for step in steps[:index]) + 1
        position = Position(file, 1, column, assignment)
        node = DictNode({steps[index]: node}, {steps[index]: position}, position)
    mistakes: list[Mistake] = []
    merged = _merged(root, node, (), mistakes, depth=len(steps))
    if mistakes:
        raise ScenarioError(mistakes)
    assert isinstance(merged, DictNode)
    return merged


def _merged(
    base: Node, over: Node, place: tuple[str, ...], mistakes: list[Mistake], depth: int = 1000
) -> Node:
    """`over` put on `base`; below `depth` mappings it replaces instead of merging."""
    if depth == 0:
        return over
    if place == ("database",):
        base, over = _long_form(base, over), _long_form(over, base)
    if not isinstance(over, DictNode):
        return over
    if isinstance(base, ListNode):
        return _merged_list(base, over, place, mistakes, depth)
    if not isinstance(base, DictNode):
        return over
    entries, keys = dict(base.entries), dict(base.keys)
    for key in _replaced(base, over, place):
        del entries[key], keys[key]
    for key, node in over.entries.items():
        former = entries.get(key)
        inner = (*place, key)
        entries[key] = node if former is None else _merged(former, node, inner, mistakes, depth - 1)
        keys[key] = over.keys[key]
    return replace(base, entries=entries, keys=keys)


def _long_form(database: Node, other: Node) -> Node:
    """A database's URL as the mapping that it is short for, where the other is a mapping."""
    if not (isinstance(database, ScalarNode) and isinstance(other, DictNode)):
        return database
    return DictNode({"url": database}, {"url": database.position}, database.position)


def _merged_list(
    base: ListNode, over: DictNode, place: tuple[str, ...], mistakes: list[Mistake], depth: int
) -> ListNode:
    items = list(base.items)
    names = [_name(item) or str(index) for index, item in enumerate(items)]
    for key, node in over.entries.items():
        if key in names:
            index = names.index(key)
        elif _INDEX.fullmatch(key) and int(key) < len(items):
            index = int(key)
        else:
            hint = did_you_mean(key, names) or there_are(f"items of {place[-1]}", names)
            mistakes.append(Mistake(f"no item {key!r} in {place[-1]}", over.keys[key], hint))
            continue
        items[index] = _merged(items[index], node, (*place, key), mistakes, depth - 1)
    return replace(base, items=tuple(items))


def _replaced(base: DictNode, over: DictNode, place: tuple[str, ...]) -> set[str]:
    """The keys that a mapping loses because the one over it names another kind."""
    lost = (rivals.lost(base.entries, over.entries) for rivals in _rivals_at(place))
    return set[str]().union(*lost)


def _rivals_at(place: tuple[str, ...]) -> tuple[_Rivals, ...]:
    match place, within_request(place):
        case ("services", _), _:
            return (_SERVICES,)
        case ("seeding", _), _:
            return (_SEEDINGS, _BODIES)
        case ("feeders", _), _:
            return (_FEEDERS,)
        case ("stages", _, _), _:
            return (_LOADS, _ITERATIONS)
        case (_, _, "columns", _), _:
            return (_GENERATORS,)
        case ("http", "auth"), _:
            return (_AUTHS,)
        case _, ():
            return (_BODIES,)
        case _, ("auth",):
            return (_AUTHS,)
        case _, ("capture", _):
            return (_CAPTURES,)
    return ()


def _lines(node: Node) -> Iterator[int]:
    yield node.position.line
    if isinstance(node, DictNode):
        yield from (position.line for position in node.keys.values())
        for child in node.entries.values():
            yield from _lines(child)
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from _lines(item)


def _name(item: Node) -> str | None:
    """How an item is addressed: by its name, or its table's."""
    if not isinstance(item, DictNode):
        return None
    name = item.entries.get("name", item.entries.get("table"))
    return name.text if isinstance(name, ScalarNode) else None
