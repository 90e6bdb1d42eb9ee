"""What is wrong with the shape of a document, told in the words of the schema.

Of a union (`anyOf`) the branch is chosen that the value is meant for: by its type, and among
mappings by the keys that the branch requires. The `title` of a schema says what it asks for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stressrun.data.suggest import did_you_mean
from stressrun.scenario.nodes import Fault, Place, Plain
from stressrun.scenario.wording import one_of, there_are

Schema = Mapping[str, Any]

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_YES_OR_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_UNITS = (
    ("a duration", "{0} has no unit: write {0}s or {0}ms"),
    ("a rate", "{0} has no unit: write {0}/s or {0}/m"),
    ("a size", "{0} has no unit: write {0}B or {0}KB"),
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A keyword of the schema that a value violates.

    `of_key` says that the value is a key of the mapping at `place`; `branch` is the number of the
    union's branch that this belongs to, and `inner` holds the violations of a union's branches.
    """

    keyword: str
    rule: Any
    schema: Schema
    instance: Plain
    place: Place
    of_key: bool
    branch: int | None
    inner: tuple[Violation, ...]


class Explanation:
    """Makes faults of violations of one schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def faults(self, violation: Violation) -> Iterator[Fault]:
        """What a violation says to who wrote the document."""
        if violation.keyword == "anyOf":
            yield from self._union(violation)
        elif violation.keyword == "additionalProperties":
            yield from _unknown_keys(violation, {})
        elif violation.keyword == "required":
            yield from self._missing_keys(violation)
        elif violation.of_key:
            key = str(violation.instance)
            message = f"expected {self._title(violation.schema)}, not {show(key)}"
            yield Fault((*violation.place, key), message, at_key=True)
        else:
            yield self._unexpected(violation)

    def _union(self, union: Violation) -> Iterator[Fault]:
        branches = [self._resolved(branch) for branch in union.rule]
        fits = [n for n, one in enumerate(branches) if self._accepts(one, union.instance)]
        marks: dict[str, int] = {}
        if isinstance(union.instance, dict) and len(fits) > 1:
            instance = union.instance
            needs = {n: branches[n].get("required", ()) for n in fits}
            required = Counter(key for n in fits for key in needs[n])
            marks = {key: count for key, count in required.items() if count < len(fits)}
            # The branch that has the most of its keys there; of equals one that needs none.
            fits.sort(key=lambda n: (-len(instance.keys() & needs[n]), bool(needs[n])))
            if marks.keys().isdisjoint(instance) and all(needs.values()):
                guesses = (did_you_mean(key, marks) for key in instance)
                guess = next((guess for guess in guesses if guess), "")
                yield Fault(union.place, f"expected one of the keys {one_of(marks)}", guess)
                return
        if not fits:
            yield self._unexpected(union)
            return
        for inner in union.inner:
            if inner.branch != fits[0]:
                continue
            if inner.keyword == "additionalProperties" and inner.place == union.place:
                yield from _unknown_keys(inner, marks)
            else:
                yield from self.faults(inner)

    def _missing_keys(self, violation: Violation) -> Iterator[Fault]:
        assert isinstance(violation.instance, dict)
        for key in violation.rule:
            if key in violation.instance:
                continue
            schema = self._resolved(violation.schema["properties"][key])
            what = violation.schema.get("title", "this mapping")
            examples = schema.get("examples") or self._examples(schema)
            hint = f"such as {key}: {_flow(examples[0])}" if examples else ""
            yield Fault(violation.place, f"{key!r} is missing in {what}", hint)

    def _examples(self, schema: Schema) -> list[Plain]:
        inner = schema.get("allOf", ())
        return [example for one in inner for example in self._resolved(one).get("examples", ())]

    def _unexpected(self, violation: Violation) -> Fault:
        place, instance = violation.place, violation.instance
        title = self._title(violation.schema)
        if violation.keyword in ("minItems", "minProperties") and not instance:
            return Fault(place, f"expected {title}, and at least one")
        if violation.keyword == "uniqueItems":
            return Fault(place, f"expected {title}, each of them once")
        message = f"expected {title}, not {show(instance)}"
        if isinstance(instance, (str, int, float)) and _NUMBER.fullmatch(str(instance)):
            for begin, unitless in _UNITS:
                if title.startswith(begin):
                    return Fault(place, unitless.format(instance), f"expected {title}")
        return Fault(place, message, self._hint(violation.schema, instance))

    def _hint(self, schema: Schema, instance: Plain) -> str:
        if isinstance(instance, str):
            if choices := self._choices(schema):
                return did_you_mean(instance, choices)
            if instance.lower() in _YES_OR_NO and self._accepts(schema, True):
                return f"write {_YES_OR_NO[instance.lower()]}"
            if _NUMBER.fullmatch(instance) and self._accepts(schema, 1):
                return f"leave out the quotes: {instance}"
        elif isinstance(instance, (bool, int, float)) and self._accepts(schema, ""):
            return f'quote it: "{show(instance)}"'
        return ""

    def _choices(self, schema: Schema) -> list[str]:
        inner = (self._resolved(branch) for branch in schema.get("anyOf", ()))
        return [*schema.get("enum", ()), *(word for one in inner for word in self._choices(one))]

    def _title(self, schema: Schema) -> str:
        """What a schema asks for, in words."""
        if "title" in schema:
            return str(schema["title"])
        inner = (*schema.get("anyOf", ()), *schema.get("allOf", ()))
        titles = (self._title(self._resolved(one)) for one in inner)
        return ", or ".join(dict.fromkeys(title for title in titles if title))

    def _accepts(self, schema: Schema, instance: Plain) -> bool:
        """Whether a schema is meant for values of this type, be they right or not."""
        if not schema:
            return False
        if "anyOf" in schema:
            return any(self._accepts(self._resolved(one), instance) for one in schema["anyOf"])
        if "allOf" in schema:
            return all(self._accepts(self._resolved(one), instance) for one in schema["allOf"])
        if "const" in schema:
            return type(instance) is type(schema["const"])
        types = schema.get("type", "string")
        names = [types] if isinstance(types, str) else types
        if isinstance(instance, bool):
            return "boolean" in names
        return any(isinstance(instance, _TYPES[name]) for name in names)

    def _resolved(self, schema: Schema | bool) -> Schema:
        """A schema for what may be a reference to it; the one that allows nothing is empty."""
        if isinstance(schema, bool):
            return {}
        if "$ref" not in schema:
            return schema
        found: Any = self._root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return self._resolved(found)


def show(value: Plain) -> str:
    """A value as a message quotes it: short, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    shown = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return shown if len(shown) <= 40 else "a list"
    return shown if len(shown) <= 60 else f"{shown[:56]}…{shown[-1]}"


def _unknown_keys(violation: Violation, marks: Mapping[str, int]) -> Iterator[Fault]:
    """The keys that a mapping cannot have.

    `marks` are those that a union's branches require, with the number of branches that do.
    """
    instance, known = violation.instance, violation.schema["properties"]
    assert isinstance(instance, dict)
    for key in instance:
        if key in known:
            continue
        place = (*violation.place, key)
        if key in marks:
            present = (mark for mark in marks if mark in known and mark in instance)
            other = min(present, key=marks.__getitem__)
            message = f"{key!r} cannot stand beside {other!r}"
            yield Fault(place, message, "leave one of them out", at_key=True)
        else:
            free = [name for name in known if name not in instance]
            hint = did_you_mean(key, free) or there_are("keys here", known)
            yield Fault(place, f"unknown key {key!r}", hint, at_key=True)


def _flow(value: Plain) -> str:
    """A value in YAML's flow style, as a scenario would have it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return f'"{value}"' if re.search(r"[{}\[\],#]|: ", value) else value
    return json.dumps(value)
