"""Worktrees of real repositories: made, completed, found again in the ledger, removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from repositories import git
from stressrun.compare import worktree
from stressrun.compare.worktree import Repository
from stressrun.errors import SetupError, UsageError
from stressrun.safety.ledger import open_ledger


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """With one commit on main, which has a file `app.py`."""
    top = tmp_path / "project"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    (top / "app.py").write_text("one\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "one")
    return Repository.of(top)


def test_a_branch_is_compared_with_where_it_left_the_default_branch(repository: Repository) -> None:
    left = repository.commit("main")
    git(repository.top, "checkout", "-q", "-b", "change")
    git(repository.top, "commit", "-q", "--allow-empty", "-m", "two")
    assert repository.merge_base() == (left, "main")
    git(repository.top, "update-ref", "refs/remotes/origin/trunk", "change")
    git(repository.top, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk")
    assert repository.merge_base() == (repository.commit("change"), "origin/trunk")


def test_what_is_not_there_is_told(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a git repository"):
        Repository.of(tmp_path)
    with pytest.raises(UsageError, match="git knows no commit 'nowhere'"):
        repository.commit("nowhere")
    with pytest.raises(UsageError, match="git knows no commit '--help'"):
        repository.commit("--help")
    with pytest.raises(UsageError, match="is not in the repository"):
        repository.within(tmp_path / "other.yaml")
    git(repository.top, "branch", "-m", "trunk")
    with pytest.raises(UsageError, match="there is no default branch"):
        repository.merge_base()


def test_whether_anything_has_changed(repository: Repository) -> None:
    assert repository.is_same("HEAD")
    (repository.top / "app.py").write_text("two\n")
    assert not repository.is_same("HEAD")


async def test_it_has_the_commit_with_heads_scenario_and_is_gone_without_a_trace(
    repository: Repository, tmp_path: Path
) -> None:
    top = repository.top
    before = git(top, "worktree", "list")
    variables = top / ".env"
    scenario, rows, ignored = top / "s.yaml", top / "data" / "rows.csv", tmp_path / "elsewhere.csv"
    (top / "app.py").write_text("two\n")
    scenario.write_text("head's\n")
    rows.parent.mkdir()
    rows.write_text("a\n")
    ignored.write_text("b\n")
    with open_ledger(tmp_path / "state") as ledger:
        made = await worktree.add(repository, repository.commit("HEAD"), ledger, "r1")
        variables.write_text("A=head\n")
        (made / ".env").write_text("A=base\n")
        worktree.complete(made, repository, scenario, [rows, top / "app.py", ignored, variables])
        assert (made / ".env").read_text() == "A=head\n"
        assert (made / "app.py").read_text() == "one\n"
        assert (made / "s.yaml").read_text() == "head's\n"
        assert (made / "data" / "rows.csv").read_text() == "a\n"
        assert made.parent.stat().st_mode & 0o777 == 0o700
        (entry,) = ledger.outstanding("r1")
        await worktree.remove(entry)
        await worktree.remove(entry)
    assert not made.parent.exists()
    assert git(top, "worktree", "list") == before


async def test_a_commit_that_cannot_be_checked_out_is_told_and_noted(
    repository: Repository, tmp_path: Path
) -> None:
    with open_ledger(tmp_path / "state") as ledger:
        with pytest.raises(SetupError, match="git could not check out 000000000000"):
            await worktree.add(repository, "0" * 40, ledger, "r1")
        (entry,) = ledger.outstanding("r1")
        await worktree.remove(entry)
    assert not Path(entry.detail["path"]).exists()


async def test_a_hook_of_git_keeps_its_index_and_other_worktrees_stay(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top, other = repository.top, tmp_path / "other"
    git(top, "worktree", "add", "-q", str(other))
    (top / "app.py").write_text("two\n")
    git(top, "add", "app.py")
    (top / ".git" / "hooks" / "post-checkout").write_text("#!/bin/sh\ntouch ran\n")
    (top / ".git" / "hooks" / "post-checkout").chmod(0o755)
    commit = repository.commit("HEAD")
    # As in a hook, while another worktree's disk is away.
    monkeypatch.setenv("GIT_INDEX_FILE", str(top / ".git" / "index"))
    monkeypatch.setenv("GIT_DIR", str(top / ".git"))
    other.rename(tmp_path / "away")
    with open_ledger(tmp_path / "state") as ledger:
        made = await worktree.add(repository, commit, ledger, "r1")
        assert not (made / "ran").exists()
        (entry,) = ledger.outstanding("r1")
        await worktree.remove(entry)
    (tmp_path / "away").rename(other)
    monkeypatch.undo()
    assert git(top, "diff", "--cached", "--name-only") == "app.py"
    assert git(other, "status", "--short") == ""


def test_a_link_is_called_by_its_own_name(repository: Repository) -> None:
    (repository.top / "link.yaml").symlink_to(repository.top / "app.py")
    assert repository.within(repository.top / "link.yaml") == Path("link.yaml")
