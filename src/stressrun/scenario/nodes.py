"""A scenario as a tree of nodes that know where they stand in the source.

A *place* is the path from the root to a node, such as `("stages", 2, "duration")`; it is how the
parts that see only plain values (the schema, the builder) say where a fault is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from stressrun.errors import Mistake, Position

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A single value.

    `text` is what was written, before it got a type. `text_column` is where that text begins when
    it stands on one line exactly so, and None when its columns cannot be known. `variables` are
    the environment variables that it was made from.
    """

    value: Scalar
    text: str
    position: Position
    text_column: int | None = None
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class DictNode:
    """A mapping; `keys` holds where each of its keys stands."""

    entries: Mapping[str, Node]
    keys: Mapping[str, Position]
    position: Position


Node = ScalarNode | ListNode | DictNode


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake by its place: at its key where `at_key`, `offset` characters into its string."""

    place: Place
    message: str
    hint: str = ""
    offset: int | None = None
    at_key: bool = False


class Faults:
    """Collects the faults of a document, and knows which of its parts are sound."""

    def __init__(self, found: Iterable[Fault] = ()) -> None:
        self.found: list[Fault] = []
        self._wrong: set[Place] = set()
        self._holding: set[Place] = set()
        for fault in found:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        self.found.append(fault)
        self._wrong.add(fault.place)
        self._holding.update(fault.place[:depth] for depth in range(len(fault.place) + 1))

    def sound(self, place: Place) -> bool:
        """Whether no fault has been found at a place, below it, or at what holds it.

        What is wrong with the whole document, such as a missing key, counts for none of its parts.
        """
        above = (place[:depth] for depth in range(1, len(place)))
        return place not in self._holding and self._wrong.isdisjoint(above)


def within_request(place: Place) -> Place | None:
    """What of a place lies within a request: `("json", "id")` of `("endpoints", 0, "json", "id")`.

    Of the place of a request itself that is `()`, and None of a place outside of all requests.
    """
    depth = {"endpoints": 2, "login": 1, "seeding": 2}.get(str(place[0])) if place else None
    if depth is None or len(place) < depth:
        return None
    rest = place[depth:]
    while len(rest) > 1 and rest[0] == "steps":
        rest = rest[2:]
    return rest


def plain(node: Node) -> Plain:
    """The values of a node without their positions: what JSON can hold."""
    if isinstance(node, DictNode):
        return {key: plain(child) for key, child in node.entries.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value


def find(root: Node, place: Place) -> Node | None:
    """The node at a place, or None."""
    node: Node | None = root
    for step in place:
        if isinstance(node, DictNode) and isinstance(step, str):
            node = node.entries.get(step)
        elif isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def put(root: Node, place: Place, node: Node | None) -> Node:
    """A tree like `root` with another node at a place that exists; None takes a key out."""
    step, rest = place[0], place[1:]
    if isinstance(root, DictNode) and isinstance(step, str):
        entries = dict(root.entries)
        changed = put(entries[step], rest, node) if rest else node
        if changed is None:
            del entries[step]
        else:
            entries[step] = changed
        return replace(root, entries=entries)
    if isinstance(root, ListNode) and isinstance(step, int):
        items = list(root.items)
        changed = put(items[step], rest, node) if rest else node
        items[step] = items[step] if changed is None else changed
        return replace(root, items=tuple(items))
    raise KeyError(place)


def column_at(node: ScalarNode, offset: int) -> Position:
    """Where a character of a scalar stands, or the scalar where that cannot be known."""
    if node.text_column is None:
        return node.position
    return replace(node.position, column=node.text_column + offset)


def locate(root: Node, fault: Fault) -> Mistake:
    """A fault with its position in the source; of a place that is not there, what would hold it."""
    place = fault.place
    while (node := find(root, place)) is None:
        place = place[:-1]
    position = node.position
    if isinstance(node, ScalarNode) and fault.offset is not None:
        position = column_at(node, fault.offset)
    elif fault.at_key and place == fault.place:
        parent = find(root, place[:-1])
        if isinstance(parent, DictNode):
            position = parent.keys[str(place[-1])]
    hint = fault.hint
    if isinstance(node, ScalarNode) and node.variables:
        hint = f"{hint}; " if hint else ""
        hint += "it comes from " + ", ".join(f"${{{name}}}" for name in node.variables)
    return Mistake(fault.message, position, hint)
