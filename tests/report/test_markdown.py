"""The page for a pull request, as a renderer of Markdown sees it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import comparison_samples
from comparison_samples import FINDINGS, REGRESSED, WORK, compared, named
from findings_samples import COUNTED, QUIET
from report_samples import anything, concluded, finished, with_cases
from stressrun.metrics.recorder import Sample
from stressrun.postgres.findings import LockPair, LockWaits, Party
from stressrun.report.cases import Conclusion
from stressrun.report.comparison_page import comparison_markdown
from stressrun.report.markdown import markdown
from stressrun.report.page import MOST, code, fence_around
from stressrun.run.events import ComparisonFinished, PartWork, RunFinished
from verdict_samples import results

RENDERER = MarkdownIt("commonmark").enable("table")
TABLE = ["table", "thead", "tbody", "tr", "th", "td", "code"]
OURS = {"h3", "p", "ul", "li", "strong", "pre", "details", "summary", "sub", *TABLE}


class Rendered(HTMLParser):
    """What is on the page: its tags, the texts of its cells and of its code, and the rest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.code: list[str] = []
        self.plain = ""
        self._open: list[str] = []
        self.feed(RENDERER.render(page))
        self.close()
        assert self._open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attributes} <= {"class", "style"}
        self.tags.append(tag)
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "code":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data
        if "code" in self._open:
            self.code[-1] += data
        else:
            self.plain += data


def rendered(conclusion: Conclusion[RunFinished]) -> Rendered:
    return ours(markdown(conclusion))


def comparison(event: ComparisonFinished | None = None, secrets: Sequence[str] = ()) -> Rendered:
    return ours(comparison_markdown(comparison_samples.concluded(event, secrets)))


def ours(text: str) -> Rendered:
    page = Rendered(text)
    assert set(page.tags) <= OURS
    return page


def test_the_page_begins_with_the_verdict_its_cause_and_what_to_do() -> None:
    page = markdown(concluded())
    assert page.startswith(
        "### ❌ stress test <code>sample</code>: failed\n\n"
        "- **cause:** <code>threshold failed&#58; http p95 &#60; 1ms and 1 more</code>\n"
        "- **remedy:** <code>look at the tables</code>\n"
    )


def test_failures_stand_above_what_holds() -> None:
    rows = rendered(concluded()).rows
    assert rows[0] == ["", "must hold", "found", "line"]
    assert [row[0] for row in rows[1:5]] == ["❌", "❌", "✅", "✅"]
    assert rows[1][1:] == [
        "threshold http p95 < 1ms",
        "400 ms, limit < 1.00 ms, 400 × as much",
        "load/sample.yaml:11",
    ]


def test_each_stage_has_a_row_and_its_figures_below_a_fold() -> None:
    page = rendered(concluded())
    assert [row[:2] for row in page.rows[-3:]] == [
        ["warm-up (not judged)", "100"],
        ["ramp", "100"],
        ["peak", "120"],
    ]
    assert page.tags.count("details") == 3
    assert "audit.insert" in page.code[-1]


@pytest.mark.parametrize(
    ("verdict", "sign"), [("passed", "✅"), ("invalid", "⚠️"), ("interrupted", "⚠️")]
)
def test_every_end_of_a_run_has_a_page(verdict: str, sign: str) -> None:
    event = finished(verdict=verdict, stages=[], thresholds=(), cause="", residue=("table <b>",))
    page = rendered(concluded(event))
    assert page.plain.startswith(f"{sign} stress test")
    assert "left behind:" in page.plain
    assert "table <b>" in page.code


def test_what_failed_and_what_the_database_waited_for_is_told_in_short() -> None:
    peak = results()[2]
    peak.books.row("endpoint", "browse").keep(
        Sample(
            "status 503", "", "GET /", "HTTP/1.1 503\n\n```\n@team <img src=x> | www.evil.example"
        )
    )
    party = Party(1, "shop", "active", "select '@all' | 1")
    locks = LockWaits(3, 1.0, 1.0, 0.5, (LockPair("products", 3, 1.0, 0.5, party, party),), 0)
    peak.database = replace(QUIET, lock_waits=locks, statistics=replace(COUNTED, deadlocks=2))
    page = rendered(concluded(finished(stages=[peak])))
    assert "lock waits: 3 seen, longest 500 ms; about 1.00 s of waiting in all" in page.code
    assert "deadlocks: 2" in page.code
    (failures,) = (text for text in page.code if text.startswith("peak: browse: 1 × status 503"))
    assert "peak:   first: ``` @team <img src=x> | www.evil.example" in failures
    assert "waiting: select '@all' | 1" in page.code[-1]
    assert "@" not in page.plain


def test_a_quiet_database_needs_no_words() -> None:
    peak = results()[2]
    peak.database = QUIET
    assert "In the database" not in rendered(concluded(finished(stages=[peak]))).plain


@given(anything)
@example("www.evil.example https://evil.example me@evil.example @team #1")
@example("`|\\|`|**a** $x$ :smile: &lt; ~~b~~")
def test_code_shows_a_text_as_it_is_in_one_cell(text: str) -> None:
    page = Rendered(f"| a | b |\n|---|---|\n| {code(text)} | x |\n")
    assert set(page.tags) == set(TABLE)
    assert page.code == ["".join(c if c.isprintable() else " " for c in text)]
    assert [len(row) for row in page.rows] == [2, 2]
    assert not re.search(r"[@:`|]|www\.|&#64;(?!<!-- -->)", code(text), re.IGNORECASE)


