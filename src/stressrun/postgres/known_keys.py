"""The rows that updates, selects, deletes and upserts meet: their keys, and which one is next."""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import accumulate

from stressrun.data.pools import randomness

MOST_KEYS = 100_000
# The skew of YCSB's zipfian distribution: Cooper et al., "Benchmarking cloud serving systems with
# YCSB", 2010.
_SKEW = 0.99
# Numbers are drawn before load, and each pass over them is moved on by the golden ratio's share of
# their range: however many keys there are, each has its turn.
_DRAWN = 16_381
_BITS = 40
_RANGE = 1 << _BITS
_STEP = 679_550_741_207


class KnownKeys:
    """Keys of rows that are there, at most 100,000; `choice` is how one is chosen.

    `uniform`: each as likely; `zipfian`: few of them most of the time; `latest`: so, too, the
    newest first; `sequential`: one after the other. But for `sequential`, the key of an index is a
    pure function of the random seed, the site and the index as long as none is added or taken.
    """

    def __init__(self, keys: Sequence[bytes], choice: str, seed: int, site: str) -> None:
        shuffled = list(keys)
        if choice in ("uniform", "zipfian"):
            randomness(seed, f"{site}.keys").shuffle(shuffled)
        self._latest = choice == "latest"
        self._keys = deque(shuffled, MOST_KEYS) if self._latest else shuffled
        self._rank = _ranks(choice, seed, site)
        self._oldest = 0

    def __len__(self) -> int:
        return len(self._keys)

    def choose(self, index: int) -> bytes:
        """The key for an index. Raises IndexError where there is none."""
        return self._keys[self._place(index)]

    def take(self, index: int) -> bytes:
        """Choose a key and forget it; the oldest one, where the newest are chosen."""
        if isinstance(self._keys, deque):
            return self._keys.popleft()
        place = self._place(index)
        key, self._keys[place] = self._keys[place], self._keys[-1]
        self._keys.pop()
        return key

    def add(self, keys: Iterable[bytes]) -> None:
        """Rows that are there now; where too many are known, the ones known longest go."""
        if isinstance(self._keys, deque):
            self._keys.extend(keys)
            return
        for key in keys:
            if len(self._keys) < MOST_KEYS:
                self._keys.append(key)
            else:
                self._keys[self._oldest % MOST_KEYS] = key
                self._oldest += 1

    def _place(self, index: int) -> int:
        count = len(self._keys)
        if not count:
            raise IndexError(index)
        rank = self._rank(index, count)
        return count - 1 - rank if self._latest else rank


def _ranks(choice: str, seed: int, site: str) -> Callable[[int, int], int]:
    """The function from an index and the number of keys to a key's rank, from 0."""
    if choice == "sequential":
        return _InTurn()
    random = randomness(seed, f"{site}.ranks")
    drawn = [random.getrandbits(_BITS) for _ in range(_DRAWN)]

    def number(index: int) -> int:
        passes, place = divmod(index, _DRAWN)
        return (drawn[place] + passes * _STEP) % _RANGE

    if choice == "uniform":
        return lambda index, count: number(index) * count // _RANGE
    sums = _zipfian_sums()
    # Drawn within the first `count` of them, they are those keys' shares.
    return lambda index, count: bisect(sums, number(index) / _RANGE * sums[count - 1], 0, count - 1)


@cache
def _zipfian_sums() -> list[float]:
    """The sum of the shares of all keys up to each rank."""
    return list(accumulate(float(rank) ** -_SKEW for rank in range(1, MOST_KEYS + 1)))


class _InTurn:
    """One after the other, whatever the index: others of the mix have indices, too."""

    def __init__(self) -> None:
        self._next = 0

    def __call__(self, index: int, count: int) -> int:
        rank = self._next % count
        self._next = rank + 1
        return rank
