"""The code that a change is compared with: a worktree of git's, beside the working tree."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stressrun.errors import ResidueError, SetupError, UsageError
from stressrun.safety.ledger import Entry, Ledger

KIND = "worktree"
"""The kind of a worktree's entry in the ledger."""

_PATIENCE = 120
_DEFAULT_BRANCHES = ("main", "master")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository by the top folder of its working tree."""

    top: Path

    @classmethod
    def of(cls, folder: Path) -> Repository:
        """The repository of a folder. Raises UsageError where there is none."""
        found = _git(folder, "rev-parse", "--show-toplevel")
        if found is None:
            raise UsageError(
                f"{folder} is in no git repository, so that there is no base to compare with",
                hint="commit the project, or compare two configurations by --candidate-env",
            )
        return cls(Path(found))

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

    def within(self, path: Path) -> Path:
        """A path as it counts from the top. Raises UsageError for one outside."""
        try:
            return path.resolve().relative_to(self.top.resolve())
        except ValueError:
            raise UsageError(
                f"{path} is not in the repository {self.top}",
                hint="compare in the folder of the project whose scenario it is",
            ) from None


def add(repository: Repository, commit: str, ledger: Ledger, run_id: str) -> Path:
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
    tree = path / "base"
    done = _run(repository.top, "worktree", "add", "--quiet", "--detach", str(tree), commit)
    if done.returncode:
        raise SetupError(
            f"git could not check out {commit[:12]}: {_last_line(done.stderr)}",
            hint=f"try it: git worktree add --detach {path}-tried {commit[:12]}",
        )
    return tree


def complete(top: Path, repository: Repository, scenario: Path, files: Iterable[Path]) -> None:
    """Give a worktree what it needs to be compared: head's scenario, and files it does not have.

    The scenario is the measure, and replaces base's; of the `files` that it names those are copied
    that the commit has not. Raises SetupError.
    """
    try:
        for file in (scenario, *files):
            if not file.is_file() or not file.resolve().is_relative_to(repository.top.resolve()):
                continue
            copy = top / repository.within(file)
            if file == scenario or not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    except OSError as error:
        raise SetupError(
            f"base could not be given the scenario's files: {error}",
            hint="make room in the folder for temporary files",
        ) from error


def remove(entry: Entry) -> None:
    """Remove the worktree of a ledger entry. Raises ResidueError."""
    path, repository = Path(entry.detail["path"]), Path(entry.detail["repository"])
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise ResidueError(f"the folder {path} could not be removed", hint=f"rm -rf {path}")
    if repository.exists():
        # It forgets the worktrees whose folders are gone.
        _run(repository, "worktree", "prune", "--expire", "now")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, without the line's end; None where it fails."""
    done = _run(folder, *arguments)
    return None if done.returncode else done.stdout.strip()


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError("git is not installed", hint="install it: compare needs it") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(
            f"git did not end within {_PATIENCE} s", hint="see what it does"
        ) from error


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
