import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stressrun.errors import SetupError
from stressrun.safety.ledger import open_ledger


def test_what_is_recorded_is_outstanding_until_it_is_settled(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        first = ledger.record("run-1", "table", table="a")
        ledger.record("run-1", "rows", table="b", ranges=[[1, 9, 1]])
        ledger.record("run-2", "table", table="c")
        assert [entry.detail["table"] for entry in ledger.outstanding("run-1")] == ["b", "a"]
        ledger.settle(first)
        assert [entry.kind for entry in ledger.outstanding("run-1")] == ["rows"]
        assert len(ledger.outstanding()) == 2
        ledger.forget("run-2")
        assert [entry.run_id for entry in ledger.outstanding()] == ["run-1"]


def test_an_intent_outlives_a_killed_process(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from stressrun.safety.ledger import open_ledger\n"
        "with open_ledger(pathlib.Path(sys.argv[1])) as ledger:\n"
        "    ledger.record('run', 'table', table='t')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with open_ledger(tmp_path) as ledger:
        assert [entry.detail for entry in ledger.outstanding("run")] == [{"table": "t"}]


def test_the_ledger_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "state"):
        mode = stat.S_IMODE(os.stat(tmp_path / "state" / "ledger.db").st_mode)
    assert mode == 0o600
    assert (tmp_path / "state" / ".gitignore").read_text() == "*\n"


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as one, open_ledger(tmp_path) as other:
        one.record("run", "table", table="a")
        other.record("run", "table", table="b")
        assert len(one.outstanding("run")) == len(other.outstanding("run")) == 2


@pytest.mark.parametrize("content", [b"this is no database" * 100, None])
def test_a_ledger_that_cannot_be_used_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / "state").write_text("a file")
    else:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "ledger.db").write_bytes(content)
    with pytest.raises(SetupError, match="ledger"), open_ledger(tmp_path / "state"):
        pass


def test_the_file_is_synced_with_every_entry(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        (synchronous,) = ledger._connection.execute("pragma synchronous").fetchone()
    assert synchronous == 2, "full"
