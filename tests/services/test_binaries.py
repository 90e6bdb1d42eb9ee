from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stressrun.errors import SetupError
from stressrun.services import binaries
from stressrun.services.binaries import (
    Installation,
    find_installation,
    made_runnable,
    unprivileged_account,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another account needs root")


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No wheel, and nothing on the PATH but what a test puts into the folder."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setattr(binaries, "_WHEEL", "no_such_package")
    monkeypatch.setattr(binaries, "_INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_the_newest_server_of_the_wheel_is_found() -> None:
    found = find_installation()
    assert found.prefix.name == "pginstall18"
    assert found.libraries is not None
    assert found.libraries.is_dir()


def test_without_any_server_the_error_says_how_to_get_one(nothing_installed: Path) -> None:
    with pytest.raises(SetupError) as raised:
        find_installation()
    assert "pip install 'stressrun[demo]'" in raised.value.hint


def test_of_several_installed_servers_the_newest_is_found(
    nothing_installed: Path, tmp_path: Path
) -> None:
    for version in ("9", "16", "17"):
        for name in ("initdb", "postgres"):
            program(tmp_path / "installed" / version / "bin" / name, "")
    shutil.rmtree(tmp_path / "installed" / "17" / "bin")  # a client alone
    assert find_installation() == Installation(tmp_path / "installed" / "16")


def test_a_server_on_the_path_is_found_through_its_links(
    nothing_installed: Path, tmp_path: Path
) -> None:
    for name in ("initdb", "postgres"):
        program(tmp_path / "pg" / "bin" / name, "")
    (nothing_installed / "postgres").symlink_to(tmp_path / "pg" / "bin" / "postgres")
    assert find_installation() == Installation(tmp_path / "pg")


def test_pg_config_is_asked(nothing_installed: Path, tmp_path: Path) -> None:
    for name in ("initdb", "postgres"):
        program(tmp_path / "pg" / "bin" / name, "")
    program(nothing_installed / "pg_config", f"echo {tmp_path / 'pg' / 'bin'}")
    assert find_installation() == Installation(tmp_path / "pg")


def test_binaries_that_do_not_run_are_told_with_what_they_say(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "postgres", "echo 'libz.so.1: not found' >&2; exit 127")
    with pytest.raises(SetupError, match=r"does not run: libz\.so\.1: not found"):
        made_runnable(Installation(tmp_path), None)


@pytest.fixture
def below_home() -> Iterator[Installation]:
    """The wheel's files in a folder that only root can enter, with careless modes."""
    found = find_installation()
    assert found.libraries is not None
    home = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        prefix = home / found.prefix.parent.name / found.prefix.name
        for part in ("bin", "lib", "share"):
            shutil.copytree(found.prefix / part, prefix / part)
        libraries = home / found.libraries.name
        shutil.copytree(found.libraries, libraries)
        (prefix / "bin").chmod(0o700)
        (prefix / "share" / "postgresql" / "postgres.bki").chmod(0o600)
        yield Installation(prefix, libraries)
    finally:
        shutil.rmtree(home)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setattr(binaries, "_CACHES", (folder / "cache",))
    yield folder / "cache"
    shutil.rmtree(folder)


@as_root
def test_binaries_that_an_account_cannot_reach_are_copied_once(
    below_home: Installation, cache: Path
) -> None:
    account = unprivileged_account()
    assert account is not None
    before = os.umask(0o077)
    try:
        with ThreadPoolExecutor() as pool:  # two runs at once
            copies = list(pool.map(lambda _: made_runnable(below_home, account), range(2)))
    finally:
        os.umask(before)
    (place,) = cache.iterdir()
    assert copies[0] == copies[1] == made_runnable(below_home, account)
    assert copies[0].prefix.is_relative_to(place)
    for folder, _, names in os.walk(cache):
        assert Path(folder).stat().st_mode & 0o777 == 0o755
        for name in names:
            mode = (Path(folder) / name).stat().st_mode & 0o777
            assert mode in (0o644, 0o755)
    below_home.bin.joinpath("postgres").touch()  # another version of the wheel
    assert made_runnable(below_home, account).prefix != copies[0].prefix


@as_root
def test_a_cache_that_somebody_else_has_made_is_refused(
    below_home: Installation, cache: Path
) -> None:
    account = unprivileged_account()
    assert account is not None
    cache.mkdir()
    os.chown(cache, account.uid, account.gid)
    with pytest.raises(SetupError, match="could not be copied"):
        made_runnable(below_home, account)
    cache.rmdir()
    victim = below_home.prefix.parent
    victim.chmod(0o700)
    cache.symlink_to(victim)
    with pytest.raises(SetupError, match="could not be copied"):
        made_runnable(below_home, account)
    assert victim.stat().st_mode & 0o777 == 0o700
