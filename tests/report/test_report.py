import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from stressrun.errors import ExitCode, ReportError
from stressrun.report.console import Console
from stressrun.report.document import document, write_report
from stressrun.run.events import Note, RunFinished, RunStarted, StageFinished, StageStarted
from stressrun.safety.masking import Mask
from stressrun.verdict.thresholds import evaluate
from verdict_samples import results, scenario

ROOT = Path(__file__).parents[2]
SCENARIO = scenario("http p95 < 1ms", "http errors < 1%", "endpoint checkout p99 < 1s")


def finished() -> RunFinished:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return RunFinished(
        run_id="r1",
        scenario=SCENARIO,
        file=Path("sample.yaml"),
        started_at=now,
        ended_at=now,
        stages=tuple(results()),
        thresholds=tuple(evaluate(SCENARIO, results())),
        verdict="failed",
        exit_code=ExitCode.FAILED,
        cause="threshold failed: http p95 < 1ms",
    )


def test_the_two_copies_of_the_schemas_are_the_same() -> None:
    for package, name in (("report", "report"), ("scenario", "scenario")):
        truth = ROOT / "src" / "stressrun" / package / f"{name}.schema.json"
        assert (ROOT / "schema" / f"{name}.schema.json").read_text() == truth.read_text()


def test_the_report_follows_its_schema(tmp_path: Path) -> None:
    path = write_report(finished(), tmp_path / "new" / "folder")
    schema = json.loads((ROOT / "schema" / "report.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(json.loads(path.read_text()), schema)
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_the_schema_knows_every_key_of_the_report() -> None:
    schema = json.loads((ROOT / "schema" / "report.schema.json").read_text())
    wrong = document(finished()) | {"more": 1}
    with pytest.raises(jsonschema.ValidationError, match="more"):
        jsonschema.validate(wrong, schema)


def test_the_report_holds_the_figures_in_seconds() -> None:
    peak = document(finished())["stages"][2]
    browse = peak["rows"][0]
    assert (browse["kind"], browse["name"], browse["planned"]) == ("endpoint", "browse", 100)
    assert browse["errors"] == {"status 503": 1}
    assert browse["rate"] == 10.0
    assert browse["response"]["p95"] == pytest.approx(0.05, rel=0.001)
    assert browse["response"]["p999"] is None
    assert browse["bytes_received"] == 99 * 200 + 50
    names = [row["name"] for row in peak["rows"]]
    assert names[:4] == ["browse", "checkout", "checkout: POST /carts", "checkout: POST /pay"]


def test_a_report_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("the one before")
    bad = replace(finished(), verdict=object())
    with pytest.raises(TypeError):
        write_report(bad, tmp_path)
    assert (tmp_path / "report.json").read_text() == "the one before"


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="could not be written"):
        write_report(finished(), tmp_path / "file")


def test_the_console_tells_the_whole_run() -> None:
    stream = io.StringIO()
    console = Console(stream, Mask(["geheim"]))
    console(RunStarted("r1", SCENARIO, Path("sample.yaml"), Path("x")))
    console(Note("the password is geheim"))
    peak = results()[2]
    console(StageStarted(peak.stage, 2))
    console(StageFinished(peak))
    console(finished())
    text = stream.getvalue()
    for part in (
        "stressrun sample · sample.yaml · run r1",
        "the password is ***",
        "stage peak · 10.0 s · endpoints 10.0/s · writes 10.0/s",
        "planned 12.0/s · achieved 12.0/s · dropped 0",
        "└ POST /carts",
        "browse: 1 × status 503",
        "✓ http errors < 1%",
        "✗ http p95 < 1ms   (400 ms)",
        "✗ endpoint checkout p99 < 1s   (no data)",
        "verdict: failed (exit code 1)",
        "cause: threshold failed: http p95 < 1ms",
    ):
        assert part in text
    assert text.index("✓") < text.index("✗"), "failures stand last"


def test_a_console_that_is_gone_is_no_error() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = Console(Gone(), Mask([]))
    console(Note("nobody listens"))
    console(Note("still nobody"))
