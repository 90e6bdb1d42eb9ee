"""The write loops by themselves: how operations are paced, counted, dropped and stopped.

The operations here only take time; what real ones do to a real database stands in tests/postgres
and in the whole runs of tests/run.
"""

import time
from dataclasses import dataclass, field

import psycopg
import pytest
import trio

from stressrun.load.writes import MixRunner
from stressrun.metrics.recorder import Recorder, Row
from stressrun.postgres.connection import Connection
from stressrun.postgres.operations import Program
from stressrun.postgres.statement import Done
from stressrun.scenario.model import Arrivals, Load, Ramp, Users


@dataclass
class Taking:
    """An operation that takes a time, fails, or stalls the whole loop once."""

    seconds: float = 0.0
    error: psycopg.Error | None = None
    stalls: list[float] = field(default_factory=list)
    name: str = "insert"

    async def run(self, connection: Connection, index: int) -> Done:
        if self.stalls:
            time.sleep(self.stalls.pop())  # the generator's own fault, so no trio.sleep
        await trio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Done(1, 10, 20)


class Idle:
    """A connection that is never lost."""

    closed = False
    cancelled_outcome = "not_applied"

    async def close(self) -> None:
        pass


async def run_mix(
    operation: Taking, load: Load, *, connections: int = 4, stop: bool = False, grace: float = 5.0
) -> tuple[Row, Recorder]:
    recorder = Recorder()

    async def connect() -> Connection:
        return Idle()  # type: ignore[return-value]  # of a connection only this is used

    runner = MixRunner("audit", Program(lambda index: operation, None), recorder, connect)
    await runner.connect(connections)
    with trio.move_on_after(0.2 + grace):
        async with trio.open_nursery() as nursery:
            if stop:
                nursery.start_soon(_stop_soon, runner)
            await runner.run(load, 0.2, time.monotonic_ns(), seed=1, site="s")
    await runner.close()
    row = recorder.row("operation", "audit.insert")
    assert row.planned == (row.succeeded + row.failed + row.dropped + row.interrupted + row.unknown)
    return row, recorder


async def _stop_soon(runner: MixRunner) -> None:
    await trio.lowlevel.checkpoint()
    runner.stop()


RATE = Arrivals(Ramp(100, 100), 4)


async def test_a_rate_does_every_operation_once() -> None:
    row, recorder = await run_mix(Taking(), RATE)
    assert (row.planned, row.succeeded, recorder.lag.count) == (20, 20, 20)


async def test_workers_do_one_after_the_other_and_measure_no_lag() -> None:
    row, recorder = await run_mix(Taking(0.001), Users(Ramp(2, 2)))
    assert row.succeeded > 4
    assert recorder.lag.count == 0


async def test_without_a_free_connection_operations_wait_and_are_dropped() -> None:
    row, _ = await run_mix(Taking(0.15), RATE, connections=4)
    assert row.planned == 20
    assert row.dropped > 0
    assert row.response.maximum > row.service.maximum, "waiting counts from when it was due"


async def test_a_failed_operation_is_counted_by_its_kind() -> None:
    row, _ = await run_mix(Taking(error=psycopg.errors.DeadlockDetected()), RATE)
    assert dict(row.errors) == {"40P01 deadlock_detected": 20}


async def test_what_runs_after_the_grace_is_interrupted() -> None:
    row, _ = await run_mix(Taking(60), RATE, grace=0.1)
    assert (row.interrupted, row.dropped) == (4, 16)


async def test_a_stop_ends_the_stage_at_once() -> None:
    row, _ = await run_mix(Taking(), Arrivals(Ramp(1, 1000), 4), stop=True)
    assert row.planned < 20


@pytest.mark.parametrize("load", [Users(Ramp(0, 4)), Users(Ramp(4, 0)), RATE])
async def test_a_stall_over_the_end_of_a_stage_does_not_keep_it_from_ending(load: Load) -> None:
    with trio.fail_after(30):
        row, _ = await run_mix(Taking(stalls=[0.4]), load, grace=60)
    assert row.planned >= 1
