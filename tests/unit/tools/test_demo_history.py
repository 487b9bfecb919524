# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The made-up year that "make demo" shows: seven plans, each with another status."""

from __future__ import annotations

import importlib
from datetime import datetime
from pathlib import Path

import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_readiness import failover_readiness

REPO = Path(__file__).resolve().parents[3]
NOW = "2028-02-29T00:30:00+00:00"
"""A leap day, half an hour after midnight: the day of the week and the time of the day make no difference."""


def test_each_of_the_seven_plans_has_another_status(run_module, tmp_path, monkeypatch):
    store = str(tmp_path / "history.db")
    monkeypatch.syspath_prepend(str(REPO / "tools"))
    importlib.import_module("demo_history").make(store, datetime.fromisoformat(NOW))
    history = run_module("failover_history_info", store=store, verify=True)
    policy = yaml.safe_load((REPO / "playbooks/vars/demo_readiness.yml").read_text(encoding="utf-8"))
    found = failover_readiness(history, policy["failover_readiness_policy"], NOW)
    assert {
        plan["name"]: (plan["status"], [reason["code"] for reason in plan["reasons"]]) for plan in found["plans"]
    } == {
        "Acme ERP": ("failed", ["not_passed", "vm_failed", "critical_vm", "overdue"]),
        "Contoso branch office": ("never_tested", ["never_tested"]),
        "Borealis databases": ("overdue", ["overdue"]),
        "Harbour Logistics full site": ("changed", ["vm_added"]),
        "Globex portal": ("partial", ["vm_not_exercised"]),
        "Acme web shop": ("due", ["due"]),
        "Initech head office": ("ready", []),
    }
    assert (history["gaps"], [look["missing"] for look in history["looks"] if look["missing"]]) == ([], [])
    plans = {plan["name"]: plan for plan in found["plans"]}
    assert plans["Contoso branch office"]["waived"]["by"] == "R. Ortiz"
    assert [finding["overdue"] for finding in plans["Acme ERP"]["findings"]] == [False, False]
    assert [run["kind"] for run in plans["Initech head office"]["runs"]].count("failover") == 1
    assert {run["kind"] for plan in found["plans"] for run in plan["runs"]} == {"test", "failover"}
