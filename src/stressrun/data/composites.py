"""Generators that need others or a database: null shares, JSON documents, references to rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

from stressrun.data.kinds import Generator, Read, ReadSpan, Render, Scalar, T
from stressrun.data.pools import Pool, draw_number
from stressrun.data.render import as_read_back

JsonTemplate: TypeAlias = (
    "Generator | Scalar | tuple[JsonTemplate, ...] | Mapping[str, JsonTemplate]"
)


@dataclass(frozen=True, slots=True)
class Nullable(Generator):
    """Null in a share of the rows, in the others what a generator gives."""

    generator: Generator
    share: float

    @property
    def sql_type(self) -> str | None:
        return self.generator.sql_type

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        is_null = self._nulls(seed, site).reader()
        read, null = self.generator.compile_as(seed, site, render), render(None)
        return lambda index: null if is_null(index) else read(index)

    def compile_span(self, seed: int, site: str, render: Render[T]) -> ReadSpan[T]:
        nulls = self._nulls(seed, site).span
        read, null = self.generator.compile_span(seed, site, render), render(None)
        return lambda indices: [
            null if is_null else value
            for is_null, value in zip(nulls(indices), read(indices), strict=True)
        ]

    def _nulls(self, seed: int, site: str) -> Pool[bool]:
        share = self.share
        draw: Callable[[Random], bool] = lambda random: random.random() < share  # noqa: E731
        return Pool(draw, bool, seed, f"null {site}")


@dataclass(frozen=True, slots=True)
class Document(Generator):
    """An object or a list as JSON has it, whose leaves are generated or stand fast."""

    template: JsonTemplate

    @property
    def sql_type(self) -> str:
        return "jsonb"

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        build = _builder(self.template, seed, site)
        return lambda index: render(build(index))


@dataclass(frozen=True, slots=True)
class RowReference(Generator):
    """A column's value in one of the rows that the run has put into a table.

    `values` are those that there are to choose from, once the table is filled.
    """

    table: str
    column: str
    values: Sequence[object] = ()

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}"

    @property
    def sql_type(self) -> None:
        return None

    def compile_as(self, seed: int, site: str, render: Render[T]) -> Read[T]:
        rendered = [render(value) for value in self.values]
        place = draw_number(len(rendered), seed, site)
        return lambda index: rendered[place(index)]


def leaves(generator: Generator) -> Iterator[Generator]:
    """The generators that one is made of in the end: itself, where it is not made of others."""
    match generator:
        case Nullable(inner):
            yield from leaves(inner)
        case Document(template):
            yield from _leaves(template)
        case _:
            yield generator


def foreign_key(generator: Generator) -> RowReference | None:
    """The reference that a generator itself is, with or without nulls."""
    match generator:
        case RowReference():
            return generator
        case Nullable(inner):
            return foreign_key(inner)
    return None


def row_references(generator: Generator) -> Iterator[RowReference]:
    """All references to rows in a generator."""
    return (leaf for leaf in leaves(generator) if isinstance(leaf, RowReference))


def with_values(generator: Generator, values: Mapping[str, Sequence[object]]) -> Generator:
    """The generator with the values that its references choose from, by their `table.column`."""
    match generator:
        case RowReference():
            return replace(generator, values=values[generator.name])
        case Nullable(inner):
            return replace(generator, generator=with_values(inner, values))
        case Document(template):
            return Document(_with_values(template, values))
    return generator


def _leaves(template: JsonTemplate) -> Iterator[Generator]:
    if isinstance(template, Generator):
        yield from leaves(template)
    elif isinstance(template, Mapping):
        yield from _leaves(tuple(template.values()))
    elif isinstance(template, tuple):
        for item in template:
            yield from _leaves(item)


def _with_values(template: JsonTemplate, values: Mapping[str, Sequence[object]]) -> JsonTemplate:
    if isinstance(template, Generator):
        return with_values(template, values)
    if isinstance(template, Mapping):
        return {key: _with_values(item, values) for key, item in template.items()}
    if isinstance(template, tuple):
        return tuple(_with_values(item, values) for item in template)
    return template


def _builder(template: JsonTemplate, seed: int, site: str) -> Read[object]:
    """What builds the value of a template for an index."""
    if isinstance(template, Generator):
        return template.compile_as(seed, site, as_read_back)
    if isinstance(template, Mapping):
        items = [(key, _builder(item, seed, f"{site}.{key}")) for key, item in template.items()]
        return lambda index: {key: read(index) for key, read in items}
    if isinstance(template, tuple):
        reads = [_builder(item, seed, f"{site}.{place}") for place, item in enumerate(template)]
        return lambda index: [read(index) for read in reads]
    value = as_read_back(template)
    return lambda index: value
