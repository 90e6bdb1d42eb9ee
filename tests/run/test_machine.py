from __future__ import annotations

import math
import platform
from dataclasses import asdict
from pathlib import Path

import pytest

from stressrun.monitor import host
from stressrun.run.machine import Disk, Neighbours, cpu_model, quota, this_machine


@pytest.mark.parametrize(
    ("cpuinfo", "model"),
    [
        (
            "processor\t: 0\nmodel name\t: Some  CPU @ 2.4GHz\nmodel name\t: Other\n",
            "Some CPU @ 2.4GHz",
        ),
        ("processor : 0\nHardware\t: BCM2835\n", "BCM2835"),
        ("processor : 0\nBogoMIPS : 50\n", ""),
        ("", ""),
    ],
)
def test_the_model_of_a_cpu_is_found_where_it_is_named(cpuinfo: str, model: str) -> None:
    assert cpu_model(cpuinfo) == model


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("150000 100000", 1.5),
        ("max 100000", math.inf),
        ("", math.inf),
        ("1 0", math.inf),
        ("nonsense", math.inf),
    ],
)
def test_a_control_group_may_allow_a_part_of_the_cores(text: str, cores: float) -> None:
    assert quota(text) == cores


def test_what_a_run_does_itself_is_not_the_work_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([(100.0, 10.0, 5.0), (120.0, 22.0, 13.0), (100.0, 10.0, 5.0)])
    monkeypatch.setattr("stressrun.run.machine._used", lambda: next(used))
    neighbours = Neighbours()
    assert neighbours.share() == pytest.approx((12 - 8) / 20)
    assert neighbours.share() is None


def test_this_machine_stays_the_same_and_shows_no_name() -> None:
    machine = this_machine()
    assert machine == this_machine()
    assert machine.cores > 0
    assert machine.memory > 0
    assert int(machine.id, 16) >= 0
    assert platform.node() not in asdict(machine).values()


def test_waiting_for_the_disk_is_counted_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressure = tmp_path / "io"
    monkeypatch.setattr(host, "_PRESSURE", tmp_path)
    assert Disk().share() is None
    pressure.write_text("some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=1 total=9\n")
    disk = Disk()
    assert disk.share() == 0
    pressure.write_text("some avg10=9.00 avg60=9.00 avg300=9.00 total=3600000000005\n")
    assert (disk.share() or 0) > 1
