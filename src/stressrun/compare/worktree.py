"""The code that a change is compared with: a worktree of git's, beside the working tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from stressrun.errors import ResidueError, SetupError, UsageError
from stressrun.safety.ledger import Entry, Ledger

KIND = "worktree"
"""The kind of a worktree's entry in the ledger."""

VARIABLES = ".env"
"""The file with variables beside a scenario."""

_TREE = "base"
_PATIENCE = 120
_OF_HOOKS = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
_DEFAULT_BRANCHES = ("main", "master")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository by the top folder of its working tree."""

    top: Path

    @classmethod
    def of(cls, folder: Path) -> Repository:
        """The repository of a folder. Raises UsageError where git knows none."""
        done = _run(folder, "rev-parse", "--show-toplevel")
        if done.returncode:
            raise UsageError(
                f"there is no base to compare with, as git knows no repository here: "
                f"{_first_line(done.stderr)}",
                hint="commit the project, or compare two configurations by --candidate-env",
            )
        return cls(Path(done.stdout.strip()))

    def commit(self, reference: str) -> str:
        """The commit of a reference. Raises UsageError for one that there is not."""
        found = _git(self.top, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        if found is None:
            raise UsageError(
                f"git knows no commit {reference!r}",
                hint="name a branch, a tag or a commit; a shallow clone lacks most: fetch more",
            )
        return found

    def merge_base(self) -> tuple[str, str]:
        """Where HEAD has left the default branch: the commit, and the branch's name.

        Raises UsageError where there is no such branch, or nothing in common with it.
        """
        remote = _git(self.top, "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        for branch in filter(None, (remote, *_DEFAULT_BRANCHES)):
            found = _git(self.top, "merge-base", "HEAD", branch)
            if found is not None:
                return found, branch
        raise UsageError(
            "which commit to compare with is not known: there is no default branch",
            hint="name it: --against origin/main",
        )

    def is_same(self, commit: str) -> bool:
        """Whether the working tree is as a commit is, untracked files aside."""
        return _git(self.top, "diff", "--quiet", commit) is not None

    def holds(self, path: Path) -> bool:
        """Whether a path lies in the working tree."""
        return path.parent.resolve().is_relative_to(self.top.resolve())

    def within(self, path: Path) -> Path:
        """A path as it counts from the top, a link by its own name. Raises UsageError outside."""
        try:
            return (path.parent.resolve() / path.name).relative_to(self.top.resolve())
        except ValueError:
            raise UsageError(
                f"{path} is not in the repository {self.top}",
                hint="compare in the folder of the project whose scenario it is",
            ) from None


async def add(repository: Repository, commit: str, ledger: Ledger, run_id: str) -> Path:
    """Check a commit out in a folder of its own, which the ledger knows; its path.

    It lies outside the working tree, where nothing of head's can be found on the way up. Raises
    SetupError.
    """
    path = Path(tempfile.gettempdir(), f"stressrun-{run_id}")
    ledger.record(run_id, KIND, path=str(path), repository=str(repository.top))
    try:
        path.mkdir(mode=0o700)
    except OSError as error:
        raise SetupError(
            f"the folder {path} could not be made: {error.strerror}",
            hint="TMPDIR names the folder that temporary ones are made in",
        ) from error
    tree = path / _TREE
    done = await trio.run_process(
        # The user's hooks are for the user's work.
        _command(
            repository.top,
            *("-c", "core.hooksPath=/dev/null"),
            *("worktree", "add", "--quiet", "--detach", str(tree), commit),
        ),
        stdin=b"",
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        env=_environment(),
        # A ^C in the terminal is for us alone, who end it then.
        start_new_session=True,
    )
    if done.returncode:
        raise SetupError(
            f"git could not check out {commit[:12]}: {_first_line(done.stderr.decode())}",
            hint=f"try it: git worktree add --detach {path}-tried {commit[:12]}",
        )
    return tree


def complete(top: Path, repository: Repository, scenario: Path, files: Iterable[Path]) -> None:
    """Give a worktree what it needs to be compared: head's scenario, and files it does not have.

    The scenario and the variables beside it are the measure, and replace base's; of the other
    `files` that it names those are copied that the commit has not. Raises SetupError.
    """
    try:
        for file in (scenario, *files):
            if not file.is_file() or not repository.holds(file):
                continue
            copy = top / repository.within(file)
            if file in (scenario, scenario.parent / VARIABLES) or not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                # What is a link there may lead anywhere.
                copy.unlink(missing_ok=True)
                shutil.copyfile(file, copy)
    except OSError as error:
        raise SetupError(
            f"base could not be given the scenario's files: {error}",
            hint="make room in the folder for temporary files",
        ) from error


async def remove(entry: Entry) -> None:
    """Remove the worktree of a ledger entry. Raises ResidueError."""
    path, repository = Path(entry.detail["path"]), Path(entry.detail["repository"])
    await trio.to_thread.run_sync(partial(shutil.rmtree, path, ignore_errors=True))
    if path.exists():
        raise ResidueError(f"the folder {path} could not be removed", hint=f"rm -rf {path}")
    for place in _administration(repository, path / _TREE):
        shutil.rmtree(place, ignore_errors=True)


def _administration(repository: Path, tree: Path) -> list[Path]:
    """The folders in which git keeps what it knows of a worktree.

    Not all worktrees that are away are ours: `git worktree prune` would forget the user's as well.
    """
    common = _git(repository, "rev-parse", "--git-common-dir") if repository.exists() else None
    if common is None:
        return []
    links = (repository / common / "worktrees").glob("*/gitdir")
    return [link.parent for link in links if Path(link.read_text().strip()) == tree / ".git"]


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, without the line's end; None where it fails."""
    done = _run(folder, *arguments)
    return None if done.returncode else done.stdout.strip()


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            _command(folder, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env=_environment(),
        )
    except FileNotFoundError as error:
        raise SetupError("git is not installed", hint="install it: compare needs it") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"git did not end within {_PATIENCE} s", hint="see what it waits for"
        ) from error


def _command(folder: Path, *arguments: str) -> list[str]:
    return ["git", "-C", str(folder), *arguments]


def _environment() -> dict[str, str]:
    """Ours without what a hook of git's has in it: its index would be overwritten."""
    return {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[0]
