# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make docs/fault-matrix.md of what tests/unit/trust/test_fault_matrix.py has left in build/fault-matrix.

With --check the page is compared with it instead, seconds and machine left out.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
RESULTS = REPO / "build" / "fault-matrix"
PAGE = REPO / "docs" / "fault-matrix.md"
FRONT_ENDS = ("module", "lookup", "inventory")

HEAD = """\
# Fault matrix

{faults} faults on the way to Enterprise Manager (EM), each tried on the module, the lookup and the inventory. **With the emulator
only, never with a live EM:** the page shows what the collection does if a server behaves so, not which faults a live EM has.

- Each run reads 7 sessions of two VMs in three pages (`page_size` 3, `retries` 2, `timeout` 1 where answers are slow, else 5).
- `complete`: every session and VM came, compared with the emulator's. `fails`: nothing came but an error of this `error.kind`.
- Every run logged off from all its logons, except where a warning said that a logon may be open, and where capitals say it.
- Capitals mark what goes unnoticed: a log off wrongly answered with 401 or 404, and pages that are among the
  [assumptions without a net](evidence.md#assumptions-without-a-net).
- No text showed the password, the Basic value or a token; no cookie was sent; nothing went to another host.
- Times in facts are EM's own; ages such as `2h` count by the clock where Ansible runs. Pauses between attempts are left out.

Seconds are rounded up: {cores} cores, Python {python}. `make fault-matrix` makes this page, `make unit` compares its outcomes.
"""

SECONDS = re.compile(r", \d+\.\d s(?= \|)")
MACHINE = re.compile(r"\d+ cores, Python [\w.+]+\. ")


def rows() -> dict[str, dict[str, dict[str, Any]]]:
    """Results by fault and front end, in the order of the table of faults."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")]
    by_fault: dict[str, dict[str, dict[str, Any]]] = {}
    for row in sorted(found, key=lambda row: row["number"]):
        by_fault.setdefault(row["fault"], {})[row["front_end"]] = row
    return by_fault


def page(by_fault: dict[str, dict[str, dict[str, Any]]]) -> str:
    python = platform.python_version()
    lines = [HEAD.format(faults=len(by_fault), cores=os.cpu_count(), python=python)]
    lines += ["| Fault | Module | Lookup | Inventory |", "|---|---|---|---|"]
    for fault, results in by_fault.items():
        cells = [
            f"{row['outcome']}, {_rounded_up(row['seconds']):.1f} s" for row in map(results.get, FRONT_ENDS) if row
        ]
        lines.append(f"| {' | '.join([fault, *cells])} |")
    return "\n".join(lines) + "\n"


def _rounded_up(seconds: float) -> float:
    return math.ceil(seconds * 10) / 10


def comparable(text: str) -> list[str]:
    return MACHINE.sub("", SECONDS.sub("", text)).splitlines()


def main(arguments: list[str]) -> int:
    by_fault = rows()
    incomplete = [fault for fault, results in by_fault.items() if set(results) != set(FRONT_ENDS)]
    if incomplete or not by_fault:
        print(f"There are no results{' of ' + ', '.join(incomplete) if incomplete else ''}: run make fault-matrix")
        return 1
    made = page(by_fault)
    if "--check" not in arguments:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    difference = list(difflib.unified_diff(comparable(written), comparable(made), str(PAGE), "tests", n=0, lineterm=""))
    if difference:
        print("\n".join(difference))
        print("The page and the tests differ: look at the difference, then run make fault-matrix")
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
