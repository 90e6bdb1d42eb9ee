"""The `monitor:` of a scenario, what is wrong with one, and thresholds on what it sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from stressrun.errors import ScenarioError
from stressrun.scenario.load import load
from stressrun.scenario.model import Exporter, Monitoring, NamedProcess, PrometheusServer, Scenario

HEAD = """\
version: 1
name: watched
services:
  db: {postgres: embedded}
  there: {url: "http://127.0.0.1:1"}
  api: {command: python -m app, env: {DB: "${services.db.url}"}}
base_url: ${services.api.url}
endpoints: [{name: home, request: GET /}]
stages: [{name: only, duration: 20s, endpoints: {vus: 1}}]
"""


def loaded(folder: Path, text: str) -> Scenario:
    path = folder / "scenario.yaml"
    path.write_text(HEAD + text)
    return load(path, environ={}).scenario


def test_processes_and_host_are_watched_by_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").monitoring == Monitoring()
    assert loaded(tmp_path, "monitor: true\n").monitoring == Monitoring()
    assert loaded(tmp_path, "monitor: false\n").monitoring is None


def test_a_monitor_watches_what_it_is_told(tmp_path: Path) -> None:
    monitoring = loaded(
        tmp_path,
        """\
monitor:
  every: 500ms
  processes:
    nginx: {port: 8080}
    worker: {command: "celery .* worker"}
    init: {pid: 1}
  prometheus:
    app:
      url: ${services.api.url}/metrics
      series: {errors: 'http_requests_total{status=~"5.."}', heap: heap_bytes}
    slo:
      server: http://127.0.0.1:9090
      queries: {share: 'sum(rate(errors[$__range]))'}
""",
    ).monitoring
    assert monitoring is not None
    assert monitoring.interval == 0.5
    assert monitoring.processes == (
        NamedProcess("nginx", port=8080),
        NamedProcess("worker", command="celery .* worker"),
        NamedProcess("init", pid=1),
    )
    app, slo = monitoring.prometheus
    assert isinstance(app, Exporter)
    assert app.url == "${services.api.url}/metrics"
    assert {name: selector.text for name, selector in app.series.items()} == {
        "errors": 'http_requests_total{status=~"5.."}',
        "heap": "heap_bytes",
    }
    queries = {"share": "sum(rate(errors[$__range]))"}
    assert slo == PrometheusServer("slo", "http://127.0.0.1:9090", queries)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("monitor: {every: 50ms}", "expected a duration from 100ms to 1m"),
        ("monitor: {every: 1}", "1 has no unit: write 1s or 1ms"),
        ("monitor: {evry: 1s}", "unknown key 'evry'\n* did you mean 'every'?"),
        ("monitor: {processes: {db: {port: 1}}}", "'db' is watched already"),
        ("monitor: {processes: {generator: {port: 1}}}", "'generator' is watched already"),
        ("monitor: {processes: {x: {}}}", "expected one of pid, port and command"),
        ("monitor: {processes: {x: {pid: 1, port: 2}}}", "expected one of pid, port and command"),
        ("monitor: {processes: {x: {port: 0}}}", "expected a port from 1 to 65535, not 0"),
        ("monitor: {processes: {X: {port: 1}}}", "expected a name: a small letter"),
        (
            "monitor: {processes: {x: {command: 'a('}}}",
            "not a regular expression: missing ), unterminated subpattern at position 1",
        ),
        (
            "monitor: {prometheus: {x: {url: 'http://a'}}}",
            "'series' is missing",
        ),
        (
            "monitor: {prometheus: {x: {url: 'ftp://a', series: {y: z}}}}",
            "not an http:// or https:// URL",
        ),
        (
            "monitor: {prometheus: {x: {url: '${services.ap.url}', series: {y: z}}}}",
            "no 'services.ap.url' to refer to",
        ),
        (
            "monitor: {prometheus: {x: {url: 'http://a', series: {y: 'z{'}}}}",
            "'z{' is not a series such as",
        ),
        (
            "monitor: {prometheus: {x: {url: 'http://a', series: {y: 'z{a=b}'}}}}",
            "'a=b' is not a label with its value",
        ),
        (
            "monitor: {prometheus: {x: {url: 'http://a', series: {y: 'z{a=~\"(\"}'}}}}",
            "'(' is not a regular expression",
        ),
        ("thresholds: [process web cpu < 1%]", "no process 'web'"),
        ("thresholds: [process there cpu < 1%]", "no process 'there'"),
        ("thresholds: [process api cpus < 1%]", "expected a metric, not 'cpus'"),
        ("thresholds: [process api cpu < 1]", "1 has no unit: write 1%"),
        (
            "thresholds: [process api memory_growth < 1MB]",
            "'memory_growth' is compared with a size per time such as 10MB/min or 1GB/h",
        ),
        ("thresholds: [host cpu < 1% over 5s]", "figures of host are of whole stages"),
        ("thresholds: [prometheus x.y rate < 1]", "no source of metrics 'x'"),
        ("thresholds: [host cpu < 1%]\nmonitor: false", "monitor: false, so that nothing looks"),
        (
            "thresholds: [process api memory_growth < 1MB/min]\nmonitor: {every: 5s}",
            "only is too short to tell growth: that takes 10 samples\n"
            "* make it at least 50.0 s long",
        ),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ScenarioError) as error:
        loaded(tmp_path, text + "\n")
    message, _, hint = told.partition("\n* ")
    assert any(
        mistake.message.startswith(message) and hint in mistake.hint
        for mistake in error.value.mistakes
    ), error.value
    assert len(error.value.mistakes) == 1, error.value


SOURCES = """\
monitor:
  prometheus:
    app: {url: "http://127.0.0.1:1", series: {done: done_total, heap: heap}}
    slo: {server: "http://127.0.0.1:2", queries: {share: up}}
