from __future__ import annotations

import pytest

from stressrun.data.suggest import did_you_mean


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("nmae", "did you mean 'name'?"),
        ("NAME", "did you mean 'name'?"),
        ("stage", "did you mean 'Stages'?"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_the_nearest_known_word_is_suggested(word: str, expected: str) -> None:
    assert did_you_mean(word, ["name", "Stages", "url"]) == expected
