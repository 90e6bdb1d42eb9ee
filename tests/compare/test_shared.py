"""What leads base to head's code, as real interpreters and commands tell."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stressrun.compare.shared import shared_code
from stressrun.scenario.model import CommandService, Readiness, Scenario
from verdict_samples import scenario


def installed(folder: Path, *, editable: bool) -> Path:
    """A folder of packages in which `shop` stands as pip has installed it from `project/a b`."""
    record = folder / "site" / "shop-1.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    project = (folder / "project" / "a b").as_uri()
    (record / "direct_url.json").write_text(
        json.dumps({"url": project, "dir_info": {"editable": editable}})
    )
    # What a site has to say at each start is no record.
    (folder / "site" / "sitecustomize.py").write_text("print('[welcome]')\n")
    return folder / "site"


def service(folder: Path, *command: str, path: Path) -> Scenario:
    api = CommandService(
        "api", command, {"PYTHONPATH": str(path)}, str(folder), None, Readiness(None, 1)
    )
    return replace(scenario(), services=(api,))


@pytest.mark.parametrize(
    ("program", "editable", "folder", "found"),
    [
        (sys.executable, True, "project", True),
        ("script", True, "project", True),
        (sys.executable, False, "project", False),
        (sys.executable, True, "other", False),
        ("/bin/sh", True, "project", False),
        ("/nowhere/python", True, "project", False),
    ],
)
async def test_a_package_installed_in_place_is_found(
    program: str, editable: bool, folder: str, found: bool, tmp_path: Path
) -> None:
    if program == "script":
        program = str(tmp_path / "shop")
        Path(program).write_text(f"#!{sys.executable}\nimport shop\n")
        Path(program).chmod(0o755)
    site = installed(tmp_path, editable=editable)
    told = await shared_code(service(tmp_path, program, path=site), tmp_path / folder)
    project = tmp_path / "project" / "a b"
    assert told == ([f"shop is installed in place from {project}"] if found else [])


async def test_paths_that_lead_into_heads_folder_are_found(tmp_path: Path) -> None:
    top, own = tmp_path / "head", tmp_path / "base"
    program = str(top / "server.js")
    assert await shared_code(service(own, "node", program, path=top / "src"), top) == [
        f"the command of api names {program}",
        f"PYTHONPATH leads api to {top / 'src'}",
    ]
    assert await shared_code(service(own, "node", "server.js", path=own / "src"), top) == []
