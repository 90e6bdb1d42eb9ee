"""Thresholds as a user meets them: what is shown, and what ends a run."""

from pathlib import Path

from runs import assert_nothing_is_left, assert_told, stressrun

ABORT = Path(__file__).with_name("abort.yaml")


def test_a_threshold_that_is_crossed_ends_the_run(tmp_path: Path) -> None:
    ended = stressrun(tmp_path, ABORT, "--report=markdown=page.md")
    assert_told(ended, 1, "threshold failed: http errors < 50% (crossed ")
    assert "  ✗ http errors < 50%   (100 %, 100 % beyond it, crossed " in ended.output
    assert "partial: ended by the threshold http errors < 50%" in ended.output
    (stage,) = ended.report["stages"]
    assert (stage["name"], stage["interrupted"]) == ("first", True)
    (evaluation,) = ended.report["thresholds"]
    assert (evaluation["value"], evaluation["margin"], evaluation["passed"]) == (1.0, -1.0, False)
    rows = [line[:30] for line in (tmp_path / "page.md").read_text().splitlines() if "|" in line]
    assert rows[2:5] == [
        "| ❌ | threshold <code>http err",
        "| ➖ | threshold <code>http p99",
        "| ➖ | threshold <code>http ach",
    ]
    assert_nothing_is_left(ended)


def test_every_evaluation_is_shown_with_its_margin_and_failures_last(tmp_path: Path) -> None:
    checks = (
        "--set=thresholds=[http errors.404 <= 0%, http count > 5, http p50 < 9s over 1s,"
        " generator max < 50s, generator distortion <= 100%, http errors.5xx <= 0%]"
    )
    ended = stressrun(
        tmp_path, ABORT, checks, "--set=stages.first.duration=2s", "--set=stages.second.duration=1s"
    )
    assert_told(ended, 1, "threshold failed: http errors.404 <= 0% and 2 more")
    shown = ended.output.partition("\nthresholds\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in shown] == ["✓"] * 6 + ["✗"] * 3
    assert shown[0].startswith("  ✓ http count > 5   (150, 2900 % to spare)")
    assert shown[2].startswith("  ✓ generator distortion <= 100%   (")
    assert shown[5].startswith(
        "  ✓ http achieved >= 95% in second   (100 %, 5 % to spare, built in)"
    )
    assert shown[6] == "  ✗ http errors.404 <= 0%   (100 %)"
    assert shown[7].startswith("  ✗ http p50 < 9s over 1s   (")
    assert "no verdict on a latency: 100 % failed in stage first" in shown[7]
    assert shown[8] == "  ✗ http errors < 1%   (100 %, 100 × as much, built in)"
