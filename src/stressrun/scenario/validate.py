"""A document against `scenario.schema.json`."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from stressrun.scenario.explain import Explanation, Violation
from stressrun.scenario.nodes import Fault, Plain

if TYPE_CHECKING:
    from jsonschema import ValidationError


# Nobody reads on past some hundreds, and a huge file would take minutes to explain.
MOST_FAULTS = 300


def schema_text() -> str:
    """The schema of scenarios, as it is published."""
    return files("stressrun.scenario").joinpath("scenario.schema.json").read_text("utf-8")


def schema_faults(document: Plain) -> list[Fault]:
    """What is wrong with the shape of a document whose variables have been replaced.

    All of it, unless that is more than MOST_FAULTS.
    """
    # Imported here, since workers build scenarios without it.
    from jsonschema import Draft7Validator

    schema = json.loads(schema_text())
    # An editor sees `${NAME}`; what it stands for has to be right by now.
    schema["definitions"]["interpolated"] = False
    explanation = Explanation(schema)
    found: dict[Fault, None] = {}
    for error in Draft7Validator(schema).iter_errors(document):
        found |= dict.fromkeys(explanation.faults(_violation(error)))
        if len(found) > MOST_FAULTS:
            break
    return list(found)


def _violation(error: ValidationError) -> Violation:
    # jsonschema's attributes are typed as unset until it has set them, which it has here.
    schema: Any = error.schema
    rule: Any = error.validator_value
    instance: Any = error.instance
    branch = error.relative_schema_path[0] if error.relative_schema_path else None
    return Violation(
        keyword=str(error.validator),
        rule=rule,
        schema=schema,
        instance=instance,
        place=tuple(error.absolute_path),
        of_key="propertyNames" in error.absolute_schema_path,
        branch=branch if isinstance(branch, int) else None,
        inner=tuple(_violation(inner) for inner in error.context or ()),
    )
