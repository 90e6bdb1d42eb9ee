"""A document against `scenario.schema.json`."""

from __future__ import annotations

import json
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from stressrun.scenario.explain import Explanation, Violation
from stressrun.scenario.nodes import Fault, Plain

if TYPE_CHECKING:
    from jsonschema import ValidationError


_MOST = 300


def schema_text() -> str:
    """The schema of scenarios, as it is published."""
    return files("stressrun.scenario").joinpath("scenario.schema.json").read_text("utf-8")


def schema_faults(document: Plain) -> list[Fault]:
    """All that is wrong with the shape of a document whose variables have been replaced."""
    # Imported here, since workers build scenarios without it.
    from jsonschema import Draft7Validator

    schema = json.loads(schema_text())
    # An editor sees `${NAME}`; what it stands for has to be right by now.
    schema["definitions"]["interpolated"] = False
    explanation = Explanation(schema)
    # Past some hundreds nobody reads on, and a huge file would take minutes to explain.
    errors = islice(Draft7Validator(schema).iter_errors(document), _MOST)
    faults = (fault for error in errors for fault in explanation.faults(_violation(error)))
    return list(dict.fromkeys(faults))


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
