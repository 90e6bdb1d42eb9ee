import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unicodedata import category

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.errors import ExitCode
from stressrun.load.stage import StageResult
from stressrun.metrics.recorder import Recorder, Sample
from stressrun.report.console import Console
from stressrun.report.document import document, document_text
from stressrun.run.events import Note, RunFinished, RunStarted, StageFinished, StageStarted
from stressrun.safety.masking import Mask
from stressrun.scenario.model import Tls
from stressrun.verdict.thresholds import evaluate
from verdict_samples import ORIGIN, STAGES, results, scenario

ROOT = Path(__file__).parents[2]
SCENARIO = scenario("http p95 < 1ms", "http errors < 1%", "endpoint checkout p99 < 1s")
SCHEMA = json.loads((ROOT / "schema" / "report.schema.json").read_text())
UNVERIFIED = replace(SCENARIO, http=replace(SCENARIO.http, tls=Tls(verify=False)))


def finished() -> RunFinished:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return RunFinished(
        run_id="r1",
        scenario=SCENARIO,
        file=Path("sample.yaml"),
        origin=ORIGIN,
        started_at=now,
        ended_at=now,
        stages=tuple(results()),
        thresholds=tuple(evaluate(SCENARIO, results())),
        invariants=(),
        verdict="failed",
        exit_code=ExitCode.FAILED,
        cause="threshold failed: http p95 < 1ms",
    )


@given(st.text(max_size=60) | st.text("\x1b[2J\r\n\x9b\u202everdict: passed", max_size=60))
def test_what_a_service_said_does_nothing_to_the_console_and_is_no_line_of_ours(said: str) -> None:
    stream = io.StringIO()
    console = Console(stream, Mask())
    console(RunStarted("r1", SCENARIO, Path("sample.yaml"), Path()))
    console(Note(f"the last lines of api:\n{said}"))
    console(replace(finished(), residue=(f"teardown step: {said}",)))
    shown = stream.getvalue()
    assert all(c in "\n\t" or c.isprintable() or category(c) == "Zs" for c in shown)
    verdicts = [line for line in shown.split("\n") if line.startswith("verdict:")]
    assert verdicts == ["verdict: failed (exit code 1)"]


def test_the_two_copies_of_the_schemas_are_the_same() -> None:
    for package, name in (
        ("report", "report"),
        ("report", "comparison"),
        ("report", "baseline"),
        ("scenario", "scenario"),
    ):
        truth = ROOT / "src" / "stressrun" / package / f"{name}.schema.json"
        assert (ROOT / "schema" / f"{name}.schema.json").read_text() == truth.read_text()


def test_the_report_follows_its_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(document_text(finished())), SCHEMA)


def test_the_schema_knows_every_key_of_the_report() -> None:
    wrong = document(finished()) | {"more": 1}
    with pytest.raises(jsonschema.ValidationError, match="more"):
        jsonschema.validate(wrong, SCHEMA)


nanoseconds = st.integers(0, 2**50)
outcomes = st.tuples(
    st.sampled_from(
        [
            ("endpoint", "browse"),
            ("endpoint", "checkout"),
            ("step", "checkout: POST /pay"),
            ("login", "login: POST /login"),
            ("operation", "audit.select"),
        ]
    ),
    st.sampled_from(["succeed", "fail", "unsent", "refuse", "drop", "interrupt", "unknown"]),
    st.text(max_size=5),
    st.tuples(nanoseconds, nanoseconds, nanoseconds),
)


@given(st.lists(outcomes, max_size=30), st.lists(nanoseconds, max_size=3))
def test_every_run_s_report_follows_the_schema(
    happened: list[tuple[tuple[str, str], str, str, tuple[int, int, int]]], opened: list[int]
) -> None:
    result = StageResult(STAGES[1], 1, elapsed=1.0 if opened else 0.0)
    for key, outcome, text, (service, late, first_byte) in happened:
        perform(result.books, key, outcome, text, (service, service + late, first_byte))
    for time in opened:
        result.books.connect.record(time)
        result.books.tls.record(time)
    event = replace(finished(), stages=(result,), thresholds=())
    jsonschema.validate(json.loads(json.dumps(document(event))), SCHEMA)


