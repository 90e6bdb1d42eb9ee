"""What a crew has been told when one of its workers is lost."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from stressrun.load.stage import StageResult, WorkerReading
from stressrun.metrics.recorder import Recorder
from stressrun.run.crew import Crew, WorkerLost, _Worker
from stressrun.run.transport import Channel
from stressrun.services.process import spawn
from verdict_samples import STAGES


@pytest.mark.parametrize(
    ("lost", "untold"), [("writes", False), ("endpoints-0", True), ("endpoints-1", True)]
)
async def test_only_a_lost_worker_of_endpoints_leaves_untold_what_was_made(
    tmp_path: Path, lost: str, untold: bool
) -> None:
    crew = Crew("run-1", tmp_path)
    theirs: dict[str, Channel] = {}
    for name in ("endpoints-0", "endpoints-1", "writes"):
        ours, other = socket.socketpair()
        theirs[name] = Channel(other)
        log = tmp_path / f"{name}.log"
        process = spawn(name, ["true"], log=log, mark=f"run-1/{name}", env=os.environ)
        crew._workers.append(_Worker(name, process, Channel(ours)))
    for name, channel in theirs.items():
        if name == lost:
            await channel.close()
        else:
            await channel.send(last_news())
    with pytest.raises(WorkerLost, match=f"the worker {lost} ended by itself"):
        await crew.run(StageResult(STAGES[0], 0), crew.next_start(), lambda *news: None)
    assert crew.untold == untold
    for channel in theirs.values():
        await channel.close()
    await crew.close()


def last_news() -> dict[str, object]:
    return {
        "said": "finished",
        "stage": 0,
        "most_running": 1,
        "books": Recorder().drain(),
        "generator": asdict(WorkerReading(0.1, 0.1, None, 0.0, 0.0, 1, 10, None)),
        "pool": None,
    }
