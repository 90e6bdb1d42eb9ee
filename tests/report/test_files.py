"""A report is there as a whole or as it was before, whatever happens."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stressrun.errors import ExitCode, ReportError
from stressrun.report.files import append_whole, check_appendable, check_writable, write_whole

ODD = "a report, 50 %\n'\".xml"


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file grows beyond so many bytes; the system says so as of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_made_with_its_folders_and_nothing_besides(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / ODD
    check_writable(path, "--report")
    assert list(path.parent.iterdir()) == []
    write_whole(path, "ä\udcff")
    assert path.read_text() == "ä\\udcff"
    assert list(path.parent.iterdir()) == [path]


def test_on_a_full_disk_the_file_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report"
    path.write_text("the one before")
    with full_disk(20), pytest.raises(ReportError, match="could not be written") as raised:
        write_whole(path, "x" * 100_000)
    assert raised.value.exit_code == ExitCode.REPORT
    assert path.read_text() == "the one before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "place", ["taken/here", "folder", "x" * 255, "/dev/null", "/proc/nowhere/report"]
)
def test_a_place_that_can_hold_no_report_is_told_before_the_run(tmp_path: Path, place: str) -> None:
    (tmp_path / "taken").write_text("")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ReportError, match="no report can be written to") as raised:
        check_writable(tmp_path / place, "file for --report")
    assert raised.value.hint == "choose another file for --report"
    assert sorted(tmp_path.rglob("*")) == before
    assert os.path.exists("/dev/null")


def test_what_is_added_to_a_file_leaves_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("of another step\n")
    check_appendable(path, "--report none")
    append_whole(path, "ours\n", 100)
    assert path.read_text() == "of another step\nours\n"


@pytest.mark.parametrize("most", [99, 1_000_000])
def test_what_cannot_be_added_as_a_whole_is_not_added(tmp_path: Path, most: int) -> None:
    path = tmp_path / "summary"
    path.write_text("of another step\n")
    with full_disk(50), pytest.raises(ReportError):
        append_whole(path, "x" * 100, most)
    assert path.read_text() == "of another step\n"


def test_a_summary_that_cannot_be_opened_is_told_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no report can be added to") as raised:
        check_appendable(tmp_path / "nowhere" / "summary", "--report none")
    assert raised.value.hint == "do without it: --report none"
