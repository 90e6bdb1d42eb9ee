"""Scenarios in which `☞` marks where the mistake that is told must point."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from stressrun.cli.validate import validate

MARK = "☞"


def run(path: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and the standard error of `stressrun validate`."""
    result = CliRunner().invoke(
        validate, [str(path), *arguments], env={"WORD": "lemon", "SEED": None, "SHOP": None}
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.stdout == ""
    return result.exit_code, result.stderr


def assert_told(folder: Path, marked: str, message: str, hint: str = "", more: int = 0) -> None:
    """The marked scenario has the mistake at its mark, with so many more after it."""
    content, where = _position(marked)
    path = folder / "scenario.yaml"
    path.write_text(content)
    code, told = run(path)
    mistakes = [line for line in told.splitlines() if line.startswith(str(path))]
    assert code == 2
    assert any(m.startswith(f"{path}:{where}") and message in m for m in mistakes), told[:2000]
    assert hint in told
    assert len(mistakes) == 1 + more, told[:2000]


def _position(marked: str) -> tuple[str, str]:
    """The text without its mark, and `line:column` of the mark ("" without one)."""
    before, mark, after = marked.partition(MARK)
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return before + after.replace(MARK, ""), f"{line}:{column}: " if mark else ""
