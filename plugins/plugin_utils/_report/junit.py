# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as JUnit XML, for CI: a suite each for the run, its targets, its VMs and the application checks.

What is not known is an error, and what was not judged is skipped: neither counts as passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree import ElementTree

from ...module_utils._failover.times import parse_time
from .._document.text import escape_control_chars
from .record import verdict_of
from .tables import VmRow, target_rows

FAILURE, ERROR, SKIPPED = "failure", "error", "skipped"


class Case(NamedTuple):
    """A test case.

    :ivar outcome: FAILURE, ERROR, SKIPPED, or None if it passed.
    :ivar seconds: how long it took, if that is known.
    """

    name: str
    outcome: str | None = None
    text: str = ""
    seconds: float | None = None


def junit_text(record: Mapping[str, Any], name: str, vms: Sequence[VmRow]) -> str:
    """
    :arg name: that of the report.
    """
    session, plan = record["session"], _line(record["session"].get("name") or "plan without a name")
    suites = {
        "Run": [_verdict_case(record)],
        "Targets": list(_target_cases(record, vms)),
        "Virtual machines": [_vm_case(record, vm) for vm in vms],
        "Application checks": [_check_case(check) for check in record["context"]["checks"]],
    }
    root = ElementTree.Element("testsuites", {"name": f"Report {name}", **_counts(sum(suites.values(), []))})
    for suite, cases in suites.items():
        if not cases:
            continue
        attributes = {"name": f"{plan}: {suite}", **_counts(cases)}
        start = parse_time(session.get("creation_time"))
        if start:
            attributes["timestamp"] = f"{start:%Y-%m-%dT%H:%M:%S}"
        element = ElementTree.SubElement(root, "testsuite", attributes)
        if suite == "Run":
            properties = ElementTree.SubElement(element, "properties")
            for key, value in (("report", name), ("session", session["id"]), ("kind", record["kind"]["kind"])):
                ElementTree.SubElement(properties, "property", {"name": key, "value": _line(value or "not recorded")})
        used: Counter[str] = Counter()
        for case in cases:
            element.append(_case(f"{plan}.{suite}", case, used))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(classname: str, case: Case, used: Counter[str]) -> ElementTree.Element:
    """Programs tell cases apart by class and name, so a name that comes again gets a number."""
    shown = _line(case.name) or "without a name"
    used[shown] += 1
    shown = shown if used[shown] == 1 else f"{shown} ({used[shown]})"
    attributes = {"classname": classname, "name": shown}
    if case.seconds is not None:
        attributes["time"] = f"{case.seconds:.3f}"
    element = ElementTree.Element("testcase", attributes)
    if case.outcome:
        text = escape_control_chars(case.text)
        found = ElementTree.SubElement(element, case.outcome, {"message": text.split("\n")[0]})
        if case.outcome != SKIPPED:
            found.set("type", "NotPassed" if case.outcome == FAILURE else "NotKnown")
            found.text = text
    elif case.text:
        ElementTree.SubElement(element, "system-out").text = escape_control_chars(case.text)
    return element


def _counts(cases: Iterable[Case]) -> dict[str, str]:
    outcomes = Counter(case.outcome for case in cases)
    counts = {"tests": sum(outcomes.values()), "failures": outcomes[FAILURE]}
    return {
        key: str(count) for key, count in {**counts, "errors": outcomes[ERROR], "skipped": outcomes[SKIPPED]}.items()
    }


def _line(text: object) -> str:
    return escape_control_chars(text).replace("\n", "[U+000A]")


def _verdict_case(record: Mapping[str, Any]) -> Case:
    verdict, seconds = verdict_of(record), record["session"].get("duration")
    if not isinstance(verdict["passed"], bool):
        return Case("Verdict", SKIPPED, "No verdict was given.", seconds)
    if verdict["passed"]:
        return Case("Verdict", seconds=seconds)
    texts = [str(reason.get("text") or reason.get("code") or "A reason without text") for reason in verdict["reasons"]]
    return Case("Verdict", FAILURE, "\n".join(texts) or "The verdict gives no reason.", seconds)


def _target_cases(record: Mapping[str, Any], vms: Sequence[VmRow]) -> Iterator[Case]:
    verdict = verdict_of(record)
    if not isinstance(verdict["passed"], bool):
        return
    if not any(verdict["targets"].get(name) for name in ("rto", "vm_rto", "rpo")):
        yield Case("RTO and RPO", SKIPPED, "No RTO or RPO target was set.")
    for row in target_rows(record, vms):
        text = f"Target: {row['wanted']}\nAchieved: {row['achieved']}"
        outcome = {True: None, False: FAILURE}.get(row["met"], SKIPPED)
        yield Case(row["name"], outcome, f"Not judged. {text}" if outcome == SKIPPED else text)


def _vm_case(record: Mapping[str, Any], vm: VmRow) -> Case:
    """Of the verdict if there is one, else of the result in EM."""
    seconds, message = vm.task.get("duration"), vm.task.get("failure_message")
    missed = [word for met, word in vm.targets() if met is False]
    text = "\n".join(str(part) for part in (vm.word, ", ".join(missed), message) if part)
    if vm.status == "failed" or vm.passed is False:
        return Case(vm.name, FAILURE, text, seconds)
    if vm.status in ("success", "warning"):
        unjudged = record["verdict"] and vm.passed is None
        return Case(vm.name, SKIPPED if unjudged else None, f"Not judged. {text}" if unjudged else text, seconds)
    return Case(vm.name, ERROR, text, seconds)


def _check_case(check: Mapping[str, Any]) -> Case:
    name = f"{check['vm']}: {check['check']}" if check["vm"] else check["check"]
    by = f"Checked by {check['by']}" if check["by"] else None
    text = "\n".join(part for part in (check["message"], by) if part)
    if check["passed"] is None:
        return Case(name, ERROR, "\n".join(part for part in ("The outcome is not known.", text) if part))
    return Case(
        name, None if check["passed"] else FAILURE, text or ("" if check["passed"] else "The check did not pass.")
    )
