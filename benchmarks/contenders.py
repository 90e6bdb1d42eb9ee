"""Who takes turns against the server: the peers, and stressrun in each of its modes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring import BenchmarkError, answer_of
from benchmarks.nginx import Nginx

CONNECTIONS = 50
HERE = Path(__file__).parent
PEERS = ("wrk", "hey", "autocannon", "locust", "molotov")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Told:
    """What a client says of its own turn; the rest only stressrun says.

    `worker_cpu_seconds` is of the process that makes the load, while it makes it; `lag_p99` is in
    seconds, `achieved` the rate that was reached as a share of the plan.
    """

    requests: int
    errors: int
    worker_cpu_seconds: float | None = None
    lag_p99: float | None = None
    dropped: int | None = None
    achieved: float | None = None


@dataclass(frozen=True, slots=True)
class Contender:
    """A client: `command` makes its arguments of server, seconds and folder; `read` the folder."""

    name: str
    command: Callable[[Nginx, int, Path], list[str]]
    read: Callable[[Path], Told]


def stressrun_command(scenario: str, folder: Path, settings: Sequence[str]) -> list[str]:
    """Run one of our scenarios, with its report below a folder."""
    sets = [word for setting in settings for word in ("--set", setting)]
    path = HERE / "scenarios" / f"{scenario}.yaml"
    return [
        *(sys.executable, "-m", "stressrun", str(path)),
        *("--report-dir", str(folder / "report"), *sets),
    ]


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a run. Raises BenchmarkError with stressrun's output when no stage was run."""
    try:
        report: dict[str, Any] = json.loads((folder / "report" / "report.json").read_bytes())
    except FileNotFoundError:
        report = {"stages": []}
    if not report["stages"]:
        logs = [path.read_text() for path in folder.glob(".stressrun/*/*.log")]
        raise BenchmarkError("\n".join(["stressrun ran no stage:", output_of(folder), *logs]))
    return report


