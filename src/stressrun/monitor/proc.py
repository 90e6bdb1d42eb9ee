"""What Linux tells of processes in `/proc`, at one instant."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ADDS_UP = (_PROC / "self" / "smaps_rollup").exists()
_LISTENS = b"0A"
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """A process; `started` tells it from another that gets its number later.

    `cpu` are the seconds of its own, `cpu_of_ended` those of its descendants that it has waited
    for. One that `is_ended` has only its exit status left.
    """

    pid: int
    parent: int
    session: int
    started: int
    is_ended: bool
    cpu: float
    cpu_of_ended: float
    threads: int


@dataclass(frozen=True, slots=True)
class Holding:
    """What a process has: bytes of memory of its own and shared, descriptors, bytes of I/O.

    Of I/O that of the descendants that it has waited for is among it. What it has `read` came from
    storage; for what it has `dirtied` the kernel counts as much as a megabyte where a byte was
    written; what it has `passed` may have gone to a socket. None: it is not ours to see.
    """

    private: int
    shared: int
    descriptors: int | None
    read: int | None
    dirtied: int | None
    passed: int | None


def processes() -> dict[int, Process]:
    """All processes by their numbers."""
    found = {}
    for name in os.listdir(_PROC):
        if name.isdigit() and (stat := _read(name, "stat")):
            process = parsed_stat(stat)
            found[process.pid] = process
    return found


def parsed_stat(stat: bytes) -> Process:
    """A process from its `/proc/PID/stat`; its name there may hold anything."""
    pid, _, rest = stat.partition(b" ")
    fields = rest.rpartition(b")")[2].split()
    user, system, ended_user, ended_system = map(int, fields[11:15])
    return Process(
        pid=int(pid),
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        is_ended=fields[0] in (b"Z", b"X"),
        cpu=(user + system) / _TICK,
        cpu_of_ended=(ended_user + ended_system) / _TICK,
        threads=int(fields[17]),
    )


def holding(pid: int) -> Holding | None:
    """What a process has; None when it is gone."""
    memory = _read(str(pid), "statm")
    if not memory:
        return None
    _, resident, shared = (int(field) * _PAGE for field in memory.split()[:3])
    storage = dict(_fields(_read(str(pid), "io") or b""))
    return Holding(
        private=max(0, resident - shared),
        shared=shared,
        descriptors=_descriptors(pid),
        read=storage.get(b"read_bytes"),
        dirtied=storage.get(b"write_bytes"),
        passed=storage.get(b"wchar"),
    )


def proportional(pid: int) -> int:
    """Bytes of memory, of what is shared its part (Pss); 0 of what is gone.

    The kernel walks all its pages for it, a millisecond for some 60 MB, and meanwhile the process
    cannot map any. Raises OSError where it is not ours to see.
    """
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        if _ADDS_UP:
            return 0
        raise
    return 1024 * dict(_fields(text)).get(b"Pss", 0)


def command_line(pid: int) -> str:
    """The words of a process's command joined by spaces; empty of the kernel's own."""
    return (_read(str(pid), "cmdline") or b"").replace(b"\0", b" ").decode(errors="replace").strip()


def listening(port: int) -> set[str]:
    """The names of the sockets that listen on a TCP port of this machine."""
    found = set()
    for name in ("tcp", "tcp6"):
        _, *lines = (_read("net", name) or b"\n").splitlines()
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(b":")[2], 16) == port:
                found.add(f"socket:[{fields[9].decode()}]")
    return found


def sockets_of(pid: int) -> Iterator[str]:
    """The names of what the descriptors of a process stand for; none where we may not see them."""
    folder = _PROC / str(pid) / "fd"
    try:
        for name in os.listdir(folder):
            with suppress(FileNotFoundError):
                yield os.readlink(folder / name)
    except OSError:
        return


def family(
    roots: set[int], known: set[tuple[int, int]], every: Mapping[int, Process]
) -> dict[int, Process]:
    """The roots, what is in a session of theirs, what is known (by number and start), descendants.

    What has left its parent and its session is known from before that.
    """
    found = {
        pid: process
        for pid, process in every.items()
        if pid in roots or process.session in roots or (pid, process.started) in known
    }
    children: dict[int, list[Process]] = {}
    for process in every.values():
        children.setdefault(process.parent, []).append(process)
    unseen = list(found)
    while unseen:
        for child in children.get(unseen.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                unseen.append(child.pid)
    return found


def ancestors(pid: int, every: Mapping[int, Process]) -> Iterator[int]:
    """A process's number, its parent's, and so on."""
    while pid in every:
        yield pid
        pid = every[pid].parent


def _descriptors(pid: int) -> int | None:
    place = _PROC / str(pid) / "fd"
    try:
        # Since Linux 6.2 the size of the folder is their number.
        return place.stat().st_size or len(os.listdir(place))
    except OSError:
        return None


def _fields(text: bytes) -> Iterator[tuple[bytes, int]]:
    """The numbers of lines such as `Pss:  1234 kB`."""
    for line in text.splitlines():
        name, _, rest = line.partition(b":")
        words = rest.split()
        if words and words[0].isdigit():
            yield name, int(words[0])


def _read(folder: str, name: str) -> bytes | None:
    try:
        with open(_PROC / folder / name, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return None
