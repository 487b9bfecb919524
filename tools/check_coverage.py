# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fail unless the core files reach 95 % of branches and of lines in a coverage report (JSON)."""

from __future__ import annotations

import json
import sys

CORE = ("_api/", "_failover/", "_verdict/", "_events/")
"""Folders of plugins/module_utils whose files all count."""
NEEDED = 95.0


def main(path: str) -> int:
    with open(path, encoding="utf-8") as report:
        files = json.load(report)["files"]
    too_low = 0
    core = {
        file.partition("module_utils/")[2]: entry["summary"]
        for file, entry in files.items()
        if "module_utils/_" in file
    }
    for name, summary in sorted(core.items()):
        if not name.startswith(CORE):
            continue
        branches = 100.0 * summary["covered_branches"] / summary["num_branches"] if summary["num_branches"] else 100.0
        lines = 100.0 * summary["covered_lines"] / summary["num_statements"]
        print(f"{name:32} branches {branches:5.1f} %  lines {lines:5.1f} %")
        too_low += min(branches, lines) < NEEDED
    if too_low:
        print(f"{too_low} of the core files have less than {NEEDED} %")
    return 1 if too_low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