def iterations(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of all endpoints in a report's only stage."""
    (stage,) = report["stages"]
    return [row for row in stage["rows"] if row["kind"] == "endpoint"]


def output_of(folder: Path) -> str:
    return (folder / "output").read_text(errors="replace")


def stressrun_contenders() -> list[Contender]:
    """Ours: 50 users as fast as they can, and its other modes."""
    return [
        _stressrun("stressrun", "closed"),
        _stressrun("stressrun-open-2000", "open", rate=2_000),
        _stressrun("stressrun-open-10000", "open", rate=10_000),
        _stressrun("stressrun-post", "post"),
        _stressrun("stressrun-tls", "tls"),
    ]


def peers(options: Namespace) -> Iterator[tuple[Contender, str]]:
    """The peers that are installed, each with its version."""
    if wrk := shutil.which("wrk"):
        version = answer_of(wrk, "-v").split()[1].removeprefix("debian/")
        yield Contender("wrk", _fixed_url(wrk, "-t1", "-c50", "-d{}s"), _read_wrk), version
    if hey := shutil.which("hey"):
        version = answer_of("dpkg-query", "-W", "-f", "${Version}", "hey") or "unknown"
        yield Contender("hey", _fixed_url(hey, "-c", "50", "-z", "{}s"), read_hey), version
    if autocannon := shutil.which(options.autocannon):
        version = answer_of(autocannon, "--version").split()[1]
        command = _fixed_url(autocannon, "--json", "-c", "50", "-d", "{}")
        yield Contender("autocannon", command, _read_autocannon), version
    python = options.peers_python
    if version := _package_version(python, "locust"):
        yield Contender("locust", _locust(python), _read_locust), version
    if version := _package_version(python, "molotov"):
        yield Contender("molotov", _molotov(python), _read_molotov), version


def read_hey(folder: Path) -> Told:
    """What hey says: answers by status, and errors without one."""
    output = output_of(folder)
    by_status = [(int(s), int(n)) for s, n in re.findall(r"\[(\d{3})\]\t(\d+) responses", output)]
    good = sum(count for status, count in by_status if status < 400)
    errors = sum(int(count) for count in re.findall(r"^  \[(\d+)\]\t(?!\d+ resp)", output, re.M))
    return Told(good, errors + sum(count for _, count in by_status) - good)


def _stressrun(name: str, scenario: str, rate: int | None = None) -> Contender:
    def command(server: Nginx, seconds: int, folder: Path) -> list[str]:
        settings = [f"stages.load.duration={seconds}s"]
        if rate is not None:
            settings.append(f"stages.load.endpoints.rate={rate}/s")
        return stressrun_command(scenario, folder, settings)

    return Contender(name, command, partial(_read_stressrun, rate=rate))


def _read_stressrun(folder: Path, rate: int | None) -> Told:
    report = read_report(folder)
    rows = iterations(report)
    return Told(
        requests=sum(row["succeeded"] + row["failed"] for row in rows),
        errors=sum(row["failed"] + row["interrupted"] + row["unknown"] for row in rows),
        worker_cpu_seconds=report["generator"]["cpu_seconds"],
        lag_p99=report["generator"]["lag"]["p99"],
        dropped=sum(row["dropped"] for row in rows) if rate else None,
        achieved=sum(row["rate"] for row in rows) / rate if rate else None,
    )


def _fixed_url(*words: str) -> Callable[[Nginx, int, Path], list[str]]:
    def command(server: Nginx, seconds: int, folder: Path) -> list[str]:
        return [*(word.format(seconds) for word in words), f"{server.url}/products"]

    return command


def _read_wrk(folder: Path) -> Told:
    output = output_of(folder)
    found = re.search(r"(\d+) requests in ", output)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    broken = re.search(r"Socket errors: (.+)", output)
    counts = [count for match in (failed, broken) if match for count in _NUMBER.findall(match[1])]
    return Told(int(found[1]) if found else 0, sum(map(int, counts)))


def _read_autocannon(folder: Path) -> Told:
    # A notice of its own may stand before the document.
    output = output_of(folder)
    result = json.loads(output[output.index("{") : output.rindex("}") + 1])
    errors = result["errors"] + result["timeouts"] + result["non2xx"] + result["mismatches"]
    return Told(result["requests"]["total"], errors)


def _locust(python: str) -> Callable[[Nginx, int, Path], list[str]]:
    def command(server: Nginx, seconds: int, folder: Path) -> list[str]:
        return [
            *(python, "-m", "locust", "-f", str(HERE / "peers" / "locustfile.py")),
            *("--headless", "--only-summary", "--json-file", str(folder / "locust")),
            *("-u", str(CONNECTIONS), "-r", str(CONNECTIONS), "-t", f"{seconds}s"),
            *("--host", server.url),
        ]

    return command


def _read_locust(folder: Path) -> Told:
    rows = json.loads((folder / "locust.json").read_bytes())
    failed = sum(row["num_failures"] for row in rows)
    return Told(sum(row["num_requests"] for row in rows) - failed, failed)


def _molotov(python: str) -> Callable[[Nginx, int, Path], list[str]]:
    def command(server: Nginx, seconds: int, folder: Path) -> list[str]:
        return [
            *(python, "-c", "from molotov.run import main; main()"),
            *("-c", "-w", str(CONNECTIONS), "-p", "1", "-d", str(seconds)),
            str(HERE / "peers" / "molotov_mix.py"),
        ]

    return command


def _read_molotov(folder: Path) -> Told:
    found = re.findall(r"SUCCESSES: (\d+) \| FAILURES: (\d+)", output_of(folder))
    succeeded, failed = found[-1] if found else (0, 0)
    return Told(int(succeeded), int(failed))


def _package_version(python: str, package: str) -> str:
    """The version of a package that an interpreter can import; nothing where it cannot."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