"""


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        ("prometheus app rate < 1", "expected a series of app as well"),
        ("prometheus app.doen rate < 1", "no series 'doen'"),
        ("prometheus app.done value < 1", "app has no value: series have none"),
        ("prometheus slo.share rate < 1", "slo has no rate: queries have a value only"),
        ("prometheus app.done rate < x", "'rate' is compared with a number such as 0.5"),
    ],
)
def test_thresholds_on_metrics_name_what_is_read(tmp_path: Path, threshold: str, told: str) -> None:
    with pytest.raises(ScenarioError) as error:
        loaded(tmp_path, f"{SOURCES}thresholds: [{threshold}]\n")
    (mistake,) = error.value.mistakes
    assert mistake.message.startswith(told)


def test_a_service_cannot_have_the_generator_s_name(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(HEAD.replace("api", "generator"))
    with pytest.raises(ScenarioError, match="the load generator's own processes have this name"):
        load(path, environ={})


@pytest.mark.parametrize("where", ["", " in short", " in long"])
def test_growth_is_asked_of_stages_that_can_tell_it(tmp_path: Path, where: str) -> None:
    path = tmp_path / "scenario.yaml"
    stages = "\n".join(
        f"  - {{name: {name}, duration: {duration}, endpoints: {{vus: 1}}}}"
        for name, duration in (("short", "5s"), ("long", "60s"))
    )
    head = HEAD.partition("stages:")[0]
    threshold = f"process api memory_growth < 1MB/min{where}"
    path.write_text(f"{head}stages:\n{stages}\nthresholds: [{threshold}]\n")
    if where == " in long":
        load(path, environ={})
        return
    with pytest.raises(ScenarioError) as error:
        load(path, environ={})
    (mistake,) = error.value.mistakes
    assert mistake.message == "short is too short to tell growth: that takes 10 samples"
    if not where:
        assert mistake.hint == f"ask it of a longer stage: {threshold} in long"
