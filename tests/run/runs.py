"""Runs of the command line as a user starts them, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import psutil

from stressrun.safety.ledger import open_ledger

ROOT = Path(__file__).parents[2]
CHECKOUT = ROOT / "scenarios" / "checkout.yaml"
# For what must happen, however slow the machine: no test waits for this on its way to success.
PATIENCE = 60
SCHEMA = json.loads((ROOT / "schema" / "report.schema.json").read_text())
# Where the tests run in CI themselves, it is not asked for the reports of their runs.
ENVIRON = {
    name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "CI_"))
}
OUTCOMES = ("succeeded", "failed", "dropped", "interrupted", "unknown")


@dataclass
class Ended:
    """A run that has ended."""

    code: int
    output: str
    directory: Path
    # How long it took to end (seconds) since the run was last called to, or since its last stage
    # had begun, or since its start.
    seconds: float = 0.0
    called: bool = False

    @property
    def run_id(self) -> str:
        return self.output.partition(" · run ")[2].partition("\n")[0]

    @property
    def report(self) -> dict[str, Any]:
        path = self.directory / ".stressrun" / self.run_id / "report.json"
        report: dict[str, Any] = json.loads(path.read_text())
        return report

    def rows(self, kind: str) -> dict[str, dict[str, int]]:
        """The counters of all stages together, by row name."""
        total: dict[str, dict[str, int]] = {}
        for stage in self.report["stages"]:
            for row in stage["rows"]:
                if row["kind"] == kind:
                    sums = total.setdefault(row["name"], {})
                    for key in (
                        "planned",
                        "succeeded",
                        "failed",
                        "dropped",
                        "interrupted",
                        "unknown",
                    ):
                        sums[key] = sums.get(key, 0) + row[key]
        return total


class Run:
    """`stressrun ARGUMENTS` in a directory of its own, its output read line by line.

    `inside` is a command that runs the one it is given.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str | Path,
        inside: Sequence[str] = (),
        **environment: str,
    ) -> None:
        self._directory = directory
        self._lines: list[str] = []
        self._since = time.monotonic()
        self._called = False
        self.process = subprocess.Popen(
            [*inside, sys.executable, "-m", "stressrun", *map(str, arguments)],
            cwd=directory,
            env={**ENVIRON, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for(self, text: str) -> str:
        """Read the output until a line holds the text."""
        for line in self._read():
            if text in line:
                return line
        raise AssertionError(f"{text!r} did not come:\n{''.join(self._lines)}")

    @property
    def run_id(self) -> str:
        """Known as soon as its first line was read."""
        return Ended(0, "".join(self._lines), self._directory).run_id

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.call()

    def call(self) -> None:
        """Count the time that it takes to end from now: what ends it has happened."""
        self._since, self._called = time.monotonic(), True

    def end(self) -> Ended:
        """Wait for the end."""
        overdue = threading.Timer(PATIENCE, self.process.kill)
        overdue.start()
        try:
            for _ in self._read():
                pass
            code = self.process.wait()
        finally:
            overdue.cancel()
            assert self.process.stdout is not None
            self.process.stdout.close()
        seconds = time.monotonic() - self._since
        assert seconds < PATIENCE, f"it did not end:\n{''.join(self._lines)}"
        return Ended(code, "".join(self._lines), self._directory, seconds, self._called)

    def _read(self) -> Iterator[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)
            if line.startswith("stage ") and not self._called:
                self._since = time.monotonic()
            yield line


def stressrun(
    directory: Path, *arguments: str | Path, inside: Sequence[str] = (), **environment: str
) -> Ended:
    """Run to the end."""
    return Run(directory, *arguments, inside=inside, **environment).end()


@contextmanager
def kept_run(
    directory: Path, *arguments: str | Path, **environment: str
) -> Iterator[tuple[Ended, dict[str, str]]]:
    """A run with --keep that has passed, and its services' URLs; cleaned up whatever follows."""
    ended = stressrun(directory, *arguments, "--keep", **environment)
    lines = ended.output.partition("--keep):\n")[2].splitlines()
    try:
        assert ended.code == 0, ended.output
        yield ended, dict(line.strip().split(": ", 1) for line in lines if "://" in line)
    finally:
        cleaned = stressrun(directory, "clean", ended.run_id)
    assert cleaned.code == 0, cleaned.output
    assert_nothing_is_left(ended)


def row_of(ended: Ended, name: str | None = None, *, stage: int = 0) -> dict[str, Any]:
    """The row of a name in a stage, or the only one that is no step's."""
    rows = ended.report["stages"][stage]["rows"]
    found: list[dict[str, Any]] = [row for row in rows if row["kind"] != "step"]
    (row,) = (row for row in found if name in (None, row["name"]))
    return row


def assert_told(ended: Ended, code: int, cause: str = "") -> None:
    """Output and report agree on how it ended, and the books balance."""
    assert ended.code == code, ended.output
    assert "Traceback" not in ended.output
    jsonschema.validate(ended.report, SCHEMA)
    assert ended.report["exit_code"] == code
    assert cause in ended.output
    assert cause in ended.report["cause"]
    assert_books_balance(ended)


def assert_books_balance(ended: Ended) -> None:
    for stage in ended.report["stages"]:
        for row in stage["rows"]:
            assert row["planned"] == sum(row[outcome] for outcome in OUTCOMES), row


def processes_of(run_id: str, *, guardian: bool = False) -> list[str]:
    """The live processes that bear a run's mark: workers, services and theirs; or its guardian."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        try:
            marked = process.environ().get("STRESSRUN_SERVICE", "").startswith(f"{run_id}/")
        except (psutil.Error, OSError):
            continue
        if guardian:
            marked |= any(f"{run_id}/" in word for word in process.info["cmdline"] or ())
        if marked and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def await_guardian(run_id: str) -> None:
    """Wait until the guardian of a killed run has ended its processes."""
    deadline = time.monotonic() + PATIENCE
    while processes_of(run_id, guardian=True) and time.monotonic() < deadline:
        time.sleep(0.05)


def assert_nothing_is_left(ended: Ended) -> None:
    """No process, no directory of an embedded server, no entry in the ledger."""
    assert processes_of(ended.run_id) == []
    with open_ledger(ended.directory / ".stressrun") as ledger:
        assert ledger.outstanding() == []
    assert not list(Path("/tmp").glob(f"*{ended.run_id}*"))