@given(st.lists(st.text("` ~x", max_size=8), max_size=5))
@example(["```", "````text", "~~~"])
def test_no_line_of_a_text_ends_its_block(lines: list[str]) -> None:
    fence = fence_around(lines)
    page = Rendered("\n".join([f"{fence}text", *lines, fence, "after"]))
    assert page.code == ["".join(f"{line}\n" for line in lines)]
    assert page.plain.strip() == "after"


@given(st.lists(anything, max_size=6), anything)
def test_whatever_a_server_answers_nothing_of_it_is_rendered(
    texts: Sequence[str], name: str
) -> None:
    peak = results()[2]
    row = peak.books.row("endpoint", "browse")
    for text in texts:
        row.refuse(text)
        row.keep(Sample(text, text, text, f"503\n\n{text}"))
    conclusion = with_cases(texts)
    event = replace(
        conclusion.event,
        scenario=replace(conclusion.event.scenario, name=name),
        cause=name,
        residue=tuple(texts),
        stages=(peak,),
    )
    page = rendered(replace(conclusion, event=event))
    assert "@" not in page.plain
    assert page.tags.count("tr") == 1 + len(texts) + 2 - (not texts)
    assert page.tags.count("details") == 1


@pytest.mark.parametrize("count", [10, 1_000])
def test_a_page_fits_into_a_comment_and_says_what_it_left_out(count: int) -> None:
    conclusion = with_cases(["ä" * 1_000] * count)
    page = markdown(conclusion)
    assert len(page.encode()) <= MOST
    assert ("more than fits" in page) == (count == 1_000)
    assert rendered(conclusion).tags.count("tr") > 10


def test_secrets_are_masked_before_they_are_escaped() -> None:
    event = finished(stages=[results()[2]])
    event = replace(event, scenario=replace(event.scenario, name="a p@ss:word b"))
    page = rendered(concluded(event, secrets=["p@ss:word", "browse"]))
    assert page.code[0] == "a *** b"
    assert "browse" not in page.plain + "".join(page.code)


def test_a_comparison_begins_with_the_verdict_and_what_has_regressed() -> None:
    page = comparison(compared(warnings=("one tree",)))
    assert page.plain.startswith("❌ comparison : failed")
    assert page.code[1:4] == [compared().cause, compared().remedy, "one tree"]
    assert page.rows[0][2:] == ["base p95", "head p95", "change", "between", "could see", "verdict"]
    assert page.rows[1] == [
        "❌",
        "endpoint checkout",
        "20.0 ms",
        "30.0 ms",
        "+50 %",
        "+40 % … ∞",
        "+10 %",
        "regressed",
    ]
    assert [row[-1] for row in page.rows[2:5]] == ["inconclusive", "improved", "unchanged"]
    assert "a block has too few for a p95, which needs 20" in page.code


def test_the_work_that_changed_stands_above_the_folds_and_the_rest_within() -> None:
    text = comparison_markdown(comparison_samples.concluded())
    above, others, same = text.split("<details>")
    assert "| <code>orders&#58; index scans</code> | 1 | 3 |" in above
    assert "transactions" not in above
    assert "9.00 ms → 10.0 ms (+11 %)" in others
    assert "sequential scans: 1,350 → 1,350\nCPU of api: 2.00 ms → 3.00 ms (+50 %)" in same
    assert "index scans" not in others + same
    part = PartWork("browse", WORK.changes[1:])
    page = comparison(compared(work=(part,)))
    assert "of  alone: the same by all of 2 counts" in page.plain.replace("browse", "")


@pytest.mark.parametrize("verdict", ["invalid", "interrupted", "error", "inconclusive", "passed"])
def test_every_end_of_a_comparison_has_a_page(verdict: str) -> None:
    ended = compared(verdict=verdict, findings=(), work=(), cause="", residue=("a <b>",))
    page = comparison(ended)
    assert page.rows == []
    assert "left behind:" in page.plain
    assert "a <b>" in page.code


def test_an_invalid_comparison_calls_nothing_regressed() -> None:
    page = comparison(compared(verdict="invalid", findings=(REGRESSED,)))
    assert page.rows[1][0] == "➖"
    assert page.rows[1][-1] == "no verdict"


@given(anything)
@example("</code></details>| @team `x`")
def test_whatever_stands_in_a_name_of_a_comparison_it_is_shown_as_code(name: str) -> None:
    page = comparison(named(name))
    assert "@" not in page.plain
    assert page.tags.count("tr") == 1 + 2 + 2 * 2
    assert page.tags.count("details") == 3


def test_a_comparison_of_very_many_endpoints_fits_into_a_comment() -> None:
    scenario = compared().scenario
    endpoints = [replace(scenario.endpoints[0], name=f"ä{n}" * 30) for n in range(900)]
    findings = [replace(FINDINGS[0], row=("endpoint", each.name)) for each in endpoints]
    event = compared(
        scenario=replace(scenario, endpoints=tuple(endpoints)), findings=tuple(findings)
    )
    text = comparison_markdown(comparison_samples.concluded(event))
    assert len(text.encode()) <= MOST
    assert "it is in `comparison.json`" in text


def test_secrets_are_in_no_page_of_a_comparison() -> None:
    page = comparison(named("a <geheim> b"), secrets=["<geheim>"])
    assert "geheim" not in page.plain + "".join(page.code)
