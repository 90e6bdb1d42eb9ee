"""What `--report` may say, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stressrun.cli.reports import OF_COMPARISON, OF_RUN, Wanted, wanted_reports
from stressrun.errors import UsageError


@pytest.mark.parametrize(
    ("options", "files", "quiet"),
    [
        ([], {}, False),
        (["none"], {}, True),
        (["junit=a=b.xml"], {"junit": "a=b.xml"}, False),
        (["junit=a,markdown=b", "none,json=c"], {"junit": "a", "markdown": "b", "json": "c"}, True),
        (["gitlab-metrics=a folder/ä"], {"gitlab-metrics": "a folder/ä"}, False),
    ],
)
def test_reports_are_named_by_kind(options: list[str], files: dict[str, str], quiet: bool) -> None:
    found = tuple((kind, Path(file)) for kind, file in files.items())
    assert wanted_reports(options, OF_RUN) == Wanted(found, quiet)


@pytest.mark.parametrize(
    ("option", "message", "hint"),
    [
        ("", "no kind of report is ''", "write KIND=FILE, where KIND is one of junit, markdown"),
        ("junti=a", "no kind of report is 'junti'", "did you mean 'junit'?"),
        ("a.xml", "no kind of report is 'a.xml'", "write KIND=FILE"),
        ("junit=a,b.xml", "no kind of report is 'b.xml'", "write KIND=FILE"),
        ("none=a", "no kind of report is 'none'", "'none'"),
        ("junit", "junit has no file", "such as junit=FILE"),
        ("junit=", "junit has no file", "such as junit=FILE"),
    ],
)
def test_what_names_no_report_is_told(option: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        wanted_reports([option], OF_RUN)
    assert raised.value.message == f"--report: {message}"
    assert hint in raised.value.hint


def test_what_a_comparison_cannot_have_is_told() -> None:
    assert wanted_reports(["junit=a,markdown=b,json=c"], OF_COMPARISON).files
    with pytest.raises(UsageError) as raised:
        wanted_reports(["gitlab-metrics=a"], OF_COMPARISON)
    assert raised.value.message == "--report: there is no gitlab-metrics of a comparison"
    assert raised.value.hint
