"""The rows that updates, selects, deletes and upserts meet: their keys, and which one is next."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from stressrun.data.pools import draw_pool, randomness

MOST_KEYS = 100_000
# The skew of YCSB's zipfian distribution: Cooper et al., "Benchmarking cloud serving systems with
# YCSB", 2010.
_SKEW = 0.99


class KnownKeys:
    """Keys of rows that are there, at most 100,000; `choice` is how one is chosen.

    `uniform`: each as likely; `zipfian`: few of them most of the time; `latest`: so, too, the
    newest first; `sequential`: one after the other. As long as none is added or taken, the key of
    an index is a pure function of the random seed, the site and the index.
    """

    def __init__(self, keys: Sequence[bytes], choice: str, seed: int, site: str) -> None:
        shuffled = list(keys)
        if choice in ("uniform", "zipfian"):
            randomness(seed, f"{site}.keys").shuffle(shuffled)
        self._latest = choice == "latest"
        self._keys = deque(shuffled, MOST_KEYS) if self._latest else shuffled
        self._rank = _ranks(choice, len(shuffled), seed, site)
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
        rank = self._rank(index) % count
        return count - 1 - rank if self._latest else rank


def _ranks(choice: str, count: int, seed: int, site: str) -> Callable[[int], int]:
    if choice == "sequential":
        return lambda index: index
    if choice == "uniform":
        return draw_pool(lambda random: random.randrange(MOST_KEYS), seed, f"{site}.ranks")
    shares = list(accumulate(rank**-_SKEW for rank in range(1, max(count, 1_000) + 1)))
    return draw_pool(
        lambda random: bisect_left(shares, random.random() * shares[-1]), seed, f"{site}.ranks"
    )
