"""The ledger's entries: what they stand for, what undoing them does, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from stressrun.postgres import ownership
from stressrun.postgres.url import DatabaseUrl
from stressrun.run import resources
from stressrun.safety.ledger import Entry

STEP_KINDS = ("sql", "request", "owned")

_NEEDED = {
    "sql": ("url", "sql"),
    "owned": ("url", "table", "column", "value"),
    "request": ("url", "method", "service"),
    resources.KIND: ("url", "by", "undo", "service"),
    "table": ("url", "table"),
    "rows": ("url", "table"),
    "process": ("name", "mark"),
    "directory": ("path",),
    "worktree": ("path", "repository"),
}


def is_known(entry: Entry) -> bool:
    """Whether it can be undone: another version of stressrun may have noted it otherwise."""
    needed = _NEEDED.get(entry.kind)
    return needed is not None and all(key in entry.detail for key in needed)


def in_order(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that stand for data, the newest first, in the order in which they are undone.

    The steps of a scenario's teardown have that of the file.
    """
    made = [entry for entry in entries if entry.kind == resources.KIND]
    steps = [entry for entry in reversed(entries) if entry.kind in STEP_KINDS]
    return made + steps + [entry for entry in entries if entry.kind in ("rows", "table")]


def describe(entry: Entry) -> str:
    """What an entry stands for, in a few words."""
    detail = entry.detail
    if not is_known(entry):
        # Not what is in it: that may be a password.
        return f"{entry.kind} ({', '.join(detail)})"
    match entry.kind:
        case "sql":
            return f"teardown step `{detail['sql']}`"
        case "request":
            return f"teardown step `{detail['method']} {detail['url']}`"
        case "table":
            return f"table {detail['table']}"
        case "rows" | "owned":
            return f"rows in {detail['table']}"
        case resources.KIND:
            count = len(detail["undo"])
            return f"{count} made by {detail['by']}" if count else f"requests of {detail['by']}"
        case "process":
            # Without a number it was about to be started.
            return f"process {detail.get('pid', '?')} ({detail['name']})"
        case _:
            return f"{entry.kind} {detail['path']}"


def act(entry: Entry) -> str:
    """What undoing an entry does, in a few words."""
    detail = entry.detail
    if not is_known(entry):
        return f"name {describe(entry)}, which another version of stressrun has noted"
    match entry.kind:
        case "sql":
            return f"in {_database(entry)}: {' '.join(detail['sql'].split())}"
        case "request":
            asked = f", then GET {detail['gone']}" if detail.get("gone") else ""
            return f"send {detail['method']} {detail['url']}{asked}"
        case "table" | "rows" | "owned":
            return f"in {_database(entry)}: {ownership.removal_text(entry)}"
        case resources.KIND if detail["undo"]:
            more = f", and {len(detail['undo']) - 1:,} more" if len(detail["undo"]) > 1 else ""
            return f"send to {detail['url']}: {detail['undo'][0]}{more}"
        case resources.KIND:
            return f"name what is not known of what {detail['by']} made"
        case "process":
            return f"end {describe(entry)}"
        case _:
            return f"remove {describe(entry)}"


def allowed_hosts(entries: Sequence[Entry]) -> list[str]:
    """The hosts that a run was allowed to touch: its clean-up may touch them, too."""
    known = (entry for entry in entries if is_known(entry) and "url" in entry.detail)
    return [host for entry in known if (host := _host_of(entry))]


def _host_of(entry: Entry) -> str | None:
    url = entry.detail["url"]
    sent = entry.kind in ("request", resources.KIND)
    return urlsplit(url).hostname if sent else DatabaseUrl.of(url).place


def _database(entry: Entry) -> str:
    return str(DatabaseUrl.of(entry.detail["url"]))
