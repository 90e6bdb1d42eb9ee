"""Whether the generator itself kept a stage from its load: then nothing is said of the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stressrun.load.stage import StageResult
from stressrun.verdict.judgement import Fault

_OWN = "generator: "
_REMEDIES = {
    "out of file descriptors": "raise the limit (ulimit -n), or lower max_vus",
    "out of local ports": "keep connections (reuse: vu), or lower the rate",
    "out of memory": "lower max_vus, or give the machine more memory",
}


def own_fault(results: Sequence[StageResult]) -> Fault | None:
    """The most frequent failure of the generator's own making in a judged stage."""
    for result in results:
        if result.stage.warmup:
            continue
        counts: Counter[str] = Counter()
        for row in result.books.rows.values():
            counts.update({kind: n for kind, n in row.errors.items() if kind.startswith(_OWN)})
        if counts:
            kind, count = counts.most_common(1)[0]
            what = kind.removeprefix(_OWN)
            return Fault(
                f"the generator was {what} in stage {result.stage.name} ({count:,} times)",
                _REMEDIES[what],
            )
    return None
