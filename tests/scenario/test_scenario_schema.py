"""The published schema: complete enough for an editor, and no laxer than what is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from stressrun.scenario.nodes import plain
from stressrun.scenario.source import read
from stressrun.scenario.validate import schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(schema_text())
SCENARIOS = [*(ROOT / "scenarios").glob("*.yaml"), *Path(__file__).parent.glob("*.yaml")]


def mappings(schema: object, path: str = "#") -> Iterator[tuple[str, dict[str, object]]]:
    """Every schema within a schema, with its path."""
    if isinstance(schema, dict):
        yield path, schema
        for key, child in schema.items():
            if key not in ("examples", "default", "const", "enum"):
                yield from mappings(child, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, child in enumerate(schema):
            yield from mappings(child, f"{path}/{index}")


def test_the_published_copy_is_the_one_in_the_package() -> None:
    assert (ROOT / "schema" / "scenario.schema.json").read_text() == schema_text()


def test_it_is_a_schema_of_draft_7() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_no_object_takes_keys_that_it_does_not_name() -> None:
    open_objects = [
        path
        for path, schema in mappings(SCHEMA)
        if schema.get("type") == "object" and schema.get("additionalProperties", True) is True
    ]
    assert open_objects == []


def test_every_key_has_a_description_and_examples_that_are_right() -> None:
    for path, schema in mappings(SCHEMA):
        properties = schema.get("properties")
        if path.endswith("/properties") or not isinstance(properties, dict):
            continue
        for key, value in properties.items():
            if "verlay" in path or path.startswith("#/properties/environments"):
                continue
            assert value.get("description"), f"{path}/{key}"
            assert value.get("examples"), f"{path}/{key}"
            for example in value["examples"]:
                part = Draft7Validator(SCHEMA).evolve(schema=value)
                assert list(part.iter_errors(example)) == [], f"{path}/{key}: {example}"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.name)
def test_committed_scenarios_are_right_for_an_editor_before_their_variables_are_known(
    path: Path,
) -> None:
    source = read(path)
    assert source.mistakes == ()
    assert [
        error.message for error in Draft7Validator(SCHEMA).iter_errors(plain(source.root))
    ] == []
