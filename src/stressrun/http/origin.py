"""Where requests go: a scheme, a host and a port."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Origin:
    """A server as URLs name it."""

    secure: bool
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What a Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def origin_of(url: str) -> Origin:
    """The origin of an http:// or https:// URL. Raises ValueError for any other."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http:// or https:// URL")
    secure = parts.scheme == "https"
    return Origin(secure, parts.hostname, parts.port or (443 if secure else 80))
