"""From a scenario file to a `Scenario`: read, overlay, interpolate, validate, build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from stressrun.data.references import substitute
from stressrun.errors import Mistake, Position, ScenarioError
from stressrun.scenario.build import REFERENCES, build
from stressrun.scenario.files import Files, named_paths, with_absolute_paths
from stressrun.scenario.identity import Identity, identity_of
from stressrun.scenario.interpolate import Interpolation
from stressrun.scenario.model import CommandSeeding, Scenario
from stressrun.scenario.nodes import (
    DictNode,
    Fault,
    Faults,
    Node,
    Place,
    Plain,
    ScalarNode,
    locate,
    plain,
)
from stressrun.scenario.overlay import assigned, environment_lines, environment_names, overlaid
from stressrun.scenario.retype import as_written, settled
from stressrun.scenario.source import Source, read
from stressrun.scenario.validate import MOST_FAULTS
from stressrun.scenario.variables import collect

Document = dict[str, Plain]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario whose references to services and the run still stand in its strings.

    `document` is the canonical scenario as plain JSON values, `secrets` what no output may show.
    """

    scenario: Scenario
    document: Document
    secrets: tuple[str, ...]
    _root: Node
    _folder: Path

    def position(self, place: Place) -> Position:
        """Where a place of the document was written; in an overlay, or in a `--set`, for one.

        Of a place that no source has, what would hold it.
        """
        return locate(self._root, Fault(place, "")).position

    @property
    def files(self) -> list[Path]:
        """The files that it names and that are there, and the variables beside it."""
        named = (Path(path) for path in named_paths(self.document))
        return [path for path in (*named, self._folder / ".env") if path.is_file()]

    @property
    def preparing(self) -> list[CommandSeeding]:
        """The commands of `compare: prepare`; the folders that they name are absolute."""
        section = cast(Document, self.document.get("compare", {}))
        parts = cast(list[Plain], section.get("prepare", []))
        folders = (part.get("cwd") if isinstance(part, dict) else None for part in parts)
        commands = zip(self.scenario.compare.prepare, folders, strict=True)
        return [
            replace(command, cwd=str(folder)) if folder is not None else command
            for command, folder in commands
        ]

    @property
    def identity(self) -> Identity:
        """What its load can be told from that of another scenario by. Reads the files it names."""
        return identity_of(self.document, self._folder, self.secrets)

    def with_document(self, document: Document) -> Loaded:
        """The same with another document, which counts from `resolve` on."""
        return replace(self, document=document)

    def resolve(self, values: Mapping[str, str]) -> tuple[Document, Scenario]:
        """The document and the scenario with references replaced: `{"services.api.url": …}`.

        Raises ScenarioError where what they give is wrong.
        """
        document = cast(Document, substitute(self.document, values))
        document[REFERENCES] = dict(values)
        faults = Faults()
        scenario = build(document, faults, Files.of(self._folder))
        if faults.found:
            # Columns within a string are those of the source no more.
            found = [replace(fault, offset=None) for fault in faults.found]
            raise _error(self._root, found, (), self.secrets)
        return document, scenario


def load(
    path: Path,
    *,
    environment: str | None = None,
    sets: Sequence[str] = (),
    env_file: Path | None = None,
    environ: Mapping[str, str],
) -> Loaded:
    """The scenario of a file with one environment's overlay and `--set` assignments.

    Variables come from `environ`, then `env_file`, then `.env` beside the file. Raises
    ScenarioError with all mistakes.
    """
    source = read(path)
    variables = collect(environ, env_file, path.parent)
    return _loaded(source, path, environment, sets, variables)


