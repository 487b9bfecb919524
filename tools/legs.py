# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the legs of the tests side by side: legs.py test|matrix [--jobs N]

A leg is one call of make. Its output goes to build/legs/NAME.log and is shown whole when the leg ends, so that legs do
not mix. A leg that fails does not stop the others; the exit status is 1 then. A leg whose Python is not on this machine is
left out and named; in the matrix and with CI in the environment that is a failure. The tests of ansible-rulebook look at CI,
too, which the matrix sets: without Java they are left out, or fail. At the end comes a table with a row for each leg, which
is kept in build/test.md or build/matrix.md.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from find_python import path_of

REPO = Path(__file__).resolve().parent.parent
LOGS = REPO / "build" / "legs"
TARGETS = len([path for path in (REPO / "tests/integration/targets").iterdir() if not path.name.startswith("setup_")])
EVERYTHING = "-m '' tests/unit"
# What needs ansible-core. The rest runs on the versions of requirements-test.txt only, in the leg "unit", and everything in the matrix.
ON_ANSIBLE = " ".join(
    [f"tests/unit/plugins/{name}" for name in ("action", "filter", "inventory", "lookup", "modules", "plugin_utils")]
    + ["tests/unit/extensions"]
)
# Whole workflows, node after node, take minutes. They run on the oldest core here, and on all in the matrix.
NO_WORKFLOWS = "--ignore=tests/unit/extensions/test_awx_workflow.py"


@dataclass(frozen=True)
class Leg:
    """One call of make.

    :ivar targets: for make, one after the other; one that fails does not stop the others.
    :ivar pythons: the first of these versions that is found here is used; none for the one of .venv.
    :ivar variables: for make.
    :ivar integration: whether all integration targets must have run in it.
    :ivar alone: whether nothing may run beside it: the trust tests see to it that a run ends in time.
    """

    name: str
    targets: tuple[str, ...]
    pythons: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    integration: bool = False
    alone: bool = False


def on_core(name: str, pythons: tuple[str, ...], requirements: str, tests: str) -> Leg:
    """Unit tests and all integration targets on one ansible-core, which the requirements name."""
    variables = {"VENV": f".venv-{name}", "REQUIREMENTS": requirements, "UNIT_TESTS": tests}
    return Leg(name, ("some-unit", "integration"), pythons, variables, integration=True)


LEGS = {
    # After what runs alone the longest first, so that none is left over at the end.
    "test": [
        Leg("unit", ("unit",), variables={"UNIT_ARGS": NO_WORKFLOWS}, alone=True),
        on_core("core-2.16", ("3.10", "3.11", "3.12"), "requirements-floor.txt", ON_ANSIBLE),
        on_core("core-2.21", ("3.13", "3.12"), "requirements-test.txt", f"{ON_ANSIBLE} {NO_WORKFLOWS}"),
        Leg("artifact", ("package", "ee", "import-check"), integration=True),
        Leg("checks", ("lint", "docs-lint", "docs", "sanity")),
    ],
    "matrix": [
        on_core("core-2.16", ("3.10", "3.11", "3.12"), "requirements-floor.txt", EVERYTHING),
        on_core("core-2.19", ("3.11",), "requirements-test.txt", EVERYTHING),
        on_core("core-2.21", ("3.13", "3.12"), "requirements-test.txt", EVERYTHING),
    ],
}


@dataclass
class Outcome:
    """
    :ivar passed: None where the leg could not run, since its Python is not on this machine.
    """

    leg: Leg
    passed: bool | None
    result: str
    seconds: float = 0.0
    log: str = ""

    def row(self) -> tuple[str, ...]:
        versions = re.findall(r"^VERSIONS (\S+) (\S+) (\S+) (\S+)$", self.log, re.MULTILINE)
        core, python, requests, xmltodict = versions[-1] if versions else ("–",) * 4
        tests = re.findall(r"^=*\s*((?:\d+ \w+, )*\d+ passed.*?) in [\d.]+s", self.log, re.MULTILINE)
        tasks = sum(map(int, re.findall(r"^testhost +: ok=(\d+)", self.log, re.MULTILINE)))
        ran = f"{targets_run(self.log)} targets, {tasks} tasks" if tasks else "–"
        libraries = f"{requests}, {xmltodict}" if versions else "–"
        took = f"{self.seconds:.0f} s"
        return self.leg.name, core, python, libraries, tests[-1] if tests else "–", ran, took, self.result


def targets_run(log: str) -> int:
    """How many integration targets a log says have begun: ansible-test says nothing, and passes, if it finds none."""
    return len(re.findall(r"^Running \S+ integration test role$", log, re.MULTILINE))


_terminal = threading.Lock()


def say(*lines: str) -> None:
    with _terminal:
        print(*lines, sep="\n", flush=True)


def run(leg: Leg, environment: dict[str, str]) -> Outcome:
    variables = dict(leg.variables)
    if leg.pythons:
        found = {version: path for version in leg.pythons if (path := path_of(version))}
        if not found:
            return Outcome(leg, None, f"NOT RUN: Python {' or '.join(leg.pythons)} is not here")
        version, variables["PYTHON"] = next(iter(found.items()))
        variables["VENV"] += f"-py{version}"  # a venv keeps its Python, whatever PYTHON says
    path = LOGS / f"{leg.name}.log"
    say(f"leg {leg.name} begins: make {' '.join(leg.targets)}, log in {path.relative_to(REPO)}")
    began = time.monotonic()
    with path.open("wb") as log:
        status = subprocess.run(
            ["make", "--keep-going", *leg.targets, *(f"{name}={value}" for name, value in variables.items())],
            cwd=REPO,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    text = path.read_text(encoding="utf-8", errors="replace")
    result = "passed" if status == 0 else "FAILED"
    if status == 0 and leg.integration and targets_run(text) != TARGETS:
        result = f"FAILED: {targets_run(text)} of {TARGETS} integration targets have run"
    outcome = Outcome(leg, result == "passed", result, time.monotonic() - began, text)
    line = f"===== leg {leg.name}: {result} after {outcome.seconds:.0f} s ====="
    say(f"===== leg {leg.name} =====", text.rstrip(), line)
    return outcome


def table(outcomes: list[Outcome]) -> str:
    head = ("Leg", "ansible-core", "Python", "requests, xmltodict", "Unit tests", "Integration", "Time", "Result")
    rows = [head, ("---",) * len(head), *(outcome.row() for outcome in outcomes)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the legs of the tests side by side.")
    parser.add_argument("legs", choices=LEGS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="legs that run at once")
    options = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    legs = sorted(LEGS[options.legs], key=lambda leg: not leg.alone)
    # Who has one Python only can test as well; what others rely on must have run on all.
    environment = {**os.environ, **({"CI": "true"} if options.legs == "matrix" else {})}
    alone = [run(leg, environment) for leg in legs if leg.alone]
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = [*alone, *pool.map(partial(run, environment=environment), legs[len(alone) :])]
    text = table(outcomes)
    (REPO / "build" / f"{options.legs}.md").write_text(text + "\n", encoding="utf-8")
    all_must_run = bool(environment.get("CI"))
    failed = [o.leg.name for o in outcomes if o.passed is False or (o.passed is None and all_must_run)]
    not_run = [f"{o.leg.name} was {o.result}." for o in outcomes if o.passed is None]
    passed = f"All {len(outcomes) - len(not_run)} legs that ran have passed."
    say("", text, "", *not_run, f"FAILED: {', '.join(failed)}" if failed else passed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
