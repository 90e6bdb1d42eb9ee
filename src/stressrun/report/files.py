"""Reports as files: each is written whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from stressrun.errors import ReportError


def check_writable(path: Path, option: str) -> None:
    """Find out before the run that its report will have a place. Raises ReportError.

    The `option` is what could name another.
    """
    unfinished = _unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.open("ab").close()
        unfinished.unlink()
        reason = "it is no file" if path.exists() and not path.is_file() else None
    except OSError as error:
        reason = error.strerror
    if reason is not None:
        raise ReportError(
            f"no report can be written to {path}: {reason}", hint=f"choose another {option}"
        )


def write_whole(path: Path, text: str) -> None:
    """Make a file of a text, in a folder that is made where it is missing. Raises ReportError."""
    unfinished = _unfinished(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise ReportError(
            f"the report could not be written to {path}: {error.strerror}",
            hint="make room or choose another place for it",
        ) from error


def check_appendable(path: Path, option: str) -> None:
    """Find out before the run that its report can be added to a file. Raises ReportError."""
    try:
        path.open("ab").close()
    except OSError as error:
        raise ReportError(
            f"no report can be added to {path}: {error.strerror}", hint=f"do without it: {option}"
        ) from error


def append_whole(path: Path, text: str, most: int) -> None:
    """Add a text to a file of at most so many bytes, which others write to as well.

    Raises ReportError, and leaves the file as it was then.
    """
    added = text.encode("utf-8", errors="backslashreplace")
    try:
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            if before + len(added) > most:
                raise ReportError(
                    f"the report does not fit into {path}: it has {before:,} bytes already",
                    hint=f"leave it more of its {most:,} bytes",
                )
            try:
                if file.write(added) < len(added):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(before)
                raise
    except OSError as error:
        raise ReportError(
            f"the report could not be added to {path}: {error.strerror}", hint="make room for it"
        ) from error


def _unfinished(path: Path) -> Path:
    # Of this run alone: another may have the same place for its report.
    return path.with_name(f".{path.name}.{os.getpid()}.unfinished")
