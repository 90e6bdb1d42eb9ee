"""Baselines as files: the part of a `report.json` that later runs are held against."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from itertools import zip_longest
from math import isfinite
from pathlib import Path
from typing import Any

import jsonschema

from stressrun.errors import UsageError
from stressrun.metrics.block import Block
from stressrun.metrics.recorder import RowKey
from stressrun.scenario.identity import Identity
from stressrun.verdict.baseline import Baseline, Slices
from stressrun.verdict.origin import Machine, Origin, Versions

BASELINE_VERSION = 1
_RUN = ("id", "scenario", "environment", "random_seed", "started_at")
_STAGE = ("name", "duration")
_ROW = ("kind", "name", "slices")
_SHOWN = 200
_MAKE = "make one: stressrun SCENARIO --save-baseline FILE"


def baseline_text(report: Mapping[str, Any]) -> str:
    """The baseline that is in a report; the same text for the same report."""
    document = {
        "baseline_version": BASELINE_VERSION,
        "run": {key: report["run"][key] for key in _RUN},
        "machine": report["machine"],
        "versions": report["versions"],
        "scenario": report["scenario"],
        "others_cpu": report["others_cpu"],
        "stages": [_stage(stage) for stage in report["stages"] if not stage["warmup"]],
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    rows = [{key: row[key] for key in _ROW} for row in stage["rows"] if row["slices"]]
    return {**{key: stage[key] for key in _STAGE}, "rows": rows}


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file. Raises UsageError where there is none."""
    return baseline_of(read_json(path, "baseline", _MAKE), str(path))


def check_replaceable(path: Path) -> None:
    """See that a file which a baseline is to replace is one, not a scenario. Raises UsageError."""
    if not path.is_file() or not path.stat().st_size:
        return
    try:
        document = read_json(path, "baseline", _MAKE)
    except UsageError:
        document = None
    if not isinstance(document, dict) or "baseline_version" not in document:
        raise UsageError(
            f"{path} is there, and is no baseline", hint="name another file, or remove this one"
        )


def baseline_of(document: Any, file: str) -> Baseline:
    """The baseline that a document describes. Raises UsageError where it describes none."""
    version = document.get("baseline_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version != BASELINE_VERSION:
        raise UsageError(
            f"the baseline {file} has version {version}, and this stressrun reads "
            f"{BASELINE_VERSION}",
            hint=f"measure it anew: stressrun SCENARIO --save-baseline {file}",
        )
    error = jsonschema.exceptions.best_match(_validator().iter_errors(document))
    if error is not None:
        where = "/".join(map(str, error.absolute_path))
        what = f"{where}: {error.message}" if where else error.message
        raise UsageError(
            f"{file} is no baseline: {what[:_SHOWN]}",
            hint=_MAKE,
        )
    return Baseline(
        file=file,
        run_id=document["run"]["id"],
        started_at=document["run"]["started_at"],
        origin=Origin(
            Machine(**document["machine"]),
            Versions(**document["versions"]),
            Identity(**document["scenario"]),
            document["others_cpu"],
        ),
        stages={stage["name"]: _slices(stage) for stage in document["stages"]},
    )


def read_json(path: Path, what: str, hint: str) -> Any:
    """The content of a JSON file that is some `what`, its numbers finite. Raises UsageError.

    The `hint` says what to do where there is no such file.
    """
    try:
        # What is no file, such as a pipe, could be waited for without end.
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        return json.loads(path.read_bytes(), parse_constant=_refused, parse_float=_finite)
    except FileNotFoundError:
        raise UsageError(f"there is no {what} {path}", hint=hint) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the {what} {path} cannot be read: {reason}", hint="is it the file that you mean?"
        ) from error


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    if not isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is too large a number")
    return value


def _slices(stage: Mapping[str, Any]) -> Slices:
    """A stage's slices with their rows, which stand in the file the other way round."""
    rows: list[list[tuple[RowKey, Block]]] = [
        [((row["kind"], row["name"]), Block(**block)) for block in row["slices"]]
        for row in stage["rows"]
    ]
    return [dict(filter(None, blocks)) for blocks in zip_longest(*rows)]


def _validator() -> jsonschema.Draft7Validator:
    text = files(__package__).joinpath("baseline.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft7Validator(json.loads(text))
