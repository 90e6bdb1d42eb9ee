"""A pattern that would search for ever is given up."""

from __future__ import annotations

import json
import re
import threading

import pytest

from stressrun.data.bounded import TookTooLong, bounded
from stressrun.data.checks import parse_check
from stressrun.data.jsonpath import parse_path


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stressrun.data.bounded.LIMIT", 0.05)


ENDLESS = "(a+)+$"
BAIT = "a" * 64 + "!"


def test_a_search_that_lasts_is_given_up() -> None:
    with pytest.raises(TookTooLong, match="longer than 1 s"), bounded:
        re.search(ENDLESS, BAIT)


def test_one_that_does_not_is_left_alone_and_so_is_what_follows() -> None:
    for _ in range(3):
        with bounded:
            assert re.search(ENDLESS, "aaa")
    with pytest.raises(KeyError), bounded:
        raise KeyError
    # An alarm that is still under way must not go off in here.
    assert sum(range(3_000_000)) > 0


def test_beside_the_main_thread_there_is_no_bound() -> None:
    found: list[object] = []

    def search() -> None:
        with bounded:
            found.append(re.search(ENDLESS, "aaa"))

    thread = threading.Thread(target=search)
    thread.start()
    thread.join()
    assert found != [None]


def test_a_check_of_what_a_server_sent_is_bounded() -> None:
    holds = parse_check("matches", ENDLESS).compile(1, "site")
    with pytest.raises(TookTooLong):
        holds(BAIT, 0, {})


def test_a_filter_of_a_json_path_is_bounded() -> None:
    path = parse_path(f"$.items[?(@.name =~ '{ENDLESS}')]")
    document = json.loads(json.dumps({"items": [{"name": BAIT}]}))
    with pytest.raises(LookupError, match="longer than 1 s"):
        path.find(document)
