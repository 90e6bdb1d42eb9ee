"""A scenario's patterns, in what others say."""

from __future__ import annotations

import re

import pytest
import trio

from stressrun.data.bounded import TookTooLong
from stressrun.monitor.patterns import Pattern

ENDLESS = re.compile("(a+)+$").search
BAIT = "a" * 64 + "!"


def test_each_text_is_looked_at_once_as_long_as_it_is_asked_for() -> None:
    looked_at: list[str] = []

    def find(text: str) -> bool:
        looked_at.append(text)
        return "x" in text

    pattern = Pattern(find)
    assert pattern.found_in(["x", "y", "x"]) == {"x": True, "y": False}
    assert pattern.found_in(["y", "xx"]) == {"y": False, "xx": True}
    assert pattern.found_in(["x"]) == {"x": True}
    assert sorted(looked_at) == ["x", "x", "xx", "y"]


async def test_one_that_searches_for_ever_is_given_up_in_a_thread_too_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stressrun.data.bounded.LIMIT", 0.05)
    pattern = Pattern(ENDLESS)
    for texts in (["aaa", BAIT], ["aaa"]):
        with pytest.raises(TookTooLong):
            await trio.to_thread.run_sync(pattern.found_in, texts, abandon_on_cancel=True)
