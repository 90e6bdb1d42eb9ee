"""What the samples of a stage come to."""

from __future__ import annotations

import pytest
from looks import MS, look, waiter

from stressrun.metrics.gap import Gap
from stressrun.metrics.histogram import Histogram
from stressrun.metrics.slowest import Slowest
from stressrun.monitor.stage_watch import StageWatch
from stressrun.postgres.findings import Extent, Findings
from stressrun.postgres.observation import Sessions


def finished(watch: StageWatch, *, end: int = 1000, lacking: tuple[str, ...] = ()) -> Findings:
    return watch.finish(
        end * MS,
        limit=97,
        requests=Histogram(),
        statistics=None,
        statements=None,
        lacking=lacking,
    )


@pytest.fixture
def watch() -> StageWatch:
    return StageWatch(100 * MS, patience=500 * MS)


def test_sessions_are_counted_by_state_and_active_ones_by_what_they_wait_for(
    watch: StageWatch,
) -> None:
    watch.see(
        look(
            200,
            clients=7,
            longest_transaction=0.5,
            sessions=(
                Sessions("active", None, None, 1),
                Sessions("active", "Lock", "tuple", 3),
                Sessions("idle", "Client", "ClientRead", 2),
            ),
        )
    )
    watch.see(
        look(
            300,
            clients=4,
            longest_transaction=0.2,
            sessions=(
                Sessions("idle in transaction (aborted)", "Client", "ClientRead", 1),
                Sessions("idle in transaction", "Client", "ClientRead", 1),
                Sessions("disabled", None, None, 1),
            ),
        )
    )
    found = finished(watch)
    assert found.samples == 2
    assert found.connections is not None
    assert (found.connections.max, found.connections.mean) == (7, 5.5)
    assert (found.connections.least_free, found.connections.limit) == (97 - 7 - 1, 97)
    assert found.states is not None
    assert found.states.active == Extent(4, 2.0)
    assert found.states.idle == Extent(2, 1.0)
    assert found.states.idle_in_transaction == Extent(2, 1.0)
    assert found.longest_transaction == 0.5
    assert [(wait.wait_class, wait.event, wait.share) for wait in found.waits] == [
        ("Lock", "tuple", 0.75),
        ("CPU", None, 0.25),
    ]
    assert found.gaps == ()


def test_what_was_seen_before_the_start_is_none_of_the_stage_s(watch: StageWatch) -> None:
    watch.see(look(99, waiter(1, 9)))
    watch.miss(99 * MS, "no reason")
    found = finished(watch)
    assert (found.samples, found.lock_waits.count, found.gaps) == (0, 0, ())
    assert (found.connections, found.states, found.longest_transaction) == (None, None, None)


def test_a_gap_lasts_from_the_last_sample_to_the_next(watch: StageWatch) -> None:
    watch.see(look(200))
    watch.miss(300 * MS, "lost")
    watch.miss(400 * MS, "lost")
    watch.miss(500 * MS, "refused")
    watch.see(look(600))
    watch.see(look(700))
    watch.miss(800 * MS, "lost")
    assert finished(watch).gaps == (
        Gap(0.1, 0.3, "lost"),
        Gap(0.3, 0.5, "refused"),
        Gap(0.6, 0.7, "lost"),
    )


def test_samples_that_are_long_in_coming_leave_a_gap(watch: StageWatch) -> None:
    for instant in (200, 700, 1300, 1400):
        watch.see(look(instant))
    (gap,) = finished(watch, end=1400).gaps
    assert (gap.begin, gap.end) == (0.6, 1.2)
    assert "too busy" in gap.why


def test_sessions_that_are_hidden_are_a_gap_and_still_connections(watch: StageWatch) -> None:
    watch.see(look(200, clients=1, hidden=3))
    watch.see(look(300, clients=1, hidden=2))
    watch.see(look(400, clients=1))
    found = finished(watch)
    assert found.connections is not None
    assert found.connections.max == 4
    (gap,) = found.gaps
    assert (gap.begin, gap.end) == (0.0, 0.2)
    assert "pg_monitor" in gap.why


def test_what_was_lacking_in_the_whole_stage_is_a_gap_of_its_length(watch: StageWatch) -> None:
    found = finished(watch, lacking=("statistics: gone",))
    assert found.gaps == (Gap(0.0, 0.9, "statistics: gone"),)


def test_gaps_are_named_up_to_a_number(watch: StageWatch) -> None:
    for number in range(60):
        watch.miss((200 + number) * MS, f"reason {number}")
    gaps = finished(watch).gaps
    assert len(gaps) == 20
    assert (gaps[-1].begin, gaps[-1].end) == (0.118, 0.159)
    assert "several" in gaps[-1].why


def test_slow_requests_are_held_against_the_lock_waits_of_the_samples(watch: StageWatch) -> None:
    times = Histogram()
    for milliseconds in [1] * 5000 + [100] * 30:
        times.record(milliseconds * MS)
    ends = [350] * 10 + [700] * 20
    watch.see(look(200))
    watch.hear(Slowest.from_wire([0, *(n * MS for end in ends for n in (100, end))]))
    watch.see(look(300, waiter(1, 9, waited=20)))
    watch.see(look(400))
    watch.see(look(800))
    found = watch.finish(
        1000 * MS, limit=97, requests=times, statistics=None, statements=None, lacking=()
    )
    assert found.slow_requests is not None
    assert (found.slow_requests.count, found.slow_requests.overlapping) == (30, 10)
    assert found.slow_requests.overlaps[0].place == "products"
