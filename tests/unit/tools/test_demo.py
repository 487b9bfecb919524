# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of "make demo" have each field that auditors look for: filled from facts, or "not recorded" where nobody gave it."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_duration
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._document.text import display_time
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import VALIDATOR, Page
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.test_fields import FIELDS
from programs import REPO, ansible_environment, run

NOBODY = "not recorded"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Record and page of the drill and of the failover of "make demo", by their actions. The commands are read from the Makefile."""
    folder = tmp_path_factory.mktemp("demo")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    recipe = run(["make", "-n", "demo"], cwd=REPO, env=inherited).output
    start, script = re.search(
        r"(?s)(ANSIBLE_\S+=\S+ [^']*with_emulator\.py[^']* -- )[^']*sh -ec '([^']*)'", recipe
    ).groups()
    commands = [command.strip() for command in script.split(";") if "failover_report_directory=" in command]
    assert ["drill.yml" in commands[0], "demo_failover.yml" in commands[1], len(commands)] == [True, True, 2]
    text = f"{start}sh -ec {shlex.quote('; '.join(commands))}"
    for old, new in (
        (r"\S*/bin/(?=python|ansible)", f"{Path(sys.executable).parent}/"),
        (r"build/demo-report", str(folder / "reports")),
    ):
        text, number = re.subn(old, new, text)
        assert number, old
    # Not as USER: Ansible would make the temporary folder of a user who has no home, "~ada", beside the playbooks.
    environment = {**ansible_environment(folder), "SUDO_USER": "ada"}
    done = run(["sh", "-c", text], cwd=REPO, env=environment)
    assert done.returncode == 0, done.output
    # Everybody looks at it first: a warning that means nothing would look like a broken installation.
    assert "Unable to find" not in done.output
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (folder / "reports").glob("*.json")]
    return {
        record["context"]["action"]: (
            record,
            (folder / f"reports/{record['report_id']}.html").read_text(encoding="utf-8"),
        )
        for record in records
    }


NEVER_GIVEN = {
    *("Approved by", "Change", "Participants", "Type of exercise", "Scenario", "Objective", "Isolation and impact"),
    *(
        "Comment of the tester",
        "Application checks",
        "Findings:",
        "Retest",
        "Next test",
        "Comparison with the run before",
    ),
}
"""What nobody gives in the demo."""


def expected(record):
    """What is in the JSON for each field of FIELDS, and what is on the page after its label. None: the page has no such label."""
    session, context, plan, after = (record[name] for name in ("session", "context", "plan", "after_run"))
    vms = [vm["name"] for vm in plan["vms"]]
    details = {item["label"]: item["value"] for item in context["details"]}
    kind = {"test": "Test of the failover plan", "start": "Failover"}[context["action"]]
    fields = {
        "Report id": (record["report_id"],),
        "Session": (session["id"],),
        "Scope and approval Plan": (session["name"],),
        "Version of the plan": (record["plan_version"], record["plan_version"][:16]),
        "Virtual machines in scope": (vms, f"{len(vms)}: {', '.join(vms)}"),
        "Description of the plan": (plan["description"],),
        "Tenant": (plan["tenant"]["name"],),
        "Backup server": (session["backup_server"]["name"],),
        "Kind of run": (
            record["kind"]["kind"],
            f"{kind} Requested by the job, and Enterprise Manager's task links to this session.",
        ),
        "Start": (session["creation_time"], display_time(session["creation_time"])),
        "End": (session["end_time"], display_time(session["end_time"])),
        "Duration": (session["duration"], format_duration(session["duration"])),
        "Clean-up": (after["word"],),
        "Test undone": (None, None),
        "Operator": (context["operator"], f"{context['operator']} {context['operator_source']}"),
        "Approved by": (context["approved_by"],),
        "Change": (context["change_id"],),
        "Participants": (context["participants"],),
        **{
            label: (details.get(label),)
            for label in ("Type of exercise", "Scenario", "Objective", "Isolation and impact", "Comment of the tester")
        },
        "Application checks": (context["checks"],),
        "Findings:": (context["findings"],),
        "Severity Finding Action Owner Due": (None, None),
        "Deviations from the targets:": (record["verdict"]["passed"], "none found by the verdict"),
        "Retest": (record["retest"]["date"],),
        "Next test": (record["next_test"]["date"],),
        "Comparison with the run before": (context["previous"],),
        "Sign-off As Name Date Signature": ("to be signed", "Tester Owner of the plan Approver"),
    }
    return {label: (value[0], value[-1] if value[-1] or len(value) > 1 else NOBODY) for label, value in fields.items()}


@pytest.mark.parametrize("action", ["test", "start"])
def test_each_field_is_filled_or_says_that_nobody_gave_it(reports, action):
    record, html = reports[action]
    fields, text = expected(record), Page(html).text
    VALIDATOR.validate(record)
    assert set(fields) == {label for label, *dummy in FIELDS}
    for label, (dummy, shown) in fields.items():
        assert f" {label} " not in text if shown is None else f"{label} {shown}".lower() in text.lower(), label
    assert {label for label, (value, shown) in fields.items() if shown and not value} == NEVER_GIVEN
    assert {"test": "Nothing in failover", "start": "2 VMs in failover"}[action] == fields["Clean-up"][0]
    # What the job knows, and nothing else.
    assert {name for name, value in record["context"].items() if value not in (None, [])} == {
        *("action", "operator", "operator_source", "points_seen_at", "queried_at", "session_source", "undo", "url")
    }
    assert (record["context"]["operator"], record["context"]["undo"]["done"]) == ("ada", False)


@pytest.mark.parametrize("action", ["test", "start"])
def test_each_vm_has_its_times_restore_point_and_targets(reports, action):
    record, html = reports[action]
    text, verdict = Page(html).text, record["verdict"]
    assert verdict["passed"] and [vm["name"] for vm in verdict["vms"]]
    for task, vm in zip(sorted(record["session"]["tasks"], key=lambda task: task["creation_time"]), verdict["vms"]):
        point, age = task["replica_point"], format_duration(vm["rpo"]["achieved"])
        assert point["state"] == {"test": "Ready", "start": "Failover"}[action] and point["creation_time"]
        assert f"{point['name']} {age} target 4 h Met" in text
        took = format_duration(task["duration"])
        assert f"{vm['name']} Success {format_duration(vm['started_after'])} {took}" in text
    for name in ("rto", "rpo"):
        figures = verdict[name]
        shown = " ".join(format_duration(figures[key]) for key in ("target", "achieved", "margin"))
        assert f"({name.upper()}) {shown} to spare Met" in text or f"the {name.upper()} {shown} to spare Met" in text
    for point in verdict["idle"]:
        assert point["duration"] > 0 and "Gaps in the top bar" in text
