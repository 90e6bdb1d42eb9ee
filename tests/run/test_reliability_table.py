"""The table of faults in the documentation is that of the cases that there are."""

import ast
import re
from collections import Counter
from pathlib import Path

from runs import ROOT

CASES = sorted(Path(__file__).parent.glob("test_fault_*.py"))


def test_each_case_is_in_the_table_once_and_nothing_else() -> None:
    written = re.findall(r"`(test_\w+)` \|$", (ROOT / "docs" / "reliability.md").read_text(), re.M)
    there = [
        node.name
        for path in CASES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert Counter(written) == Counter(there)
