"""The `seeding:` of a scenario: tables, SQL, commands and requests, in the order that they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import groupby

from stressrun.data.composites import RowReference, row_references
from stressrun.data.references import find_references, substitute
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.files import Files
from stressrun.scenario.model import (
    CommandSeeding,
    RequestSeeding,
    Seed,
    SeedingStep,
    SqlSeeding,
)
from stressrun.scenario.nodes import Faults
from stressrun.scenario.part import Part
from stressrun.scenario.references import References
from stressrun.scenario.requests import Requests
from stressrun.scenario.scope import Scope, Sources
from stressrun.scenario.services import command_words, texts
from stressrun.scenario.tables import declared_tables
from stressrun.scenario.wording import there_are

_WITHIN = 60.0
_ABSENT = (
    "is not there yet while the data is seeded",
    "generate the value, such as ${uuid} or ${integer(1, 9)}, or do it by sql",
)
_NUL = "a NUL character, which no statement can hold"

Tables = Sequence[tuple[Part, Seed]]
"""The tables that are filled, each with the part of the document that says so."""


class SeedingSteps:
    """Builds the steps that are no table."""

    def __init__(self, files: Files, references: References, requests: Requests) -> None:
        self._files = files
        self._references = references
        self._requests = requests

    def build(self, part: Part) -> SqlSeeding | CommandSeeding | RequestSeeding:
        """A step from its part of the document."""
        if "sql" in part:
            sql = part["sql"].literal()
            if "\0" in sql:
                part["sql"].fault(_NUL)
            return SqlSeeding(sql, None)
        if "sql_file" in part:
            return self._from_file(part["sql_file"])
        if "command" in part:
            return build_command(part, within=_WITHIN)
        if "capture" in part and "undo" not in part:
            part["capture"].fault(
                "nothing needs what is captured here",
                "name it in undo, such as undo: DELETE /carts/${cart}, or leave it out",
                at_key=True,
            )
        return RequestSeeding(self._requests.build(part, Scope(Sources({}, absent=_ABSENT)), None))

    def _from_file(self, part: Part) -> SqlSeeding:
        """The SQL of a file; mistakes in it name the file and the line."""
        path, content = self._files.path(part), self._files.content(part)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            part.fault(f"{part.text()}:{line}: not UTF-8", "save it as UTF-8")
            return SqlSeeding("", path)
        if self._references.values:
            text = str(substitute(text, self._references.values))

        def tell(message: str, hint: str, at: int) -> None:
            part.fault(f"{part.text()}:{text.count(chr(10), 0, at) + 1}: {message}", hint)

        if "\0" in text:
            tell(_NUL, "", text.index("\0"))
        own = Faults()
        sql = Part(text, part.place, own).literal()
        for fault in own.found:
            tell(fault.message, fault.hint, fault.offset or 0)
        for reference in find_references(text):
            problem = self._references.problem(reference)
            if problem is not None:
                tell(*problem, reference.offset)
        return SqlSeeding(sql, path)


def build_command(part: Part, *, within: float) -> CommandSeeding:
    """A command that has to end well, by default `within` so many seconds."""
    cwd = part.get("cwd")
    return CommandSeeding(
        command_words(part["command"]),
        texts(part, "env"),
        "." if cwd is None else cwd.literal(),
        part.duration("within", within, positive=True),
    )


def in_order(steps: Sequence[SeedingStep], tables: Tables, root: Part) -> tuple[SeedingStep, ...]:
    """The steps as they are done: in the order of the file, but tables after those they refer to.

    `tables` are those among the steps. A reference that cannot be met is a fault.
    """
    groups = [list(group) for _, group in groupby(steps, lambda step: isinstance(step, Seed))]
    needs = list(_needs(tables, groups, root))
    return tuple(step for group in groups for step in _sorted(group, needs))


@dataclass(frozen=True, slots=True)
class _Need:
    """That a table refers to another one, and where."""

    table: str
    other: str
    part: Part


def _needs(tables: Tables, groups: Sequence[Sequence[SeedingStep]], root: Part) -> Iterator[_Need]:
    """The references that can be met; the others are faults."""
    seeds = {seed.table.name: seed for _, seed in tables}
    declared = list(declared_tables(root))
    number_of = {
        step.table.name: number
        for number, group in enumerate(groups)
        for step in group
        if isinstance(step, Seed)
    }
    for part, seed in tables:
        for column in seed.table.columns:
            place = part["columns"][column.name]
            place = place.get("reference") or place
            for reference in row_references(column.generator):
                other, table = seeds.get(reference.table), seed.table.name
                if other is None and reference.table in declared:
                    continue  # What is wrong with that table has been told.
                problem = _unmet(reference, other, declared)
                if problem is not None:
                    place.fault(*problem)
                elif number_of[reference.table] > number_of[table]:
                    place.fault(
                        f"{reference.table} is seeded later than {table}",
                        f"move {reference.table} before the steps that stand between them",
                    )
                else:
                    yield _Need(table, reference.table, place)


def _unmet(
    reference: RowReference, other: Seed | None, declared: Sequence[str]
) -> tuple[str, str] | None:
    """The message and the hint for a reference to what is not there."""
    if other is None:
        hint = did_you_mean(reference.table, declared) or there_are("seeded tables", declared)
        return f"the scenario seeds no table {reference.table!r}", hint
    columns = (other.table.key, *(column.name for column in other.table.columns))
    if reference.column not in columns:
        listed = there_are(f"columns of {reference.table}", columns)
        hint = did_you_mean(reference.column, columns) or listed
        return f"{reference.table} has no column {reference.column!r}", hint
    if not other.rows:
        return f"{reference.table} has no rows to refer to", "give it some, such as rows: 100"
    return None


def _sorted(group: Sequence[SeedingStep], needs: Sequence[_Need]) -> Sequence[SeedingStep]:
    """Tables after those they need, other steps as they are; a circle is a fault."""
    seeds = {step.table.name: step for step in group if isinstance(step, Seed)}
    if not seeds:
        return group
    order = TopologicalSorter[str](dict.fromkeys(seeds, ()))
    for need in needs:
        if need.table in seeds and need.other in seeds:
            order.add(need.table, need.other)
    try:
        return [seeds[name] for name in order.static_order()]
    except CycleError as error:
        circle = error.args[1][::-1]
        first = next(n for n in needs if (n.table, n.other) == (circle[0], circle[1]))
        first.part.fault(
            f"the tables refer to each other in a circle: {' → '.join(circle)}",
            "leave one reference out, and set its column by sql after the tables",
        )
        return group
