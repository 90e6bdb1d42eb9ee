"""Where the parts of a scenario are written, for reports that point at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stressrun.scenario.load import load

SCENARIO = """\
version: 1
name: positions
base_url: http://127.0.0.1:8000
endpoints: [{name: home, request: GET /}]
stages: [{name: load, duration: 1s, endpoints: {rate: 1/s}}]
thresholds:
  - http p95 < 250ms
  - http errors < ${LIMIT:-1%}
  - abort: true
    check: http p50 < 1s
environments:
  strict:
    thresholds: {"1": http errors <= 0%}
"""


def positions(
    folder: Path, *, environment: str | None = None, sets: Sequence[str] = ()
) -> list[tuple[str, int] | None]:
    """File and line of each threshold; None: it is written nowhere."""
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO)
    loaded = load(path, environ={}, environment=environment, sets=sets)
    places = [threshold.place for threshold in loaded.resolve({})[1].thresholds]
    found = [None if place is None else loaded.position(place) for place in places]
    return [
        position and (position.file.removeprefix(f"{folder}/"), position.line) for position in found
    ]


def test_a_threshold_knows_its_line_and_a_built_in_one_has_none(tmp_path: Path) -> None:
    file = "scenario.yaml"
    assert positions(tmp_path) == [(file, 7), (file, 8), (file, 9), None, None]


def test_a_threshold_of_an_overlay_is_on_the_overlay_s_line(tmp_path: Path) -> None:
    assert positions(tmp_path, environment="strict")[1] == ("scenario.yaml", 13)


def test_a_threshold_of_the_command_line_is_in_no_file(tmp_path: Path) -> None:
    whole = "thresholds=[http max < 1s]"
    assert positions(tmp_path, sets=[whole])[0] == (f"--set {whole}", 1)
    one = "thresholds.2.check=http p50 < 2s"
    assert positions(tmp_path, sets=[one])[2] == ("scenario.yaml", 9), "the rest of it is there"
