"""What a request says of the run it belongs to: the run's id, and a W3C Trace Context."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from stressrun.http.pieces import Piece, Read, Variables

_IDS = 2**64
# Multiples of the golden ratio spread evenly, so that each stretch of indices has its share.
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Trace:
    """`traced` is the share of iterations whose traces ask for a sample; None: no `traceparent`."""

    run_id: str
    traced: float | None

    def traceparent(self, site: str) -> tuple[Piece, ...]:
        """The header's value for the requests of a site; empty where there is to be none.

        A trace is an iteration: its id is of the run and the index. A span is a request of it: its
        id is of the site. A repetition has an index of its own, and so a trace of its own.
        """
        if self.traced is None:
            return ()
        flags = _flags(self.traced)
        return (f"00-{_digits(self.run_id)}", _index_digits, f"-{_digits(site)}-", flags)


def _index_digits(index: int, variables: Variables) -> str:
    return index.to_bytes(8, "big").hex()


def _flags(share: float) -> Piece:
    if share >= 1:
        return "01"
    if share <= 0:
        return "00"
    return _sampled(round(share * _IDS))


def _sampled(limit: int) -> Read:
    return lambda index, variables: "01" if index * _GOLDEN % _IDS < limit else "00"


def _digits(text: str) -> str:
    """64 bits of a text's hash, as 16 hexadecimal digits; zero is no valid id."""
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    return f"{number or 1:016x}"
