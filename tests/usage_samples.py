"""What monitors of processes, host and metrics may find in a stage."""

from __future__ import annotations

import math

from stressrun.metrics.gap import Gap
from stressrun.metrics.scraped import Buckets, Scraped, Series
from stressrun.metrics.usage import HostUse, MachineUse, ProcessUse

MB = 1_000_000
API = ProcessUse(
    name="api",
    kind="service",
    samples=20,
    gaps=(),
    cpu=0.874,
    cpu_max=0.99,
    memory=60.0 * MB,
    memory_max=64 * MB,
    memory_kind="proportional",
    growth=0.2 * MB,
    threads=12,
    descriptors=31,
    processes=3,
    read=0,
    written=4 * MB,
    restarts=1,
)
GONE = ProcessUse(
    name="nginx",
    kind="named",
    samples=0,
    gaps=(Gap(0.0, 20.0, "nothing listens on port 8080"),),
    cpu=None,
    cpu_max=None,
    memory=None,
    memory_max=None,
    memory_kind="proportional",
    growth=None,
    threads=None,
    descriptors=None,
    processes=None,
    read=None,
    written=None,
    restarts=0,
)
HOST = HostUse(
    cores=2,
    cpu=0.71,
    cpu_max=0.9,
    user=0.48,
    system=0.21,
    iowait=0.004,
    stolen=0.02,
    load=2.5,
    available=2_100 * MB,
    memory=8_000 * MB,
    swapped_in=0,
    swapped_out=0,
    disk_read=None,
    disk_written=12 * MB,
    received=300,
    sent=400,
    context_switches=1234.5,
    cpu_pressure=0.18,
    memory_pressure=0.0,
    io_pressure=None,
)
MACHINE = MachineUse(
    interval=1.0, samples=20, cost=0.004, gaps=(), processes=(API, GONE), host=HOST
)
METRICS = (
    Scraped(
        name="app",
        samples=20,
        gaps=(),
        series=(
            Series("requests", "http_requests_total", "counter", increase=5000.0, rate=250.0),
            Series(
                "latency",
                "took_seconds",
                "histogram",
                increase=100.0,
                rate=5.0,
                mean=0.05,
                buckets=Buckets((0.1, 1.0, math.inf), (50.0, 100.0, 100.0)),
            ),
            Series("heap", "heap_bytes", "gauge", mean=2.0, least=1.0, most=3.0, last=2.5),
            Series("lost", "lost", "unknown", missing="there is no series lost"),
        ),
    ),
    Scraped("slo", 1, (), (Series("share", "sum(errors)", "query", value=0.0123),)),
    Scraped(
        name="dead",
        samples=0,
        gaps=(Gap(0.0, 20.0, "connection refused"),),
        series=(Series("up", "up", "unknown", missing="connection refused"),),
    ),
)
