# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role failover_readiness says of itself; the integration target history runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.status import STATUSES
from templating import trust_as_template

ROLE = Path(__file__).resolve().parents[3] / "roles" / "failover_readiness"


def read(name):
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


def test_the_role_can_fail_on_each_status_but_ready():
    options = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert options["failover_readiness_fail_on"]["choices"] == [status for status in STATUSES if status != "ready"]


def test_each_option_has_the_default_that_is_documented():
    options = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = read("defaults/main.yml")
    assert set(defaults) == {name for name, spec in options.items() if not spec.get("required")}
    assert {name: spec["default"] for name, spec in options.items() if "default" in spec} == {
        name: value for name, value in defaults.items() if value is not None and "{{" not in str(value)
    }


@pytest.mark.parametrize(
    ("fail_on", "failing"),
    [
        (["failed", "overdue"], ["failed", "overdue"]),
        ("overdue", ["overdue"]),
        ("failed, overdue", ["failed", "overdue"]),
        ([], []),
        ("", []),
        (None, []),
    ],
)
def test_the_role_fails_only_for_the_statuses_that_were_asked_for(fail_on, failing):
    """Whatever the argument spec accepts as a list: a text has the characters of `due` in `overdue`."""
    against = read("tasks/result.yml")[0]["vars"]["failover_readiness_against"]
    variables = {
        **{name: trust_as_template(value) for name, value in read("vars/main.yml").items()},
        "failover_readiness_fail_on": fail_on,
        "failover_readiness_judged": {"plans": [{"status": status, "waived": False} for status in STATUSES]},
    }
    plans = Templar(loader=DataLoader(), variables=variables).template(trust_as_template(against))
    assert sorted(plan["status"] for plan in plans) == failing
