"""Python packages that are installed from the working tree, so that base would run head's code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from stressrun.scenario.model import CommandService, Scenario
from stressrun.services.launching import runnable

_PATIENCE = 20
# Told by the interpreter itself, whichever it is: the record that PEP 610 has of each installation.
_LIST = """
import importlib.metadata, json
for each in importlib.metadata.distributions():
    url = each.read_text("direct_url.json")
    if url:
        print(json.dumps([each.metadata["Name"], json.loads(url)]))
"""


def shared_packages(scenario: Scenario, top: Path) -> list[str]:
    """The names of packages that the services' Pythons have in place from below a folder.

    Editable installations are meant, whose code is that of the folder as it is now.
    """
    found: dict[str, None] = {}
    for service in scenario.services:
        if isinstance(service, CommandService) and _is_python(service.command[0]):
            found |= dict.fromkeys(
                name for name, path in _in_place(service) if path.is_relative_to(top.resolve())
            )
    return list(found)


def _is_python(program: str) -> bool:
    return Path(program).name.startswith("python")


def _in_place(service: CommandService) -> Iterator[tuple[str, Path]]:
    """The packages that are installed in place, and where from."""
    command, environment = runnable([service.command[0], "-c", _LIST], service.env)
    try:
        done = subprocess.run(
            command,
            cwd=service.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return  # A service that cannot be started is told of when it is.
    for line in done.stdout.splitlines():
        name, record = json.loads(line)
        if record.get("dir_info", {}).get("editable"):
            yield name, Path(unquote(urlsplit(record["url"]).path)).resolve()
