# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history in a SQLite file, without Ansible and without EM: history.py SESSIONS MORE

Records SESSIONS sessions of 10 VMs at once, then as many more as make it MORE in all, and reads 100 runs of one plan five times.
Prints JSON: seconds for the first append, seconds of each reading, bytes on disk for 1,000 sessions.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import time
import types
from pathlib import Path

package = types.ModuleType("core")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "plugins" / "module_utils")]
sys.modules["core"] = package
records = importlib.import_module("core._history.records")
open_store = importlib.import_module("core._history.store").open_store
SessionCriteria = importlib.import_module("core._failover.criteria").SessionCriteria

RUNS = 100
"""Sessions of each plan."""
GUID = "d045-4493-9869-0a970e08f6f9"
AT = "2026-03-01T00:00:00.000000Z"
ENDED = {
    "state": "Stopped",
    "result": "Success",
    "failure_message": None,
    "creation_time": AT,
    "end_time": "2026-03-01T00:18:40.000000Z",
    "duration": 1120.0,
    "finished": True,
    "succeeded": True,
}
VMS = [
    {
        "vm_name": f"abc-filesrv{number:02d}",
        **ENDED,
        "replica_point": {
            "id": f"{number:08d}-{GUID}",
            "name": "as of 2026-02-28 22:00:15",
            "creation_time": None,
            "state": None,
        },
    }
    for number in range(10)
]


def session(number: int, plans: int) -> records.NewRecord:
    guid = f"{number:08d}-{GUID}"
    facts = {
        "id": guid,
        "uid": f"urn:veeam:CloudFailoverSession:{guid}",
        "name": f"ABC Company Failover Plan {number % plans}",
        "job_type": "CloudFailover",
        "backup_server": {"id": f"00000001-{GUID}", "name": "sp-vbr1.example.net"},
        **ENDED,
        "creation_time": f"2026-03-{number // 86400 % 28 + 1:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000000Z",
        "tasks": VMS,
        "task_summary": {"total": 10, "success": 10, "warning": 0, "failed": 0, "running": 0, "other": 0},
    }
    return records.NewRecord("session", records.subject_of("em.example.com", guid), AT, facts)


def main(first: int, more: int) -> None:
    plans = more // RUNS
    with tempfile.TemporaryDirectory(prefix="veeam-em-bench-") as folder:
        path = f"{folder}/history.db"
        with open_store(path, create=True) as store:
            new = [session(number, plans) for number in range(first)]
            start = time.perf_counter()
            counts = store.append(new)
            recorded = time.perf_counter() - start
            size = os.path.getsize(path)
            for begin in range(first, more, first):
                store.append(session(number, plans) for number in range(begin, min(begin + first, more)))
            criteria = SessionCriteria.from_options({"name": ["ABC Company Failover Plan 7"], "limit": RUNS}.get)
            reading = []
            for _round in range(5):
                start = time.perf_counter()
                found = store.sessions(criteria)
                reading.append(time.perf_counter() - start)
    if (counts, len(found)) != ({"session": first}, RUNS):
        sys.exit(f"Recorded {counts}, found {len(found)}")
    figures = {"sessions": first, "of": more, "recorded": recorded, "reading": reading, "size": size / first * 1000}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
