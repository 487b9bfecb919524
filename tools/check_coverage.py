# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fail unless the core files reach 95 % of branches and of lines in a coverage report (JSON)."""

from __future__ import annotations

import json
import sys

CORE = (
    "_client.py",
    "_transport.py",
    "_xml.py",
    "_query.py",
    "_criteria.py",
    "_failover_session.py",
    "_failover_plan.py",
    "_failover_run.py",
    "_em_task.py",
    "_replica_points.py",
    "_wait.py",
    "_changes.py",
    "_verdict.py",
)
NEEDED = 95.0


def main(path: str) -> int:
    with open(path, encoding="utf-8") as report:
        files = json.load(report)["files"]
    too_low = 0
    for name in CORE:
        summary = next(entry["summary"] for file, entry in files.items() if file.endswith(f"module_utils/{name}"))
        branches = 100.0 * summary["covered_branches"] / summary["num_branches"]
        lines = 100.0 * summary["covered_lines"] / summary["num_statements"]
        print(f"{name:22} branches {branches:5.1f} %  lines {lines:5.1f} %")
        too_low += min(branches, lines) < NEEDED
    if too_low:
        print(f"{too_low} of the core files have less than {NEEDED} %")
    return 1 if too_low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
