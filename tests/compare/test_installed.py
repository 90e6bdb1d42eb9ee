"""Packages installed in place, as real interpreters tell of them."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stressrun.compare.installed import shared_packages
from stressrun.scenario.model import CommandService, Readiness
from verdict_samples import scenario


@pytest.mark.parametrize(
    ("program", "editable", "folder", "names"),
    [
        (sys.executable, True, "project", ["shop"]),
        (sys.executable, False, "project", []),
        (sys.executable, True, "other", []),
        ("/bin/sh", True, "project", []),
        ("/nowhere/python", True, "project", []),
    ],
)
def test_a_package_installed_in_place_is_found(
    program: str, editable: bool, folder: str, names: list[str], tmp_path: Path
) -> None:
    installed = tmp_path / "site" / "shop-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    project = tmp_path / "project" / "a b"
    record = {"url": project.as_uri(), "dir_info": {"editable": editable}}
    (installed / "direct_url.json").write_text(json.dumps(record))
    service = CommandService(
        "api",
        (program, "-m", "shop"),
        {"PYTHONPATH": str(tmp_path / "site")},
        str(tmp_path),
        None,
        Readiness(None, 1),
    )
    found = shared_packages(replace(scenario(), services=(service,)), tmp_path / folder)
    assert found == names
