"""What a monitor may find in a quiet database."""

from __future__ import annotations

from stressrun.postgres.findings import Connections, Extent, Findings, LockWaits, States, WaitShare
from stressrun.postgres.statistics import Checkpoints, Io, Statistics, Wal

NOTHING = LockWaits(count=0, total=0.0, estimated=0.0, longest=0.0, pairs=(), others=0)
COUNTED = Statistics(
    commits=12_345,
    rollbacks=3,
    deadlocks=0,
    temp_files=0,
    temp_bytes=0,
    blocks_hit=999,
    blocks_read=1,
    cache_hit_ratio=0.999,
    wal=Wal(45_200_000, 10, 1, 0),
    checkpoints=Checkpoints(0, 0, 0, 0.0, 0.0),
    io=(Io("client backend", 1, 2, 3, 4, 5),),
    tables=(),
    other_tables=0,
)
QUIET = Findings(
    samples=20,
    gaps=(),
    connections=Connections(max=7, mean=6.5, least_free=89, limit=97),
    states=States(Extent(2, 0.4), Extent(6, 6.1), Extent(0, 0.0)),
    longest_transaction=0.02,
    waits=(
        WaitShare("CPU", None, 0.6),
        WaitShare("IO", "WALSync", 0.398),
        WaitShare("Client", "ClientRead", 0.002),
    ),
    lock_waits=NOTHING,
    slow_requests=None,
    statistics=COUNTED,
    statements=None,
)
