"""Processes and host of a stage: lines for the console, and their part of `report.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from stressrun.metrics.gap import Gap
from stressrun.metrics.usage import RESIDENT, HostUse, MachineUse, ProcessUse
from stressrun.units import format_count, format_growth, format_size

_PROCESSES = 6
_GAPS = 2
# From when on it is worth a word: a share of all time, of the memory what it grew by, bytes.
_MUCH = 0.01
_GROWING = 0.05
_BYTES = 1_000_000


def machine_lines(machine: MachineUse) -> list[str]:
    """A line for each of the busiest processes, and one for the host."""
    shown = machine.processes[:_PROCESSES]
    width = max((len(use.name) for use in shown), default=0)
    lines = ["processes:"] if shown else []
    for use in shown:
        told = " · ".join(_process(use, machine.interval)) or _unseen(use)
        lines.append(f"  {use.name:<{width}}  {told}")
        if use.samples:
            lines += gap_lines(use.gaps, "    ")
    if len(machine.processes) > len(shown):
        lines.append(f"  {len(machine.processes) - len(shown)} more: see report.json")
    if machine.host is not None:
        lines.append(f"host: {' · '.join(_host(machine.host))}")
    return [*lines, *gap_lines(machine.gaps, "  ")]


def machine_part(machine: MachineUse) -> dict[str, Any]:
    """The stage's `machine` in `report.json`."""
    part = asdict(machine)
    part["gaps"] = gap_parts(machine.gaps)
    for use, shown in zip(machine.processes, part["processes"], strict=True):
        shown["gaps"] = gap_parts(use.gaps)
    return part


def gap_parts(gaps: Iterable[Gap]) -> list[dict[str, Any]]:
    """Gaps in `report.json`."""
    return [{"from": gap.begin, "to": gap.end, "why": gap.why} for gap in gaps]


def gap_lines(gaps: Iterable[Gap], indent: str) -> Iterator[str]:
    """When something was not seen, and why."""
    every = list(gaps)
    for gap in every[:_GAPS]:
        yield f"{indent}not seen from {gap.begin:.1f} s to {gap.end:.1f} s: {gap.why}"
    if len(every) > _GAPS:
        yield f"{indent}not seen in {format_count(len(every) - _GAPS)} more gaps: see report.json"


def _unseen(use: ProcessUse) -> str:
    return ": ".join(["not seen", *(gap.why for gap in use.gaps[:1])])


def _process(use: ProcessUse, interval: float) -> Iterator[str]:
    if use.cpu is None or use.memory_max is None:
        return
    most = "" if use.cpu_max is None else f" (up to {_percent(use.cpu_max)})"
    yield f"{_percent(use.cpu)} of a core{most}"
    resident = " resident" if use.memory_kind == RESIDENT else ""
    yield f"{format_size(use.memory_max)}{resident}{_growing(use, interval)}"
    if use.processes and use.processes > 1:
        yield f"{use.processes} processes"
    yield f"{use.threads} thread{'' if use.threads == 1 else 's'}"
    if use.descriptors is not None:
        yield f"{use.descriptors} descriptors"
    for word, size in (("read", use.read), ("written", use.written)):
        if size is not None and size >= _BYTES:
            yield f"{format_size(size)} {word}"
    if use.restarts:
        yield f"{use.restarts} restarted"


def _growing(use: ProcessUse, interval: float) -> str:
    """Growth that came to something in the stage."""
    growth, memory = use.growth, use.memory
    if not growth or not memory or abs(growth) * use.samples * interval < _GROWING * memory:
        return ""
    return f", {'growing' if growth > 0 else 'shrinking'} by {format_growth(abs(growth))}"


def _host(host: HostUse) -> Iterator[str]:
    shares = (
        ("user", host.user),
        ("system", host.system),
        ("stolen", host.stolen),
        ("waiting for disks", host.iowait),
    )
    named = ", ".join(f"{name} {_percent(share)}" for name, share in shares if share >= _MUCH)
    cores = f"{host.cores} core{'' if host.cores == 1 else 's'}"
    yield f"CPU {_percent(host.cpu)} of {cores}{f' ({named})' if named else ''}"
    yield f"at least {format_size(host.available)} of {format_size(host.memory)} memory available"
    waits = (
        ("CPU", host.cpu_pressure),
        ("memory", host.memory_pressure),
        ("I/O", host.io_pressure),
    )
    told = [f"{name} {_percent(share)}" for name, share in waits if share and share >= _MUCH]
    if told:
        yield f"tasks waited for {', '.join(told)} of the time"
    if swapped := host.swapped_in + host.swapped_out:
        yield f"{format_size(swapped)} swapped"
    yield from _flow("disks", read=host.disk_read, written=host.disk_written)
    yield from _flow("network", received=host.received, sent=host.sent)


def _flow(what: str, **sizes: int | None) -> Iterator[str]:
    told = [
        f"{format_size(size)} {word}" for word, size in sizes.items() if size and size >= _BYTES
    ]
    if told:
        yield f"{what} {', '.join(told)}"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