def perform(
    books: Recorder, key: tuple[str, str], outcome: str, text: str, times: tuple[int, int, int]
) -> None:
    row = books.row(*key)
    row.planned += 1
    service, response, first_byte = times
    match outcome:
        case "succeed":
            row.succeed(service, response, 1, 2, first_byte)
        case "fail":
            row.fail(text, service, response, 1, 0, first_byte)
            row.keep(Sample(text, text, text, text))
        case "unsent":
            row.fail(text, None, response, 0, 0)
        case "refuse":
            row.refuse(text)
        case "drop":
            row.dropped += 1
        case "interrupt":
            row.interrupted += 1
        case "unknown":
            row.unknown += 1


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


def test_only_rows_of_requests_have_a_time_to_the_first_byte() -> None:
    peak = document(finished())["stages"][2]
    first_bytes = {row["name"]: row["first_byte"] for row in peak["rows"]}
    assert first_bytes["browse"]["p95"] == pytest.approx(0.05, rel=0.001)
    assert first_bytes["checkout: POST /pay"]["mean"] == 0.4
    assert first_bytes["checkout"] is None
    assert first_bytes["audit.insert"] is None


def test_the_report_holds_the_first_failures_and_what_requests_needed_besides() -> None:
    peak = results()[2]
    sample = Sample("status 503", "", "GET /", "503 Busy")
    browse = peak.books.row("endpoint", "browse")
    browse.keep(sample)
    browse.retried, browse.redirected = 3, 4
    peak.books.connect.record(1_000_000)
    event = replace(finished(), scenario=UNVERIFIED, stages=(peak,))
    report = document(event)
    jsonschema.validate(report, SCHEMA)
    assert report["warnings"] == ["TLS certificates are not verified (http.tls.verify: false)"]
    stage = report["stages"][0]
    assert stage["connections"]["opened"] == 1
    assert stage["connections"]["connect"]["max"] == 0.001
    assert stage["connections"]["tls"]["max"] is None
    row = stage["rows"][0]
    assert (row["retried"], row["redirected"]) == (3, 4)
    assert row["samples"] == [
        {"error": "status 503", "detail": "", "request": "GET /", "answer": "503 Busy"}
    ]


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
        "✗ http p95 < 1ms   (400 ms, 400 × as much)",
        "✗ endpoint checkout p99 < 1s   (no data)",
        "verdict: failed (exit code 1)",
        "cause: threshold failed: http p95 < 1ms",
    ):
        assert part in text
    assert text.index("✓") < text.index("✗"), "failures stand last"


def test_the_console_says_where_to_find_the_requests_that_failed() -> None:
    stream = io.StringIO()
    console = Console(stream, Mask([]))
    console(finished())
    console.report_written(Path("report.json"))
    assert stream.getvalue().endswith("report: report.json\n")
    sampled = results()
    sampled[2].books.row("endpoint", "browse").keep(Sample("slow", "it took 2.00 s", "GET /", ""))
    console(replace(finished(), stages=tuple(sampled)))
    console.report_written(Path("report.json"))
    last = stream.getvalue().splitlines()[-1]
    assert last == "  it has the requests and answers of the first failures of each kind"


def test_the_console_says_aloud_that_certificates_are_not_verified() -> None:
    stream = io.StringIO()
    Console(stream, Mask([]))(RunStarted("r1", UNVERIFIED, Path("sample.yaml"), Path("x")))
    assert stream.getvalue().splitlines()[1:] == [
        "  warning: TLS certificates are not verified (http.tls.verify: false)"
    ]


def test_a_console_that_is_gone_is_no_error() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    console = Console(Gone(), Mask([]))
    console(Note("nobody listens"))
    console(Note("still nobody"))
