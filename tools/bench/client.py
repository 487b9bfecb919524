# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's client without Ansible: client.py list|each|one-page-at-a-time|save

``list`` makes the list of all facts, as the module does; ``one-page-at-a-time`` too, with a ``limit`` that is never reached,
for which no pages are prefetched; ``each`` takes facts one by one and keeps none; ``save`` writes them to a file, for the
playbook ready.yml. Prints JSON: seconds after imports, and how many sessions and VMs came.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import types
from pathlib import Path

package = types.ModuleType("core")
package.__path__ = [str(Path(__file__).resolve().parents[2] / "plugins" / "module_utils")]
sys.modules["core"] = package
EnterpriseManager = importlib.import_module("core._api.client").EnterpriseManager
SessionCriteria = importlib.import_module("core._failover.criteria").SessionCriteria
SessionReader = importlib.import_module("core._failover.sessions").SessionReader


def main(how: str) -> None:
    start = time.perf_counter()
    connection = {name: os.environ[f"VEEAM_EM_{name.upper()}"] for name in ("url", "username", "password", "ca_path")}
    options = {"limit": 1_000_000_000} if how == "one-page-at-a-time" else {}
    criteria = SessionCriteria.from_options(options.get)
    sessions = vms = 0
    with EnterpriseManager(**connection) as client:
        reader = SessionReader(client)
        facts = reader.iter_sessions(criteria) if how == "each" else reader.list_sessions(criteria).sessions
        for fact in facts:
            sessions += 1
            vms += len(fact["tasks"])
    if how == "save":
        Path(os.environ["BENCH_READY_FACTS"]).write_text(json.dumps(facts), encoding="utf-8")
    print(json.dumps({"seconds": time.perf_counter() - start, "sessions": sessions, "vms": vms}))


if __name__ == "__main__":
    main(sys.argv[1])
