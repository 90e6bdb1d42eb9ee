from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.pools import MOST_CHARACTERS, MOST_VALUES, Pool, draw_number, draw_pool


def length_of(characters: int) -> int:
    """How many values of so many characters a pool keeps."""
    numbers = iter(range(MOST_VALUES))
    read = draw_pool(lambda random: str(next(numbers)).ljust(characters), 1, "a")
    return max(int(read(index)[:5]) for index in range(MOST_VALUES)) + 1


@pytest.mark.parametrize("characters", [8, 200, 300, 1000, 100_000, 3_000_000])
def test_a_pool_is_prime_and_holds_no_more_than_its_share_of_memory(characters: int) -> None:
    length = length_of(characters)
    assert all(length % divisor for divisor in range(2, length))
    assert length == 2 or (length - 1) * characters <= MOST_CHARACTERS
    assert length > 0.9 * min(MOST_VALUES, MOST_CHARACTERS // characters)


def test_two_pools_do_not_repeat_together() -> None:
    def numbered(site: str) -> list[int]:
        numbers = iter(range(MOST_VALUES))
        read = draw_pool(lambda random: next(numbers), 1, site)
        return [read(index) for index in range(20 * MOST_VALUES)]

    first, second = numbered("a"), numbered("b")
    assert len(set(first)) == MOST_VALUES
    assert len(set(zip(first, second, strict=True))) == len(first)


def test_a_pool_reads_any_index() -> None:
    read = draw_pool(Random.random, 1, "a")
    assert {type(read(index)) for index in (0, MOST_VALUES, 2**63 - 1)} == {float}


@given(
    characters=st.sampled_from([1, 300, 80_000, 900_000, 3_000_000]),
    lengths=st.lists(st.integers(0, 40) | st.integers(0, 20_000), min_size=1, max_size=5),
)
def test_a_span_has_the_values_of_its_indices(characters: int, lengths: list[int]) -> None:
    long = "x" * characters

    def pool() -> Pool[object]:
        def draw(random: Random) -> object:
            number = random.random()
            return f"{number}{long if number < 0.5 else ''}"

        return Pool(draw, lambda value: value[:20], 1, "a")

    read, drawn_as_needed = pool().reader(), pool()
    start = 0
    for length in lengths:
        indices = range(start, start + length)
        assert drawn_as_needed.span(indices) == [*map(read, indices)]
        start = indices.stop
    indices = range(10**9, 10**9 + 50)
    assert drawn_as_needed.span(indices) == [*map(read, indices)]


def test_a_span_draws_what_it_needs_and_little_more() -> None:
    drawn: list[float] = []
    pool = Pool(lambda random: random.random(), drawn.append, 1, "a")
    pool.span(range(100))
    assert 100 <= len(drawn) < 200


@pytest.mark.parametrize("characters", [8, 1000])
def test_how_many_values_there_are_does_not_depend_on_how_they_are_written(
    characters: int,
) -> None:
    def values(render: Callable[[object], object]) -> list[object]:
        def draw(random: Random) -> str:
            return f"{random.random():.6f}".ljust(characters)

        read = Pool(draw, render, 1, "a").reader()
        return [read(index) for index in range(40_000, 40_100)]

    assert values(lambda value: f"{value}".encode()) == [
        f"{value}".encode() for value in values(lambda value: value)
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 1000, 10**9])
def test_drawn_numbers_are_spread_evenly(count: int) -> None:
    read = draw_number(count, 1, "a")
    # Steps as they are between arrivals, stages and repetitions.
    for step in (1, 2**40 + 7919, 2**50 + 1):
        numbers = [read(step * place % 2**63) for place in range(8000)]
        assert all(0 <= number < count for number in numbers)
        quarters = [0] * 4
        for number in numbers:
            quarters[number * 4 // count] += 1
        if count >= 1000:
            assert all(abs(quarter - 2000) < 160 for quarter in quarters)
        elif count == 2:
            assert abs(sum(numbers) - 4000) < 180


def test_drawn_numbers_follow_from_seed_and_site() -> None:
    def numbers(seed: int, site: str) -> list[int]:
        return [*map(draw_number(10**6, seed, site), range(10))]

    assert numbers(1, "a") == numbers(1, "a")
    assert len({tuple(numbers(*one)) for one in ((1, "a"), (2, "a"), (1, "b"))}) == 3
