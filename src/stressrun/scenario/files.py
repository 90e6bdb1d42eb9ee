"""The files that a scenario names, relative to its folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stressrun.scenario.nodes import Place, Plain, within_request
from stressrun.scenario.part import Part

_MOST_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one scenario, by its folder.

    What is in them is sent, so they lie below the `root`; None: that has been seen to.
    """

    folder: Path
    root: Path | None = None

    @classmethod
    def of(cls, folder: Path) -> Files:
        """The files of a scenario that is read: those in its folder, or in its repository."""
        return cls(folder, _root_of(folder))

    def path(self, part: Part) -> str:
        """The absolute path that a part names."""
        return _absolute(part.literal(), self.folder)

    def readable(self, part: Part) -> str:
        """As `path`; that there is no file to be read there is a fault."""
        path = self.path(part)
        self._read(part, path, 0)
        return path

    def trusted(self, part: Part) -> str:
        """As `readable`, of a file whose content stays here, wherever it lies."""
        return Files(self.folder).readable(part)

    def content(self, part: Part) -> bytes:
        """What is in a file that is sent; nothing where that is a fault."""
        content = self._read(part, self.path(part), _MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            part.fault(f"larger than {_MOST_BYTES // 1_000_000} MB, which no request needs")
        return content

    def _read(self, part: Part, path: str, size: int) -> bytes:
        try:
            if self._is_outside(path):
                part.fault(
                    f"{os.path.relpath(path, self.folder)} lies outside of {self.root}",
                    "a scenario reads files of its own folder, or of its repository: copy it there",
                )
                return b""
            # What is no file, such as a pipe, could be waited for without end.
            if os.path.exists(path) and not os.path.isfile(path):
                reason = "it is no file"
            else:
                with open(path, "rb") as file:
                    return file.read(size)
        except (OSError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error)
        part.fault(f"cannot be read: {reason}", f"it is looked for as {path}")
        return b""

    def _is_outside(self, path: str) -> bool:
        """Whether it leads out of the root. Raises ValueError where no file is called so."""
        root = self.root
        return root is not None and not Path(os.path.realpath(path)).is_relative_to(root)


def _root_of(folder: Path) -> Path:
    """The repository that a folder belongs to, or else the folder."""
    here = folder.resolve()
    for above in (here, *here.parents):
        # Some keep their home in one, with keys and passwords that no scenario is for.
        if (above / ".git").exists() and above not in (Path.home(), Path(above.anchor)):
            return above
    return here


def with_absolute_paths(document: Mapping[str, Plain], folder: Path) -> dict[str, Plain]:
    """A document whose paths mean the same in any folder."""
    return with_paths(document, lambda path: _absolute(path, folder))


def with_paths(document: Mapping[str, Plain], changed: Callable[[str], str]) -> dict[str, Plain]:
    """A document whose paths are changed by a function."""
    return {key: _with_paths(value, (key,), changed) for key, value in document.items()}


def named_paths(document: Plain, place: Place = ()) -> Iterator[str]:
    """The paths in a canonical document."""
    if isinstance(document, dict):
        for key, child in document.items():
            yield from named_paths(child, (*place, key))
    elif isinstance(document, list):
        for number, child in enumerate(document):
            yield from named_paths(child, (*place, number))
    elif isinstance(document, str) and _is_path(place):
        yield document


def _with_paths(value: Plain, place: Place, changed: Callable[[str], str]) -> Plain:
    if isinstance(value, dict):
        return {key: _with_paths(child, (*place, key), changed) for key, child in value.items()}
    if isinstance(value, list):
        return [_with_paths(item, (*place, n), changed) for n, item in enumerate(value)]
    if isinstance(value, str) and _is_path(place):
        return changed(value)
    return value


def _is_path(place: Place) -> bool:
    match place, within_request(place):
        case ("services", _, "cwd"), _:
            return True
        case ("seeding", _, "cwd" | "sql_file") | ("compare", "prepare", _, "cwd"), _:
            return True
        case ("feeders", _, "csv" | "json_lines"), _:
            return True
        case ("http", "unix_socket") | ("http", "tls", "ca" | "certificate" | "key"), _:
            return True
        case _, ("body_file",) | ("multipart", _, "file"):
            return True
    return False


def _absolute(path: str, folder: Path) -> str:
    return os.path.abspath(os.path.join(folder, path))
