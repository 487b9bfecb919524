# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write build/fault-matrix.md from the outcomes that test_fault_matrix.py and test_run_faults.py leave in build/fault-matrix.

docs/quality.md has the number of faults with each outcome. With --check these are compared instead of written.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
RESULTS = REPO / "build" / "fault-matrix"
PAGE = REPO / "build" / "fault-matrix.md"
SUMMARY = REPO / "docs" / "quality.md"
BEGIN = "<!-- faults, written by make fault-matrix -->\n"
END = "<!-- end of faults -->\n"
FRONT_ENDS = {"module": "Module", "lookup": "Lookup", "inventory": "Inventory"}
RUNS = {"start": "Start", "test": "Test", "undo": "Undo", "wait": "Wait", "plans": "Plans"}

HEAD = """\
# Fault matrix

{faults} faults on the way to Enterprise Manager (EM), each tested with the module `failover_session_info`. The lookup and the inventory
share its client and its reader. So they are tested with {everywhere} of the faults, at least one for each way that a reading can end; "-" means
that a fault was not tested there. **With the emulator only, never with a live EM:** the page shows what the collection does if a
server behaves so, not which faults a live EM has.

- Each run reads 7 sessions of two VMs in three pages (`page_size` 3, `retries` 2, `timeout` 1 where answers are slow, else 5).
- `complete`: every session and VM came, compared with the emulator's. `fails`: nothing came but an error of this `error.kind`; the lookup
  and the inventory say it in their sentence.
- Every run logged off, except where a warning said that a logon may be open, and where capitals say it.
- Capitals mark what goes unnoticed: a logoff wrongly answered with 401 or 404, and pages that are among the
  assumptions without a net in docs/evidence.md.
- No text showed the password, the Basic value or a token; no cookie was sent; nothing went to another host. No run sent more than
  25 requests.
- Times in facts are EM's own; ages such as `2h` count by the clock where Ansible runs. Pauses between attempts are not waited for.

The [second table](#runs-of-plans) is about starting, testing and undoing a plan, and waiting.

Seconds are rounded up: {cores} cores, Python {python}. `make fault-matrix` makes this page.
"""

RUNS_HEAD = """
## Runs of plans

{faults} faults on the steps of a run. "-" means that the fault was not tried there.

- `Test` is the module `failover_plan` alone and meets all faults; the others meet a few of each kind. `Undo` is the same module. `Start` is a
  task with its live progress, as in a playbook, and so is `Wait` (`failover_session_wait`). `Plans` is `failover_plan_info`. `retries` is 1,
  waits may take 150 seconds.
- The steps: log on; read the plan (`plans`); check for running sessions (`check`); send the action (`request`); read EM's
  task (`task`) and the sessions of the plan (`new sessions`) until the own one is known; read that (`session`) until its end; log off.
- `complete`: the run was found and followed to its end, its facts are those of the emulator. An undo is complete when EM's task is.
- `fails`: the kind of the error; `changed` means that the result says that EM may have carried the action out. Where it is not there,
  EM did nothing.
- No task ever made EM start, test or undo a plan twice. What is said above of logons, secrets and other hosts holds here too.
- An undo has no session that could be found again, so a task that is lost with its logon leaves it in doubt.

"""


def rows(table: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Results by fault and front end, in the order of the table of faults."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in (RESULTS / table).glob("*.json")]
    by_fault: dict[str, dict[str, dict[str, Any]]] = {}
    for row in sorted(found, key=lambda row: row["number"]):
        by_fault.setdefault(row["fault"], {})[row["front_end"]] = row
    return by_fault


def table(by_fault: dict[str, dict[str, dict[str, Any]]], columns: dict[str, str]) -> list[str]:
    lines = [f"| Fault | {' | '.join(columns.values())} |", f"|---{'|---' * len(columns)}|"]
    for fault, results in by_fault.items():
        cells = [
            f"{row['outcome']}, {_rounded_up(row['seconds']):.1f} s" if row else "-"
            for row in map(results.get, columns)
        ]
        lines.append(f"| {' | '.join([fault, *cells])} |")
    return lines


def page(reads: dict[str, dict[str, dict[str, Any]]], runs: dict[str, dict[str, dict[str, Any]]]) -> str:
    python = platform.python_version()
    everywhere = sum(set(results) == set(FRONT_ENDS) for results in reads.values())
    head = HEAD.format(faults=len(reads), everywhere=everywhere, cores=os.cpu_count(), python=python)
    lines = [head, *table(reads, FRONT_ENDS)]
    lines += [RUNS_HEAD.format(faults=len(runs)).removesuffix("\n"), *table(runs, RUNS)]
    return "\n".join(lines) + "\n"


def _rounded_up(seconds: float) -> float:
    return math.ceil(seconds * 10) / 10


def summary(reads: dict[str, dict[str, dict[str, Any]]], runs: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The number of faults with each outcome: of reads by the module, of runs by all front ends."""
    of_reads = Counter(_plain(results["module"]["outcome"]) for results in reads.values())
    of_runs = Counter(_plain(row["outcome"]) for results in runs.values() for row in results.values())
    lines = [
        "",
        f"| Outcome | {sum(of_reads.values())} reads with a fault | {sum(of_runs.values())} runs with a fault |",
        "|---|---|---|",
    ]
    for outcome in sorted({*of_reads, *of_runs}):
        lines.append(f"| {outcome} | {of_reads[outcome] or '-'} | {of_runs[outcome] or '-'} |")
    return "\n".join([*lines, "", ""])


def _plain(outcome: str) -> str:
    if "UNSAID" in outcome:
        return "unnoticed"
    return outcome.replace(" (warning: logon may be open)", ", with a warning that a logon may be open")


def main(arguments: list[str]) -> int:
    reads, runs = rows("reads"), rows("runs")
    incomplete = [fault for fault, results in reads.items() if set(results) not in ({"module"}, set(FRONT_ENDS))]
    if incomplete or not reads or not runs:
        print(f"There are no results{' of ' + ', '.join(incomplete) if incomplete else ''}: run make fault-matrix")
        return 1
    PAGE.write_text(page(reads, runs), encoding="utf-8")
    text = SUMMARY.read_text(encoding="utf-8")
    before, _begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not end:
        print(f"{SUMMARY} has no place for the summary")
        return 1
    made = f"{before}{BEGIN}{summary(reads, runs)}{END}{after}"
    if "--check" not in arguments:
        SUMMARY.write_text(made, encoding="utf-8")
        return 0
    if made != text:
        print(summary(reads, runs))
        print("docs/quality.md and the tests differ: check the difference, then run make fault-matrix")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
