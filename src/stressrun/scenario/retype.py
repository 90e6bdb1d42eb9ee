"""Values of variables get the types that the schema wants."""

from __future__ import annotations

from dataclasses import replace

from stressrun.scenario.nodes import (
    DictNode,
    Fault,
    ListNode,
    Node,
    Place,
    ScalarNode,
    find,
    plain,
    put,
    within_request,
)
from stressrun.scenario.validate import schema_faults


def settled(root: Node) -> tuple[Node, list[Fault]]:
    """The tree with variables' values of the type that the schema wants, and its faults.

    A value that got another type is tried as the text that it was, an empty one as left out.
    """
    faults = schema_faults(plain(root))
    for attempt in (_as_string, _left_out):
        nodes = {fault.place: find(root, fault.place) for fault in faults}
        retyped = {
            place: node
            for place, node in nodes.items()
            if isinstance(node, ScalarNode) and node.variables and not isinstance(node.value, str)
        }
        if not retyped:
            break
        tried = root
        for place, node in retyped.items():
            tried = put(tried, place, attempt(node))
        left = schema_faults(plain(tried))
        wrong = {fault.place for fault in left if fault.place in retyped or fault not in faults}
        for place, node in retyped.items():
            if place not in wrong and place[:-1] not in wrong:
                root = put(root, place, attempt(node))
                faults = [fault for fault in faults if fault.place != place]
    return root, faults


def _as_string(node: ScalarNode) -> ScalarNode | None:
    return replace(node, value=node.text)


def _left_out(node: ScalarNode) -> ScalarNode | None:
    return None if node.text == "" else node


def as_written(root: Node, place: Place = ()) -> Node:
    """The tree with the scalars that are text whatever they look like as they were written."""
    if isinstance(root, DictNode):
        entries = {key: as_written(child, (*place, key)) for key, child in root.entries.items()}
        return replace(root, entries=entries)
    if isinstance(root, ListNode):
        items = (as_written(item, (*place, index)) for index, item in enumerate(root.items))
        return replace(root, items=tuple(items))
    if root.value is not None and _is_text(place):
        return replace(root, value=root.text)
    return root


def _is_text(place: Place) -> bool:
    match place:
        case ("services", _, "env" | "settings", _) | ("seeding", _, "env", _):
            return True
        case ("http", "headers", _) | ("http", "auth", "api_key", "value"):
            return True
    match within_request(place):
        case ("headers" | "query" | "form" | "multipart", _) | ("query" | "form", _, int()):
            return True
        case ("auth", "api_key", "value"):
            return True
        case ("expect", "headers", _) | ("expect", "headers", _, "equals" | "not" | "contains"):
            return True
    return False
