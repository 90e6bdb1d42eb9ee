"""Where lines for people go: a terminal, the log of a CI job, a pipe whose reader may be gone."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from stressrun.safety.escaping import visible
from stressrun.safety.masking import Mask


class Output:
    """Writes lines without secrets to a stream; a stream that is gone does not disturb the run.

    What names and answers hold is shown, and does nothing to a terminal.
    """

    def __init__(self, stream: TextIO, mask: Mask) -> None:
        self._stream = stream
        self._mask = mask
        self._gone = False

    def tell(self, *lines: str) -> None:
        """Write lines of text, each of which may have several."""
        for line in lines:
            self._write(line)

    def report_written(self, path: Path) -> None:
        """Say where the report is."""
        self._write(f"report: {path}")

    def _write(self, text: str) -> None:
        self._write_raw(self._mask.text(text))

    def _write_raw(self, text: str) -> None:
        if self._gone:
            return
        try:
            self._stream.write(visible(text) + "\n")
            self._stream.flush()
        except OSError:
            self._gone = True
