"""The invariants of a scenario: questions that are asked after each stage, and what is expected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from stressrun.data.checks import Check
from stressrun.data.suggest import did_you_mean
from stressrun.metrics.excerpt import on_one_line
from stressrun.scenario.answers import build_checks, build_source
from stressrun.scenario.model import (
    Capture,
    CountQuestion,
    Endpoint,
    Expect,
    FromStatus,
    Invariant,
    RequestQuestion,
    SqlQuestion,
    WriteMix,
)
from stressrun.scenario.part import Part
from stressrun.scenario.requests import Requests
from stressrun.scenario.scope import Scope, Sources
from stressrun.scenario.threshold import Names
from stressrun.scenario.wording import one_of, there_are

VALUE = "value"
"""The key of what is asked of an answer, and the variable that it is captured in."""

ONLY_IN_LOAD = ("is there for the load only", "write a value, or ask for it by sql")
"""Why what an invariant asks and expects can name no rows, and what to do."""

_WRITING_ROWS = ("insert", "copy")
_NAME_LENGTH = 80
_ANY_STATUS = tuple(range(100, 600))
_FORM = "such as endpoint checkout, or write audit.insert"


@dataclass(frozen=True, slots=True)
class Invariants:
    """Builds them. `requests` are those sent besides the load, which may use a login's `sources`.

    `endpoints` and `writes` are those that were sound, `names` all that are declared.
    """

    requests: Requests
    sources: Sources
    endpoints: Sequence[Endpoint]
    writes: Sequence[WriteMix]
    names: Names

    def build(self, part: Part) -> Invariant:
        """One invariant from its part of the document."""
        question = self._question(part)
        name = part.get("name")
        return Invariant(
            name=_default_name(part) if name is None else name.literal(),
            question=question,
            expected=self._expected(part["expect"]),
            stages=self._stages(part),
            within=part.duration("within", 0.0),
            place=part.place,
        )

    def _question(self, part: Part) -> SqlQuestion | RequestQuestion:
        if "sql" in part:
            sql = part["sql"]
            if "\0" in sql.text():
                sql.fault("a NUL character, which no statement can hold")
            return SqlQuestion(sql.literal())
        source = build_source(part[VALUE]) if VALUE in part else FromStatus()
        # What an invariant expects is not expected of the answer, but of the value in it.
        request = self.requests.build(
            part.without("expect"), Scope(self.sources, otherwise=ONLY_IN_LOAD[1]), None
        )
        expect = Expect(_ANY_STATUS) if isinstance(source, FromStatus) else Expect()
        return RequestQuestion(
            replace(request, captures=(Capture(VALUE, source),), expect=expect),
        )

    def _expected(
        self, part: Part
    ) -> tuple[Check, ...] | SqlQuestion | RequestQuestion | CountQuestion:
        if "sql" in part or "request" in part:
            return self._question(part)
        if "succeeded" in part:
            return self._count(part["succeeded"])
        return build_checks(
            part, Scope(Sources({}, absent=ONLY_IN_LOAD), otherwise=ONLY_IN_LOAD[1])
        )

    def _count(self, part: Part) -> CountQuestion:
        text = part.text()
        subject, _, name = text.partition(" ")
        if subject == "endpoint":
            self._check_endpoint(part, name)
            return CountQuestion(text, "step" if ": " in name else "endpoint", name)
        if subject == "write":
            self._check_operation(part, name)
        else:
            part.fault(f"expected endpoint NAME or write NAME.OPERATION, not {text!r}", _FORM)
        return CountQuestion(text, "operation", name, self._rows_of(name))

    def _check_endpoint(self, part: Part, text: str) -> None:
        name, colon, step = text.partition(": ")
        if name not in self.names.endpoints:
            _unknown(part, name, "endpoint", "endpoints", self.names.endpoints)
            return
        endpoint = next((each for each in self.endpoints if each.name == name), None)
        if endpoint is None or (endpoint.single is not None and not colon):
            return
        steps = [request.name for request in endpoint.requests]
        if endpoint.single is not None:
            part.fault(f"{name} has no steps", f"write endpoint {name}")
        elif not colon:
            part.fault(
                f"{name} has several steps: which of them is counted?",
                f"write endpoint {name}: {steps[-1]}" if steps else "",
            )
        elif step not in steps:
            _unknown(part, step, f"step of {name}", f"steps of {name}", steps)

    def _check_operation(self, part: Part, text: str) -> None:
        name, dot, operation = text.partition(".")
        if name not in self.names.writes:
            _unknown(part, name, "write mix", "write mixes", self.names.writes)
            return
        operations = self.names.writes[name]
        if not dot or operation not in operations:
            hint = did_you_mean(operation, operations) if dot else ""
            part.fault(
                f"expected write {name}.OPERATION, not {f'write {text}'!r}",
                hint or f"the operation is {one_of(operations)}",
            )

    def _rows_of(self, text: str) -> int:
        """How many rows an operation writes, where that is known: those that its table has more."""
        name, _, operation = text.partition(".")
        batches = (mix.batch for mix in self.writes if mix.name == name)
        return next(batches, 1) if operation in _WRITING_ROWS else 1

    def _stages(self, part: Part) -> tuple[str, ...]:
        """The stages after which it is asked; none is every one."""
        after = part.get("after")
        if after is None:
            return ()
        named = [after] if isinstance(after.value, str) else list(part.items("after"))
        for each in named:
            if each.text() not in self.names.stages:
                _unknown(each, each.text(), "stage", "stages", self.names.stages)
        return tuple(each.text() for each in named)


def _default_name(part: Part) -> str:
    """The question itself: the statement, or the request and what is asked of its answer."""
    if "sql" in part:
        return on_one_line(part["sql"].text(), _NAME_LENGTH)
    value = part.get(VALUE)
    asked = value.value if value is not None and isinstance(value.value, str) else ""
    return f"{part['request'].text()} {asked}".strip()


def _unknown(part: Part, name: str, kind: str, kinds: str, names: Collection[str]) -> None:
    part.fault(f"no {kind} {name!r}", did_you_mean(name, names) or there_are(kinds, names))
