from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stressrun.monitor.intervals import Intervals

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=12).map(
    lambda pairs: sorted(((begin, begin + length) for begin, length in pairs), key=lambda s: s[1])
)


def made_of(added: list[tuple[int, int]], most: int = 100) -> Intervals:
    intervals = Intervals(most)
    for begin, end in added:
        intervals.add(begin, end)
    return intervals


@given(spans, st.integers(0, 70), st.integers(1, 20))
def test_an_overlap_is_one_with_any_of_those_added(
    added: list[tuple[int, int]], begin: int, length: int
) -> None:
    end = begin + length
    assert made_of(added).overlap(begin, end) == any(
        first < end and begin < last for first, last in added
    )


@given(spans, st.integers(0, 20), st.integers(0, 40))
def test_reached_counts_the_instants_with_one_shortly_before(
    added: list[tuple[int, int]], reach: int, begin: int
) -> None:
    end = 60
    expected = sum(
        any(first <= instant < last + reach for first, last in added)
        for instant in range(begin, end)
    )
    assert made_of(added).reached(begin, end, reach) == expected


@given(spans, st.integers(1, 3))
def test_what_is_forgotten_lies_before_what_is_known(
    added: list[tuple[int, int]], most: int
) -> None:
    intervals, all_of_them = made_of(added, most), made_of(added)
    since = intervals.known_since
    for begin in range(since, 75):
        assert intervals.overlap(begin, begin + 5) == all_of_them.overlap(begin, begin + 5)
