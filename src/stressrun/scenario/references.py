"""The references `${services.…}` of a scenario, and the order of services that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from stressrun.data.references import Reference, find_references
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.nodes import Fault, Place, Plain
from stressrun.scenario.part import Part, strings
from stressrun.scenario.wording import there_are

_HTTP = ("url", "host", "port")
_POSTGRES = (*_HTTP, "user", "password", "database")
_KINDS = {"postgres", "command", "mock", "url"}


@dataclass(frozen=True, slots=True)
class _Use:
    """One service's reference to another."""

    target: str
    place: Place
    offset: int


def is_postgres(service: Plain) -> bool | None:
    """Whether a service is a PostgreSQL server; None where it does not say what it is."""
    keys = service.keys() if isinstance(service, dict) else frozenset()
    return "postgres" in keys if keys & _KINDS else None


def is_mock(service: Plain) -> bool:
    """Whether a service is a third party that the run plays itself."""
    return isinstance(service, dict) and "mock" in service


def attributes(service: Plain) -> tuple[str, ...]:
    """What can be known of a service once it runs."""
    return _HTTP if is_postgres(service) is False else _POSTGRES


class References:
    """What `${services.…}` and `${run.…}` can name; `values` once the run knows them."""

    def __init__(self, services: Mapping[str, Plain], values: Mapping[str, str]) -> None:
        self.values = values
        self._services = services
        self._known = {
            f"services.{name}.{attribute}"
            for name, service in services.items()
            for attribute in attributes(service)
        }
        self._known.add("run.id")

    def problem(self, reference: Reference) -> tuple[str, str] | None:
        """The message and the hint for a reference that names nothing, else None."""
        if reference.name in self._known:
            return None
        hint = did_you_mean(reference.name, sorted(self._known))
        owner = reference.name.split(".")[1]
        if owner in self._services and reference.name.startswith("services."):
            listed = ", ".join(attributes(self._services[owner]))
            hint = hint or f"services.{owner} has {listed}"
        elif not hint:
            hint = there_are("services", self._services)
        return f"no {reference.name!r} to refer to", hint


def check_references(root: Part, references: References) -> None:
    """Add a fault for every reference that names nothing."""
    for place, text in strings(root.value):
        for reference in find_references(text):
            problem = references.problem(reference)
            if problem is not None:
                root.faults.add(Fault(place, *problem, reference.offset))


def starting_order(root: Part, services: Mapping[str, Plain]) -> tuple[str, ...]:
    """The names of services, each after those it refers to; a circle is a fault."""
    uses = {name: _uses(name, service, services) for name, service in services.items()}
    needed = {name: [use.target for use in found] for name, found in uses.items()}
    try:
        return tuple(TopologicalSorter(needed).static_order())
    except CycleError as error:
        circle = error.args[1][::-1]
        use = next(use for use in uses[circle[0]] if use.target == circle[1])
        message = f"the services need each other in a circle: {' → '.join(circle)}"
        hint = "each must be able to start before those that refer to it"
        root.faults.add(Fault(use.place, message, hint, use.offset))
        return tuple(services)


def _uses(name: str, service: Plain, services: Mapping[str, Plain]) -> list[_Use]:
    found: list[_Use] = []
    if is_mock(service):
        return found  # it needs addresses at most, and these are known before anything starts
    for place, text in strings(service, ("services", name)):
        for reference in find_references(text):
            target = reference.name.split(".")[1]
            # A service's own port is allocated before anything starts.
            if reference.name.startswith("services.") and target in services and target != name:
                found.append(_Use(target, place, reference.offset))
    return found
