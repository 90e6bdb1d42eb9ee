"""Commands that run in namespaces of their own, where names, ports and disks can be broken.

No root is needed: the user is root in a user namespace, where the system allows these.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

_UNSHARE = ("unshare", "--map-root-user", "--mount", "--net")


@cache
def _refusal() -> str:
    """Why there are no namespaces here; an empty text where there are."""
    try:
        tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return tried.stderr.strip()


def inside(*preparation: str) -> list[str]:
    """A command that runs the one after it when the preparation, of lines for a shell, is done.

    It has a loopback of its own. Skips the test where namespaces are not allowed.
    """
    if reason := _refusal():
        pytest.skip(f"no namespaces of one's own are allowed here: {reason}")
    script = " && ".join(["ip link set lo up", *preparation, 'exec "$@"'])
    return [*_UNSHARE, "sh", "-c", script, "sh"]


def knowing(hosts: Path, resolver: Path) -> list[str]:
    """Where only the names of a file are known, which may be changed; the resolver is nobody."""
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    return inside(
        f"mount --bind '{hosts}' /etc/hosts", f"mount --bind '{resolver}' /etc/resolv.conf"
    )
