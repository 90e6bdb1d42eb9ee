"""`comparison.json` against its schema."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from comparison_samples import compared, concluded, named
from report_samples import anything
from stressrun.report.comparison_document import comparison_document, comparison_text
from stressrun.run.events import ComparisonFinished
from stressrun.verdict.comparison import SHOWN, compare, paired
from stressrun.verdict.figures import blocks_of
from verdict_samples import results

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schema" / "comparison.schema.json").read_text())


def document(event: ComparisonFinished | None = None, *secrets: str) -> Any:
    """The document as another program reads it, which knows no infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(comparison_text(concluded(event, secrets)), parse_constant=refuse)
    jsonschema.validate(found, SCHEMA)
    return found


def test_a_comparison_s_report_follows_its_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    found = document(compared(warnings=("one tree",), residue=("a table",)))
    assert found["run"]["started_at"] == "2026-01-02T03:04:05+00:00"
    assert found["run"]["ended_at"] == "2026-01-02T03:04:47+00:00"
    assert found["warnings"] == ["one tree"]
    assert found["findings"][3]["high"] is None, "a bound that the pairs do not allow"
    assert found["work"][0]["changes"][0] == {
        "name": "orders: index scans",
        "base": 1.0,
        "head": 3.0,
        "seconds": False,
        "changed": True,
    }


def test_the_schema_knows_every_key() -> None:
    wrong = comparison_document(concluded()) | {"more": 1}
    with pytest.raises(jsonschema.ValidationError, match="more"):
        jsonschema.validate(wrong, SCHEMA)


@pytest.mark.parametrize("pairs", [0, 1, 6, 9])
@pytest.mark.parametrize("figure", ["p95", "p99", "mean"])
def test_findings_of_any_number_of_pairs_follow_it(pairs: int, figure: str) -> None:
    block = blocks_of(results()[2].books, (*SHOWN, figure))
    findings = compare(paired([(block, block)] * pairs), figure, 0.05)
    document(compared(findings=tuple(findings)))


@given(anything)
def test_whatever_stands_in_a_name_the_report_holds_it(name: str) -> None:
    assert document(named(name))["run"]["base"] == name


def test_secrets_are_in_no_text_of_it() -> None:
    event = replace(named("a geheim b"), file=Path("geheim.yaml"))
    text = json.dumps(document(event, "geheim"))
    assert "geheim" not in text
    assert "a *** b" in text
