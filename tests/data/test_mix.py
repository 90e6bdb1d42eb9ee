from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stressrun.data.mix import draw

weights = st.lists(st.floats(min_value=0.01, max_value=100), min_size=1, max_size=8)


@given(weights)
def test_every_choice_has_its_share(given_weights: list[float]) -> None:
    table = draw(given_weights, 1, "place")
    counts = Counter(table)
    for choice, weight in enumerate(given_weights):
        share = weight / sum(given_weights)
        assert counts[choice] >= 1
        assert abs(counts[choice] / len(table) - share) < 0.003


def test_a_weight_of_zero_is_never_drawn() -> None:
    assert set(draw([1, 0, 2], 1, "place")) == {0, 2}


def test_the_same_seed_and_place_give_the_same_table_and_others_do_not() -> None:
    assert draw([1, 2], 7, "a") == draw([1, 2], 7, "a")
    assert draw([1, 2], 7, "a") != draw([1, 2], 7, "b")
    assert draw([1, 2], 7, "a") != draw([1, 2], 8, "a")
