"""Step 3, as it is served, follows the WebSocket protocol: Autobahn's test suite says so.

The suite needs Python 2.7 (`pip install autobahntestsuite`), so it is run only where `wstest` is.
"""

import json
import shutil

import pytest
from repo import STEPS, free_port

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
KNOWN = {"7.1.5"}  # the websockets package's own
WSTEST = shutil.which("wstest")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(not WSTEST, reason="no wstest: pip install autobahntestsuite on Python 2.7")
def test_step_3_passes_the_cases_of_autobahn(workshop, start, tmp_path):
    project = shutil.copytree(STEPS[2], tmp_path / "echo")
    code = (project / "websocket.py").read_text(encoding="utf-8")
    assert code.count('f"echo {data}"') == 1
    code = code.replace('f"echo {data}"', "data")  # the suite expects what it sent
    (project / "websocket.py").write_text(code, encoding="utf-8")
    port = free_port()
    workshop("run", project, "--port", port).wait_for("is served at")
    server = {"agent": "step 3", "url": f"ws://127.0.0.1:{port}/ws"}
    spec = {"outdir": str(tmp_path / "reports"), "servers": [server], "cases": CASES}
    spec |= {"exclude-cases": [], "exclude-agent-cases": {}}
    (tmp_path / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    client = start(WSTEST, "-m", "fuzzingclient", "-s", tmp_path / "spec.json", cwd=tmp_path)
    client.end(800)
    report = json.loads((tmp_path / "reports/index.json").read_text(encoding="utf-8"))["step 3"]
    assert len(report) > 200
    failed = {case for case, what in report.items() if what["behavior"] == "FAILED"}
    assert failed <= KNOWN, f"Autobahn's cases {sorted(failed - KNOWN)} fail"
