import json
from pathlib import Path

import jsonschema
from runs import ROOT, stressrun

ECHO = """
import os, http.server
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        head = f"HTTP/1.1 422 Unprocessable\\r\\nContent-Length: {length}\\r\\n\\r\\n"
        self.wfile.write(head.encode() + body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Echo).serve_forever()
"""
SCENARIO = """
version: 1
name: echo
services: {api: {command: python echo.py, env: {PORT: '${services.api.port}'}}}
base_url: ${services.api.url}
http: {tls: {verify: false}}
endpoints:
  - name: pay
    request: POST /pay
    json: {card: "${CARD_SECRET}", amount: 12}
stages: [{name: s, duration: 1s, endpoints: {iterations: 8, vus: 2}}]
"""


def test_failed_requests_are_told_and_kept_without_their_secrets(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / "echo.yaml").write_text(SCENARIO)
    ended = stressrun(tmp_path, "echo.yaml", CARD_SECRET="4929-secret")
    assert ended.code == 1, ended.output
    for line in (
        "  warning: TLS certificates are not verified (http.tls.verify: false)\n",
        "  pay: 8 × status 422\n",
        '  first: {"card":"***","amount":12}\n',
        "  it has the requests and answers of the first failures of each kind\n",
    ):
        assert line in ended.output
    schema = json.loads((ROOT / "schema" / "report.schema.json").read_text())
    jsonschema.validate(ended.report, schema)
    (row,) = ended.report["stages"][0]["rows"]
    assert [sample["error"] for sample in row["samples"]] == ["status 422"] * 3
    for sample in row["samples"]:
        assert sample["request"].startswith("POST /pay\n")
        assert sample["request"].endswith('{"card":"***","amount":12}')
        assert sample["answer"].endswith('{"card":"***","amount":12}')
    assert "4929-secret" not in ended.output + json.dumps(ended.report)
