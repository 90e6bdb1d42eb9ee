"""Ways in which a service of base would run head's code: what leads to the working tree."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import trio

from stressrun.scenario.model import CommandService, Scenario
from stressrun.services.launching import runnable

_PATIENCE = 20
_SHEBANG = 200
# Told by the interpreter itself, whichever it is: the record that PEP 610 has of each installation.
_LIST = """
import importlib.metadata, json
for each in importlib.metadata.distributions():
    url = each.read_text("direct_url.json")
    if url:
        print(json.dumps(["stressrun", each.metadata["Name"], json.loads(url)]))
"""


async def shared_code(scenario: Scenario, top: Path) -> list[str]:
    """What of base's services leads into a folder, which is head's, in words.

    These are Python packages that are installed in place, whose code is that of the folder as it is
    now, and paths in commands and in PYTHONPATH.
    """
    found: dict[str, None] = {}
    for service in scenario.services:
        if isinstance(service, CommandService):
            command, environment = runnable(service.command, service.env)
            found |= dict.fromkeys(_named(service.name, command, environment, top.resolve()))
            python = _interpreter(command, environment, service.cwd)
            if python is not None:
                found |= dict.fromkeys(await _installed(python, environment, service.cwd, top))
    return list(found)


def _named(
    service: str, command: Sequence[str], environment: Mapping[str, str], top: Path
) -> Iterator[str]:
    for word in command[1:]:
        if os.path.isabs(word) and Path(word).resolve().is_relative_to(top):
            yield f"the command of {service} names {word}"
    for entry in filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)):
        if Path(entry).resolve().is_relative_to(top):
            yield f"PYTHONPATH leads {service} to {entry}"


def _interpreter(
    command: Sequence[str], environment: Mapping[str, str], cwd: str
) -> list[str] | None:
    """The Python that runs a program: itself, or what its first line names; None: it has none."""
    program = shutil.which(command[0], path=environment.get("PATH")) or str(Path(cwd, command[0]))
    if Path(program).name.startswith("python"):
        return [program]
    try:
        with open(program, "rb") as file:
            line = file.readline(_SHEBANG).decode(errors="replace").strip()
    except OSError:
        return None  # A service that cannot be started is told of when it is.
    words = line.removeprefix("#!").split() if line.startswith("#!") else []
    return words if any(Path(word).name.startswith("python") for word in words) else None


async def _installed(
    python: Sequence[str], environment: Mapping[str, str], cwd: str, top: Path
) -> list[str]:
    """The packages that are installed in place from below a folder."""
    with trio.move_on_after(_PATIENCE):
        try:
            done = await trio.run_process(
                [*python, "-c", _LIST],
                cwd=cwd,
                env=environment,
                stdin=b"",
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                start_new_session=True,
            )
        except OSError:
            return []
        return [
            f"{name} is installed in place from {path}"
            for name, path in _in_place(done.stdout.decode(errors="replace"))
            if path.is_relative_to(top.resolve())
        ]
    return []


def _in_place(told: str) -> Iterator[tuple[str, Path]]:
    for line in told.splitlines():
        # An interpreter may print something of its own at its start.
        if line.startswith('["stressrun", '):
            _, name, record = json.loads(line)
            if record.get("dir_info", {}).get("editable"):
                yield name, Path(unquote(urlsplit(record["url"]).path)).resolve()
