"""Which of the known rows is next."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.postgres import known_keys
from stressrun.postgres.known_keys import KnownKeys

CHOICES = ("uniform", "zipfian", "latest", "sequential")
choices = st.sampled_from(CHOICES)
DRAWS = 100_000


def keys(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def known(choice: str, count: int = 1000, seed: int = 1, site: str = "s") -> KnownKeys:
    return KnownKeys(keys(count), choice, seed, site)


def shares(choosing: KnownKeys, draws: int = DRAWS) -> list[float]:
    """How often the most chosen key comes, and the next ones."""
    found = Counter(choosing.choose(index) for index in range(draws))
    return [count / draws for _, count in found.most_common()]


@pytest.mark.parametrize("count", [1, 3, 1000, 60_000])
def test_uniform_keys_are_each_as_likely(count: int) -> None:
    found = Counter(map(known("uniform", count).choose, range(DRAWS)))
    mean = DRAWS / count
    # Chi-squared over the keys: its mean is their number, its deviation √(2·number).
    spread = sum((found[key] - mean) ** 2 / mean for key in keys(count))
    assert spread < count + 6 * (2 * count) ** 0.5


@pytest.mark.parametrize("count", [10, 1000, 50_000])
@pytest.mark.parametrize("choice", ["zipfian", "latest"])
def test_few_keys_come_most_of_the_time_as_in_ycsb(choice: str, count: int) -> None:
    found = shares(known(choice, count))
    total = sum(rank**-0.99 for rank in range(1, count + 1))
    for rank in range(1, 6):
        assert found[rank - 1] == pytest.approx(rank**-0.99 / total, rel=0.1)


def test_the_rows_of_a_zipfian_choice_lie_anywhere_in_the_table() -> None:
    found = Counter(map(known("zipfian").choose, range(DRAWS)))
    popular = [int(key) for key, _ in found.most_common(20)]
    assert max(popular) > 700
    assert min(popular) < 300


def test_the_latest_keys_are_those_that_were_added_last() -> None:
    choosing = known("latest", 100)
    assert Counter(map(choosing.choose, range(DRAWS))).most_common(1)[0][0] == b"99"
    choosing.add(keys(50, first=100))
    found = [key for key, _ in Counter(map(choosing.choose, range(DRAWS))).most_common(3)]
    assert found == [b"149", b"148", b"147"]


def test_sequential_keys_come_one_after_the_other_whatever_the_indices_are() -> None:
    choosing = known("sequential", 5)
    found = [int(choosing.choose(index)) for index in (7, 3, 900, 900, 4, 0, 1)]
    assert found == [0, 1, 2, 3, 4, 0, 1]


@given(choices, st.integers(1, 200), st.integers(0, 2**60))
def test_every_key_can_be_chosen_at_any_index(choice: str, count: int, index: int) -> None:
    assert known(choice, count).choose(index) in keys(count)


@pytest.mark.parametrize("choice", ["uniform", "zipfian", "latest"])
def test_a_seed_and_a_site_fix_the_key_of_an_index(choice: str) -> None:
    def chosen(seed: int, site: str) -> list[bytes]:
        return list(map(known(choice, seed=seed, site=site).choose, range(50)))

    assert chosen(1, "s") == chosen(1, "s")
    assert chosen(1, "s") != chosen(2, "s")
    assert chosen(1, "s") != chosen(1, "t")


@given(choices, st.integers(1, 30), st.lists(st.integers(0, 3), max_size=60))
def test_no_key_is_there_twice_after_any_takes_and_adds(
    choice: str, count: int, steps: list[int]
) -> None:
    choosing, there, added = known(choice, count), set(keys(count)), count
    for index, step in enumerate(steps):
        if step == 0:
            new = keys(2, first=added)
            added += 2
            choosing.add(new)
            there.update(new)
        elif there:
            key = choosing.take(index)
            there.remove(key)
            if step == 1:
                choosing.add([key])
                there.add(key)
        assert len(choosing) == len(there)
        assert not there or choosing.choose(index) in there


@pytest.mark.parametrize("choice", CHOICES)
def test_without_a_key_there_is_none_to_choose_or_take(choice: str) -> None:
    choosing = known(choice, 1)
    choosing.take(0)
    with pytest.raises(IndexError):
        choosing.choose(0)
    with pytest.raises(IndexError):
        choosing.take(0)


@pytest.mark.parametrize("choice", CHOICES)
def test_of_too_many_keys_those_known_longest_go(
    choice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "MOST_KEYS", 10)
    choosing = KnownKeys([], choice, 1, "s")
    choosing.add(keys(35))
    assert len(choosing) == 10
    assert {choosing.take(index) for index in range(10)} == set(keys(10, first=25))
