# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is the operator in a report and in the history if nobody says it, and which checks are in it. The rest runs in the integration target."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from templating import trust_as_template

ROLES = Path(__file__).resolve().parents[3] / "roles"
ROLES_OF_RUNS = ("failover_report", "failover_run")


def operator(**variables):
    """What the report says, and whether the history says the same."""
    known = [yaml.safe_load((ROLES / role / "vars/main.yml").read_text(encoding="utf-8")) for role in ROLES_OF_RUNS]
    trusted = {name: trust_as_template(str(text)) for role in known for name, text in role.items()}
    record = known[1]["failover_run_record"]
    trusted["recorded"] = trust_as_template(re.sub(r"(?s)^.*?('operator': .*?)'change_id'.*", r"{{ {\1} }}", record))
    templar = Templar(loader=DataLoader(), variables={"failover_report_operator": None, **trusted, **variables})
    names = ("failover_report_known_operator", "failover_report_operator_source")
    report = tuple(templar.template(trust_as_template(f"{{{{ {name} }}}}")) or None for name in names)
    recorded = templar.template(trust_as_template("{{ recorded }}"))
    assert (recorded["operator"], recorded["operator_source"]) == report
    return report


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"failover_report_operator": "Ada Lovelace", "awx_user_name": "grace"}, ("Ada Lovelace", None)),
        ({"failover_report_operator": "", "awx_user_name": "grace"}, ("grace", "AWX user")),
        ({"tower_user_name": "grace"}, ("grace", "AWX user")),
        ({"awx_job_id": 7, "awx_schedule_name": "Quarterly"}, ("Quarterly", "AWX schedule")),
        ({"awx_job_id": 7}, (None, None)),  # the account in the container says nothing
        ({}, ("ada", "account that ran the job")),
    ],
)
def test_who_is_the_operator(variables, expected, monkeypatch):
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("USER", "ada")
    assert operator(**variables) == expected


def test_the_account_is_that_before_sudo_or_not_known(monkeypatch):
    monkeypatch.setenv("USER", "root")
    monkeypatch.setenv("SUDO_USER", "ada")
    assert operator() == ("ada", "account that ran the job")
    for name in ("SUDO_USER", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    assert operator() == (None, None)


@pytest.mark.parametrize(
    ("given", "of_run", "known"),
    [
        ([{"check": "a"}], [{"check": "b"}], [{"check": "a"}, {"check": "b"}]),
        (None, [{"check": "b"}], [{"check": "b"}]),
        ("", None, []),
        # The filter refuses these, with a sentence.
        ("ping", None, ["ping"]),
        ([None], [], [None]),
        ([["a", "b"]], [], [["a", "b"]]),
        (7, [], [7]),
    ],
)
def test_the_checks_are_those_of_the_play_and_those_of_the_workflow(given, of_run, known):
    text = yaml.safe_load((ROLES / "failover_report" / "vars" / "main.yml").read_text(encoding="utf-8"))
    variables = {"failover_report_checks": given, "failover_report_checks_of_run": of_run}
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(trust_as_template(text["failover_report_known_checks"])) == known
