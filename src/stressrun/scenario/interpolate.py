"""Load-time references: `${NAME}`, `${NAME:-default}` and `${NAME:?message}`.

Only names in upper case are known at load; `${services.…}`, `${run.id}` and the generators of
run time stay. A variable's value is data: a `${` within it is escaped, so that it is never read
as an expression. A default may hold references of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from stressrun.data.suggest import did_you_mean
from stressrun.errors import Mistake
from stressrun.scenario.nodes import DictNode, ListNode, Node, ScalarNode, column_at
from stressrun.scenario.source import typed

_REFERENCE = re.compile(
    r"(?P<escape>\$\$\{)"
    r"|\$\{(?P<name>[A-Z_][A-Z0-9_]*)"
    r"(?::(?P<operator>[-?])(?P<rest>(?:[^{}]|\$\{[^{}]*\})*))?\}"
)
_SECRET = re.compile("PASS|PWD|PW$|SECRET|TOKEN|KEY|AUTH|CREDENTIAL|PRIVATE")


@dataclass(slots=True)
class Interpolation:
    """Replaces references by variables, collecting mistakes and the values to keep secret."""

    variables: Mapping[str, str]
    mistakes: list[Mistake] = field(default_factory=list)
    secrets: dict[str, None] = field(default_factory=dict)

    def apply(self, node: Node) -> Node:
        """A tree with its references replaced; a scalar that is one reference is typed again."""
        if isinstance(node, DictNode):
            entries = {key: self.apply(child) for key, child in node.entries.items()}
            return replace(node, entries=entries)
        if isinstance(node, ListNode):
            return replace(node, items=tuple(self.apply(item) for item in node.items))
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        return self._scalar(node)

    def _scalar(self, node: ScalarNode) -> ScalarNode:
        names: list[str] = []

        def value_of(match: re.Match[str]) -> str:
            if match["escape"]:
                return match[0]
            names.append(match["name"])
            return self._value(match, node)

        text = _REFERENCE.sub(value_of, node.text)
        if not names:
            return node
        whole = _REFERENCE.fullmatch(node.text) is not None
        value = typed(text) if whole else text
        return ScalarNode(value, text, node.position, None, tuple(names))

    def _value(self, match: re.Match[str], node: ScalarNode) -> str:
        name, operator, rest = match["name"], match["operator"], match["rest"] or ""
        value = self.variables.get(name, "")
        if value or (name in self.variables and operator is None):
            return self._known(name, value, match, node)
        if operator == "-":
            inner = replace(node, text=rest, value=rest, text_column=None)
            return self._scalar(inner).text if "${" in rest else rest
        self._unset(match, node)
        return ""

    def _known(self, name: str, value: str, match: re.Match[str], node: ScalarNode) -> str:
        if not value.isprintable() and any("\ud800" <= c <= "\udfff" for c in value):
            position = column_at(node, match.start())
            self.mistakes.append(Mistake(f"the variable {name} is not UTF-8 text", position))
            return ""
        if value and _SECRET.search(name):
            self.secrets[value] = None
        return value.replace("${", "$${")

    def _unset(self, match: re.Match[str], node: ScalarNode) -> None:
        name = match["name"]
        message = f"the variable {name} is not set"
        if name in self.variables:
            message = f"the variable {name} is empty"
        if match["operator"] == "?" and match["rest"]:
            message = f"{message}: {match['rest']}"
        guess = did_you_mean(name, self.variables)
        hint = f"set it, or give a default: ${{{name}:-value}}"
        position = column_at(node, match.start())
        self.mistakes.append(Mistake(message, position, f"{guess} {hint}".strip()))
