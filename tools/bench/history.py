# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A year of a history in a SQLite file, without Ansible and without EM: history.py FILE SESSIONS MORE

Records SESSIONS sessions of 10 VMs with their restore points at once in a new file, then as many more as make it MORE in all (with
the restore points of one plan, whose runs are read), and a look for each hour of a year.
Prints JSON: seconds for the first append, bytes on disk for 1,000 sessions.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import time
import types
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

package = types.ModuleType("core")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "plugins" / "module_utils")]
sys.modules["core"] = package
records = importlib.import_module("core._history.records")
open_store = importlib.import_module("core._history.store").open_store
format_time = importlib.import_module("core._failover.times").format_time

RUNS = 100
"""Sessions of each plan."""
PLAN = 7
"""The plan whose runs are read."""
VMS = 10
LOOKS = 365 * 24
"""Looks, one each hour, in which all sessions were recorded."""
EM = "em.example.com"
YEAR = datetime(2025, 3, 1, tzinfo=timezone.utc)
GUID = "d045-4493-9869-0a970e08f6f9"


def text(seconds: float) -> str:
    return str(format_time(YEAR + timedelta(seconds=seconds)))


def session(number: int, sessions: int) -> records.NewRecord:
    """One of the sessions of a year. Each VM of each of them used a restore point of its own."""
    start = number * LOOKS * 3600 // sessions
    ended = {
        "state": "Stopped",
        "result": "Success",
        "failure_message": None,
        "creation_time": text(start),
        "end_time": text(start + 1120),
        "duration": 1120.0,
        "finished": True,
        "succeeded": True,
    }
    guid = f"{number:08x}-{GUID}"
    facts = {
        "id": guid,
        "uid": f"urn:veeam:CloudFailoverSession:{guid}",
        "name": f"ABC Company Failover Plan {number % (sessions // RUNS)}",
        "job_type": "CloudFailover",
        "backup_server": {"id": f"00000001-{GUID}", "name": "sp-vbr1.example.net"},
        **ended,
        "tasks": [
            {
                "vm_name": f"abc-filesrv{vm:02d}",
                **ended,
                "replica_point": {"id": point(number, vm), "name": "as of 2026-02-28 22:00:15"},
            }
            for vm in range(VMS)
        ],
        "task_summary": {"total": VMS, "success": VMS, "warning": 0, "failed": 0, "running": 0, "other": 0},
    }
    return records.NewRecord("session", records.subject_of(EM, guid), text(start + 3600), facts)


def point(number: int, vm: int) -> str:
    return f"{number * VMS + vm:08x}-{GUID}"


def points(number: int) -> Iterator[records.NewRecord]:
    """The restore points of one of the sessions."""
    for vm in range(VMS):
        guid = point(number, vm)
        facts = {
            "id": guid,
            "name": f"abc-filesrv{vm:02d}@2026-02-28 22:00:15",
            "creation_time": text(0),
            "state": "Ready",
            "vm_name": f"abc-filesrv{vm:02d}",
            "backup_server": {"id": f"00000001-{GUID}", "name": "sp-vbr1.example.net"},
        }
        yield records.NewRecord("points", records.subject_of(EM, guid), text(3600), facts)


def look(hour: int, sessions: int) -> records.NewRecord:
    """What a look records: the restore points of all sessions that have ended in this hour were Ready."""
    first, last = (math.ceil((end * 3600 - 1120) * sessions / LOOKS / 3600) for end in (hour, hour + 1))
    at = text((hour + 1) * 3600)
    facts = {
        "user": "DR\\robot",
        "url": f"https://{EM}:9398",
        "source": "query",
        "created_after": None,
        "clock": "em",
        "collected_at": text((hour + 1) * 3600 - 60),
        "complete": True,
        "missing": [],
        "sessions": {"count": last, "digest": "0" * 64},
        "plans": {"count": sessions // RUNS, "digest": "1" * 64},
        "points": {"Ready": [point(number, vm) for number in range(max(0, first), last) for vm in range(VMS)]},
    }
    return records.NewRecord("look", records.subject_of(EM, at), at, facts)


def main(path: str, first: int, more: int) -> None:
    with open_store(path, create=True) as store:
        new = [session(number, more) for number in range(first)]
        new += [record for number in range(first) for record in points(number)]
        start = time.perf_counter()
        counts = store.append(new)
        recorded = time.perf_counter() - start
        size = os.path.getsize(path)
        for begin in range(first, more, first):
            store.append(session(number, more) for number in range(begin, min(begin + first, more)))
        store.append(record for number in range(PLAN, more, more // RUNS) for record in points(number))
        store.append(look(hour, more) for hour in range(LOOKS))
    if counts != {"session": first, "points": first * VMS}:
        sys.exit(f"Recorded {counts}")
    print(json.dumps({"sessions": first, "of": more, "recorded": recorded, "size": size / first * 1000}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
