"""What the host does, from one sample to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stressrun.monitor.host import HostWatch, Sample, between, sample, stalled

SECOND = 1_000_000_000
FIRST = Sample(
    instant=0,
    user=100.0,
    system=50.0,
    idle=800.0,
    iowait=10.0,
    stolen=5.0,
    load=1.0,
    available=4000,
    memory=8000,
    swapped_in=10,
    swapped_out=20,
    disk_read=None,
    disk_written=100,
    received=7,
    sent=9,
    context_switches=1000,
    cpu_pressure=3.0,
    memory_pressure=None,
    io_pressure=0.5,
)
LAST = replace(
    FIRST,
    instant=10 * SECOND,
    user=110.0,
    system=54.0,
    idle=804.0,
    iowait=11.0,
    stolen=6.0,
    load=2.0,
    swapped_in=13,
    disk_written=600,
    received=5,
    sent=19,
    context_switches=3000,
    cpu_pressure=5.0,
    io_pressure=0.5,
)


def test_shares_are_of_the_time_of_all_cores() -> None:
    host = between(FIRST, LAST, cpu_max=0.9, available=3000)
    assert host is not None
    assert (host.user, host.system, host.iowait, host.stolen) == (0.5, 0.2, 0.05, 0.05)
    assert (host.cpu, host.cpu_max) == (0.75, 0.9)
    assert (host.load, host.available, host.memory) == (2.0, 3000, 8000)
    assert (host.swapped_in, host.swapped_out) == (3, 0)
    assert (host.disk_read, host.disk_written) == (None, 500)
    assert host.context_switches == 200
    assert (host.cpu_pressure, host.memory_pressure, host.io_pressure) == (0.2, None, 0.0)


def test_a_device_that_is_gone_takes_nothing_back() -> None:
    host = between(FIRST, LAST, cpu_max=0, available=0)
    assert host is not None
    assert (host.received, host.sent) == (0, 10)


def test_no_time_says_nothing() -> None:
    assert between(FIRST, FIRST, cpu_max=0, available=0) is None
    assert between(FIRST, replace(LAST, instant=0), cpu_max=0, available=0) is None


def test_the_most_is_of_an_interval_of_half_a_second_or_more() -> None:
    watch = HostWatch(FIRST)
    watch.see(replace(FIRST, instant=SECOND // 10, user=101.0, available=100))
    watch.see(replace(FIRST, instant=SECOND, user=101.0, idle=801.0))
    watch.see(replace(FIRST, instant=2 * SECOND, user=101.0, idle=803.0))
    host = watch.finish()
    assert host is not None
    assert (host.cpu, host.cpu_max) == (0.25, 0.5)
    assert host.available == 100


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (
            "some avg10=6.19 avg60=4.93 avg300=8.25 total=13484405\nfull avg10=0 total=5\n",
            13.484405,
        ),
        ("full avg10=0.00 total=0\n", None),
        ("", None),
    ],
)
def test_a_pressure_is_the_time_in_which_some_task_waited(text: str, seconds: float | None) -> None:
    assert stalled(text) == seconds


def test_a_real_host_tells_of_itself() -> None:
    host = sample(0)
    # Nothing of how they grow: on Linux, times of idle cores can go back.
    assert min(host.user, host.system, host.passed, host.context_switches) > 0
    assert host.memory > host.available > 0


@pytest.mark.parametrize("error", [ValueError("not sure how"), NotImplementedError(), OSError()])
def test_disks_that_cannot_be_read_hide_no_host(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def unreadable() -> None:
        raise error

    monkeypatch.setattr("psutil.disk_io_counters", unreadable)
    host = sample(0)
    assert (host.disk_read, host.disk_written) == (None, None)
    assert host.memory > 0
