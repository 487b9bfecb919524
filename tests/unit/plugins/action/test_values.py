# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that YAML has changed, dates above all: those are texts by the time a module gets them."""

from __future__ import annotations

from collections import UserString

import pytest
import values

OPTIONS = {
    "failover_plan": {"plan": "Acme", "action": "start"},
    "failover_session_wait": {"plan": "Acme", "created_after": "1h"},
}


@pytest.mark.parametrize(
    ("module", "option"),
    [
        ("failover_plan", "plan"),
        ("failover_plan", "tenant"),
        ("failover_plan", "backup_server"),
        ("failover_session_wait", "plan"),
    ],
)
@pytest.mark.parametrize("value", values.NOT_IN_QUOTES.values(), ids=str)
def test_a_name_that_yaml_has_changed(em, run_action, module, option, value):
    em.world.add_plan(str(value), ["vm"], tenant=str(value))
    result = run_action(module, **{**OPTIONS[module], option: value})
    assert (result["failed"], result["changed"], run_action.runs) == (True, False, [])
    assert result["msg"].startswith(f"{option}: ") and values.QUOTE_IT in result["msg"]
    assert em.counters.requests == 0


class Encrypted(UserString):
    """A value of Ansible Vault as ansible-core 2.18 and older pass it on: a sequence, and no text."""

    __ENCRYPTED__ = True


@pytest.mark.parametrize("module", OPTIONS)
def test_a_name_of_ansible_vault_is_read(em, run_action, module):
    result = run_action(module, **{**OPTIONS[module], "plan": Encrypted(" ")})
    assert result["msg"] == "plan: ' ' cannot be used. Give a name, or leave the option out."
