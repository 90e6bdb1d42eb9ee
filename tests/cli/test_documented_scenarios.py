"""What the documentation shows as YAML is right.

A fenced `yaml` block with a `version:` is a whole scenario; any other holds keys of one, and is
completed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from stressrun.cli.validate import validate

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = re.compile(r"^(\w+):", re.MULTILINE)
MINIMAL = {
    "version": "1",
    "name": "documented",
    "base_url": "http://127.0.0.1:8000",
    "endpoints": "[{name: home, request: GET /}]",
    "stages": "[{name: load, duration: 1s, endpoints: {vus: 1}}]",
}
VARIABLES = {"API_TOKEN": "t", "API_KEY": "k", "PASSWORD": "p"}
FILES = {
    "customers.csv": "email,password\nann@example.org,one\n",
    "baskets.jsonl": '{"lines": [{"sku": "SKU-1"}]}\n',
    "order.json": '{"customer": "${faker.name}"}',
    "picture.png": "a picture",
    "ca.pem": "",
    "client.pem": "",
    "client-key.pem": "",
    "schema.sql": "create table settings (name text, value text);\n",
}


def blocks() -> Iterator[tuple[str, str]]:
    """Where each block begins, and its text."""
    for document in DOCUMENTS:
        text = document.read_text()
        for match in BLOCK.finditer(text):
            yield f"{document.name}:{text.count(chr(10), 0, match.start()) + 1}", match[1]


def completed(block: str) -> str:
    """A block as a whole scenario."""
    keys = KEY.findall(block)
    if "version" in keys:
        return block
    added = (f"{key}: {value}\n" for key, value in MINIMAL.items() if key not in keys)
    return "".join(added) + block


@pytest.mark.parametrize("block", [pytest.param(text, id=place) for place, text in blocks()])
def test_a_documented_scenario_is_valid(block: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    path = tmp_path / "scenario.yaml"
    path.write_text(completed(block))
    result = CliRunner().invoke(validate, [str(path)], env=VARIABLES)
    assert result.exit_code == 0, result.output


def test_every_document_that_shows_scenarios_is_looked_at() -> None:
    shown = {place.partition(":")[0] for place, _ in blocks()}
    assert {"README.md", "http.md"} <= shown
