"""The references `${services.…}` of a scenario, and the order of services that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from stressrun.data.references import find_references
from stressrun.data.suggest import did_you_mean
from stressrun.scenario.nodes import Fault, Place, Plain
from stressrun.scenario.part import Part, strings
from stressrun.scenario.wording import there_are

_HTTP = ("url", "host", "port")
_POSTGRES = (*_HTTP, "user", "password", "database")


@dataclass(frozen=True, slots=True)
class _Use:
    """One service's reference to another."""

    target: str
    place: Place
    offset: int


def is_postgres(service: Plain) -> bool | None:
    """Whether a service is a PostgreSQL server; None where it does not say what it is."""
    keys = service.keys() if isinstance(service, dict) else frozenset()
    return "postgres" in keys if keys & {"postgres", "command", "url"} else None


def attributes(service: Plain) -> tuple[str, ...]:
    """What can be known of a service once it runs."""
    return _HTTP if is_postgres(service) is False else _POSTGRES


def check_references(root: Part, services: Mapping[str, Plain]) -> None:
    """Add a fault for every reference that names nothing."""
    known = {f"services.{name}.{a}" for name, one in services.items() for a in attributes(one)}
    known.add("run.id")
    for place, text in strings(root.value):
        for reference in find_references(text):
            if reference.name in known:
                continue
            hint = did_you_mean(reference.name, sorted(known))
            owner = reference.name.split(".")[1]
            if owner in services and reference.name.startswith("services."):
                listed = ", ".join(attributes(services[owner]))
                hint = hint or f"services.{owner} has {listed}"
            elif not hint:
                hint = there_are("services", services)
            message = f"no {reference.name!r} to refer to"
            root.faults.add(Fault(place, message, hint, reference.offset))


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
    found = []
    for place, text in strings(service, ("services", name)):
        for reference in find_references(text):
            target = reference.name.split(".")[1]
            # A service's own port is allocated before anything starts.
            if reference.name.startswith("services.") and target in services and target != name:
                found.append(_Use(target, place, reference.offset))
    return found
