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
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
LOGS = REPO / "build" / "legs"
ALL_TARGETS = {path.name for path in (REPO / "tests/integration/targets").iterdir() if path.name[:6] != "setup_"}
EVERYTHING = "-m '' tests/unit"
# What depends on ansible-core runs on the oldest and the newest in make test, and not in its leg "unit": front ends that run in ansible-core
# itself, what depends on the Python and its OpenSSL as well. Modules and filters take little of it, so one of both is enough for them. The
# recipes and the commands of all pages take six minutes of a processor: in make test some of them run on the newest, in the matrix all on all.
ON_ANSIBLE = [
    "tests/unit/trust/test_tls.py",
    "tests/unit/trust/test_hostile_names.py",
]
ON_ANSIBLE += [f"tests/unit/plugins/{name}" for name in ("action", "inventory", "lookup")]
ON_OLDEST = [*ON_ANSIBLE, "tests/unit/plugins/modules"]
ON_NEWEST = [
    *ON_ANSIBLE,
    *(f"tests/unit/{name}" for name in ("plugins/filter", "docs/test_commands.py", "docs/test_recipes.py")),
]
ELSEWHERE = dict.fromkeys(ON_OLDEST + ON_NEWEST)
MAX_SECONDS = 3600
"""A leg that takes longer hangs. It is ended with all that it started."""


@dataclass(frozen=True)
class Leg:
    """One call of make.

    :ivar targets: for make, one after the other; one that fails does not stop the others.
    :ivar pythons: the first of these versions that is found here is used; none for the one of .venv.
    :ivar variables: for make.
    :ivar targets_run: the integration targets that must have run in it.
    """

    name: str
    targets: tuple[str, ...]
    pythons: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    targets_run: frozenset[str] = frozenset()


def on_core(name: str, pythons: tuple[str, ...], group: str, tests: str, targets: set[str] = ALL_TARGETS) -> Leg:
    """Unit tests and integration targets on one ansible-core, which the group in pyproject.toml names."""
    variables = {"VENV": f".venv-{name}", "GROUP": group, "UNIT_TESTS": tests, "TARGETS": " ".join(sorted(targets))}
    return Leg(name, ("some-unit", "integration"), pythons, variables, frozenset(targets))


OLDEST, NEWEST = ("3.10", "3.11", "3.12"), ("3.13", "3.12")
# Each target runs on the oldest or the newest ansible-core in make test, all on all in the matrix.
OF_NEWEST = {"failover_plan", "failover_session_lookup", "failover_verdict", "role_failover_report"}
# In an execution environment one target is enough: it imports all that users need besides. The matrix runs all there, too.
OF_ARTIFACT = {"failover_session_info"}
LEGS = {
    # The longest first, so that none is left over at the end.
    "test": [
        Leg("unit", ("unit",), (), {"ELSEWHERE": " ".join(ELSEWHERE)}),
        on_core("core-2.16", OLDEST, "floor", " ".join(ON_OLDEST), ALL_TARGETS - OF_NEWEST - OF_ARTIFACT),
        on_core("core-2.21", NEWEST, "test", " ".join(ON_NEWEST), OF_NEWEST),
        # What pylint finds, ruff and mypy mostly find as well, in a tenth of the time.
        Leg("checks", ("lint", "docs-lint", "docs", "sanity"), (), {"SANITY": "--skip-test pylint"}),
        Leg("artifact", ("ee",), (), {"TARGETS": " ".join(OF_ARTIFACT)}, frozenset(OF_ARTIFACT)),
    ],
    "matrix": [
        on_core("core-2.16", OLDEST, "floor", EVERYTHING),
        on_core("core-2.19", ("3.11",), "test", EVERYTHING),
        on_core("core-2.21", NEWEST, "test", EVERYTHING),
        Leg("checks", ("sanity",)),
        # Most of what Galaxy checks is ansible-lint, which make test runs as well.
        Leg("artifact", ("ee", "import-check"), targets_run=frozenset(ALL_TARGETS)),
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
        ran = f"{len(targets_run(self.log))} targets, {tasks} tasks" if tasks else "–"
        libraries = f"{requests}, {xmltodict}" if versions else "–"
        took = f"{self.seconds:.0f} s"
        return self.leg.name, core, python, libraries, " + ".join(tests) or "–", ran, took, self.result


def targets_run(log: str) -> set[str]:
    """The integration targets that a log says were started: ansible-test says nothing, and passes, if it finds none."""
    return set(re.findall(r"^Running (\S+) integration test role$", log, re.MULTILINE))


def path_of(version: str) -> str | None:
    """The Python of a version, such as 3.13, that runs here."""
    # pyenv's shims of versions that are not selected are on PATH but do not run, so its folders are looked into too.
    pyenv = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python")))
    for candidate in (sys.executable, f"python{version}", *pyenv):
        command = [candidate, "-c", "import sys, ensurepip; print('%d.%d' % sys.version_info[:2], sys.executable)"]
        try:
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(None, 1)
        except (OSError, subprocess.CalledProcessError):
            continue
        if found[0] == version:
            return found[1].strip()
    return None


_terminal = threading.Lock()


def say(*lines: str) -> None:
    with _terminal:
        print(*lines, sep="\n", flush=True)


def bounded(command: list[str], **options: Any) -> int:
    """Run a command in a session of its own, of which nothing is left if it takes too long or is interrupted."""
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        try:
            return process.wait(MAX_SECONDS)
        except BaseException as exc:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(exc, subprocess.TimeoutExpired):
                raise
            return 124


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
        command = ["make", "--keep-going", *leg.targets, *(f"{name}={value}" for name, value in variables.items())]
        status = bounded(command, cwd=REPO, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    text = path.read_text(encoding="utf-8", errors="replace")
    result = "passed" if status == 0 else "FAILED"
    if missing := leg.targets_run - targets_run(text):
        result = (
            f"FAILED: {len(missing)} of {len(leg.targets_run)} integration targets did not run"
            if status == 0
            else result
        )
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
    # Two more than processors: real playbooks wait for half of their time.
    parser.add_argument("--jobs", type=int, default=(os.cpu_count() or 1) + 2, help="legs that run at once")
    options = parser.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    # Who has one Python only can test as well; what others rely on must have run on all.
    of_matrix = {"CI": "true", "HYPOTHESIS_PROFILE": "matrix"} if options.legs == "matrix" else {}
    environment = {**os.environ, **of_matrix}
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(partial(run, environment=environment), LEGS[options.legs]))
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
