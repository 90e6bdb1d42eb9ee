"""`stressrun validate`, as a user calls it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stressrun.cli.validate import validate

CHECKOUT = Path(__file__).parents[1] / "scenario" / "checkout.yaml"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(validate, [str(argument) for argument in arguments])


def broken(folder: Path, old: str, new: str) -> Path:
    path = folder / "broken.yaml"
    path.write_text(CHECKOUT.read_text().replace(old, new, 1))
    return path


def test_a_good_file_is_told_with_what_it_would_take() -> None:
    result = run(CHECKOUT)
    assert result.exit_code == 0
    assert result.output == f"{CHECKOUT}: ok (checkout, 4 stages, 55.0 s planned)\n"


def test_good_files_are_told_beside_the_mistakes_of_others(tmp_path: Path) -> None:
    bad = broken(tmp_path, "in peak", "in peek")
    result = run(bad, CHECKOUT, tmp_path / "missing.yaml")
    assert result.exit_code == 2
    assert result.stdout == f"{CHECKOUT}: ok (checkout, 4 stages, 55.0 s planned)\n"
    assert [line for line in result.stderr.splitlines() if line.startswith(str(tmp_path))] == [
        f"{bad}:50:35: no stage 'peek'",
        f"{tmp_path}/missing.yaml:1:1: cannot be read: No such file or directory",
    ]


def test_every_environment_is_checked_unless_one_is_asked_for(tmp_path: Path) -> None:
    path = broken(tmp_path, "{ramp: {duration: 5s}", "{ramp: {duration: 5}")
    assert "5 has no unit: write 5s or 5ms (with -e quick)" in run(path).stderr
    assert run(path, "-e", "staging").exit_code == 0
    assert "5 has no unit: write 5s or 5ms\n" in run(path, "-e", "quick").stderr
    assert "-e quik:1:1: no environment 'quik'" in run(path, "-e", "quik").stderr


def test_values_and_variables_can_be_given(tmp_path: Path) -> None:
    path = broken(tmp_path, "random_seed: 42", "random_seed: ${SEED}")
    env_file = tmp_path / "seeds.env"
    env_file.write_text("SEED=7\n")
    assert "the variable SEED is not set" in run(path).stderr
    assert run(path, "--env-file", env_file).exit_code == 0
    assert run(path, "--set", "random_seed=1").exit_code == 0
    assert "60.0 s planned" in run(CHECKOUT, "--set", "stages.ramp.duration=25s").output
    told = run(CHECKOUT, "--set", "stages.ramp.duration=25").stderr
    assert told.startswith("--set stages.ramp.duration=25:1:22: 25 has no unit")


@pytest.mark.parametrize(
    ("code", "unneeded"),
    [
        (
            f"from stressrun.cli.validate import validate; validate([{str(CHECKOUT)!r}])",
            ("faker", "httpx", "psycopg", "trio", "tabulate"),
        ),
        (
            "import stressrun.scenario.build",
            ("faker", "httpx", "psycopg", "trio", "tabulate", "jsonschema", "yaml", "click"),
        ),
    ],
    ids=["validate", "a worker's scenario"],
)
def test_nothing_heavy_is_imported_that_is_not_needed(code: str, unneeded: tuple[str, ...]) -> None:
    report = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print([m for m in {unneeded!r} if m in sys.modules]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", report + code], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"