def check(
    path: Path,
    *,
    sets: Sequence[str] = (),
    env_file: Path | None = None,
    environ: Mapping[str, str],
) -> Loaded:
    """As `load` without an environment, but every environment's overlay is checked as well."""
    source = read(path)
    variables = collect(environ, env_file, path.parent)
    try:
        loaded = _loaded(source, path, None, sets, variables)
        mistakes = []
    except ScenarioError as error:
        loaded, mistakes = None, list(error.mistakes)
    told = {(mistake.message, mistake.position) for mistake in mistakes}
    for environment in environment_names(source.root):
        lines = environment_lines(source.root, environment)
        try:
            _loaded(source, path, environment, sets, variables)
        except ScenarioError as error:
            mistakes += [
                replace(mistake, message=f"{mistake.message} (with -e {environment})")
                for mistake in error.mistakes
                if (mistake.message, mistake.position) not in told
                # What a wrong scenario's overlay did not bring follows from what has been told.
                and (not told or mistake.position.line in lines)
            ]
    if mistakes or loaded is None:
        raise ScenarioError(mistakes)
    return loaded


def _loaded(
    source: Source,
    path: Path,
    environment: str | None,
    sets: Sequence[str],
    variables: Mapping[str, str],
) -> Loaded:
    root = source.root
    if not isinstance(root, DictNode):
        raise ScenarioError([*source.mistakes, _not_a_mapping(root)])
    mistakes = list(source.mistakes)
    root = _overridden(root, environment, sets, mistakes)
    interpolation = Interpolation(variables)
    node, shape = settled(as_written(interpolation.apply(root)))
    secrets = tuple(interpolation.secrets)
    mistakes += interpolation.mistakes
    if len(shape) > MOST_FAULTS:
        raise _error(node, shape, mistakes, secrets)
    faults = Faults(shape)
    document = cast(Document, plain(node))
    scenario = build(document, faults, Files.of(path.parent))
    if mistakes or faults.found:
        raise _error(node, faults.found, mistakes, secrets)
    canonical = _canonical(document, scenario, path.parent)
    return Loaded(scenario, canonical, secrets, node, path.parent)


def _error(
    root: Node, faults: Sequence[Fault], mistakes: Sequence[Mistake], secrets: Sequence[str]
) -> ScenarioError:
    """All mistakes, one for each place: what was wrong before is not told again by its outcome."""
    told = {mistake.position for mistake in mistakes}
    located = [locate(root, fault) for fault in faults]
    every = [*mistakes, *(mistake for mistake in located if mistake.position not in told)]
    return ScenarioError([_masked(mistake, secrets) for mistake in every])


def _masked(mistake: Mistake, secrets: Sequence[str]) -> Mistake:
    message, hint = mistake.message, mistake.hint
    for secret in (secret for secret in secrets if len(secret) > 2):
        message, hint = message.replace(secret, "***"), hint.replace(secret, "***")
    return replace(mistake, message=message, hint=hint)


def _canonical(document: Document, scenario: Scenario, folder: Path) -> Document:
    """The document with what depends on the file's folder, and on defaults of services, told."""
    document = with_absolute_paths(document, folder)
    if scenario.database is not None:
        given = document.get("database")
        settings = given if isinstance(given, dict) else {}
        document["database"] = {**settings, "url": scenario.database.url}
    return document


def _not_a_mapping(root: Node) -> Mistake:
    hint = "begin with version: 1, name: …, stages: …"
    if isinstance(root, ScalarNode) and root.value is None:
        return Mistake("the file is empty", root.position, hint)
    return Mistake("expected a mapping of keys to values", root.position, hint)


def _overridden(
    root: DictNode, environment: str | None, sets: Sequence[str], mistakes: list[Mistake]
) -> DictNode:
    """The scenario with its overlay and assignments, and without `environments`."""
    try:
        if environment is not None:
            root = overlaid(root, environment)
    except ScenarioError as error:
        mistakes += error.mistakes
    for assignment in sets:
        try:
            root = assigned(root, assignment)
        except ScenarioError as error:
            mistakes += error.mistakes
    overlays = root.entries.get("environments")
    if overlays is not None and not isinstance(overlays, DictNode):
        message = "expected overlays by name, such as {staging: {base_url: …}}"
        mistakes.append(Mistake(message, overlays.position))
    entries = {key: node for key, node in root.entries.items() if key != "environments"}
    return replace(root, entries=entries)
