# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values that YAML has changed, that are empty, spoilt or missing: what the modules make of them."""

from __future__ import annotations

import json

import pytest
import values
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import CONNECTION_SPEC

MODULES = {
    "failover_session_info": {},
    "failover_plan_info": {},
    "failover_plan": {"plan": "Acme", "action": "test"},
    "failover_session_wait": {"plan": "Acme", "created_after": "9000w"},
    "data_collection": {"wait": False},
}
NAMES = [
    ("failover_session_info", "name"),
    ("failover_session_info", "backup_server"),
    ("failover_plan_info", "name"),
    ("failover_plan_info", "tenant"),
    ("failover_plan_info", "backup_server"),
    ("failover_plan", "plan"),
    ("failover_plan", "tenant"),
    ("failover_plan", "backup_server"),
    ("failover_session_wait", "plan"),
    ("data_collection", "backup_server"),
]


def refused(em, result):
    assert result["failed"] is True
    assert not result.get("changed")
    assert em.counters.requests == 0
    return result["msg"]


@pytest.mark.parametrize(("module", "option"), NAMES)
@pytest.mark.parametrize("value", values.NUMBERS, ids=str)
def test_a_name_that_yaml_has_changed(em, run_module, module, option, value):
    em.world.add_plan(str(value), ["vm"], tenant=str(value))
    result = run_module(module, **{**MODULES[module], option: value})
    assert refused(em, result).startswith(f"{option}: {value!r} cannot be used. {values.QUOTE_IT}")


@pytest.mark.parametrize(
    ("module", "option"),
    [name for name in NAMES if name[0] not in ("failover_plan", "failover_session_wait")]
    + [("failover_session_info", "plan")],
)
@pytest.mark.parametrize("value", ["2026-03-01T10:00:00", ["Acme", "2026-03-01T10:00:00.500000+01:00"]], ids=str)
def test_a_time_without_quotes(em, run_module, module, option, value):
    """A text when it gets to the module; action plugins see it before, where there are some."""
    result = run_module(module, **{**MODULES.get(module, {}), option: value})
    time = value if isinstance(value, str) else value[1]
    assert refused(em, result).startswith(
        f"{option}: '{time}' cannot be used. It has the form that Ansible gives to a time"
    )


def test_a_plan_is_another_word_for_the_name(em, run_module):
    for name in ("Acme", "Other"):
        em.world.add_session(name, state="Stopped")
    found = run_module("failover_session_info", plan="Acme")["failover_sessions"]
    assert [session["name"] for session in found] == ["Acme"]


@pytest.mark.parametrize(("module", "option"), NAMES)
def test_an_empty_name(em, run_module, module, option):
    result = run_module(module, **{**MODULES[module], option: ""})
    assert refused(em, result) == f"{option}: '' cannot be used. Give a name, or leave the option out."


def test_the_same_name_in_quotes(em, run_module):
    em.world.add_plan("007", ["vm"], tenant="0x10", backup_server="12:30")
    em.world.add_session("007", backup_server="12:30", state="Stopped")
    (session,) = run_module("failover_session_info", name="007", backup_server="12:30")["failover_sessions"]
    (plan,) = run_module("failover_plan_info", name=["007"], tenant="0x10", backup_server=["12:30"])["failover_plans"]
    found = run_module(
        "failover_plan", check_mode=True, plan="007", tenant="0x10", backup_server="12:30", action="test"
    )
    waited = run_module("failover_session_wait", plan="007", created_after="9000w")
    assert session["name"] == plan["name"] == found["plan"]["name"] == waited["failover_session"]["name"] == "007"


@pytest.mark.parametrize("option", ["name", "tenant", "backup_server"])
def test_no_name_is_split_at_commas(em, run_module, option):
    em.world.add_plan("A, B", ["vm"], tenant="A, B", backup_server="A, B")
    em.world.add_plan("A", ["vm"], tenant="B", backup_server="A")
    (plan,) = run_module("failover_plan_info", **{option: "A, B"})["failover_plans"]
    assert plan["name"] == "A, B"


# The connection


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("option", ["username", "password", "url", "api_version"])
@pytest.mark.parametrize("value", [7, 1.5, False], ids=str)
def test_a_connection_option_that_is_a_number(em, run_module, module, option, value):
    msg = refused(em, run_module(module, **{**MODULES[module], option: value}))
    assert msg.startswith(
        f"{option}: {repr('...') if option == 'password' else value} cannot be used. {values.QUOTE_IT}"
    )


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("value", values.EMPTY, ids=repr)
def test_an_empty_option_is_not_set(em, run_module, monkeypatch, module, value):
    """Not one that has a default, and not one that the environment has."""
    em.world.add_plan("Acme", ["vm"])
    em.world.add_session("Acme", state="Stopped")
    required = {"url": em.url, "username": "both", "password": "Passw0rd!"}
    for name, variable in required.items():
        monkeypatch.setenv(f"VEEAM_EM_{name.upper()}", variable)
    empty = dict.fromkeys(CONNECTION_SPEC, value)
    result = run_module(module, check_mode=True, **MODULES[module], **empty)
    assert "failed" not in result, result["msg"]
    assert "Passw0rd!" not in json.dumps(result)


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("value", values.EMPTY, ids=repr)
def test_an_empty_variable_is_not_set(em, run_module, monkeypatch, module, value):
    em.world.add_plan("Acme", ["vm"])
    em.world.add_session("Acme", state="Stopped")
    for name in CONNECTION_SPEC:
        monkeypatch.setenv(f"VEEAM_EM_{name.upper()}", value)
    result = run_module(module, check_mode=True, retries=None, **MODULES[module])
    assert "failed" not in result, result["msg"]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("value", [None, *values.EMPTY], ids=repr)
def test_all_that_is_missing_is_named_with_all_ways_to_give_it(em, run_module, module, value):
    missing = {"url": value, "password": value}
    assert refused(em, run_module(module, **{**MODULES[module], **missing})) == (
        "Not set: url, password. Give each as an option, with module_defaults for the group dr_runbook.veeam_em.all, or in the "
        "environment (VEEAM_EM_URL, VEEAM_EM_PASSWORD) of the machine where the task runs. become (sudo) clears the "
        "environment: set become: false for this task."
    )
    msg = refused(em, run_module(module, **{**MODULES[module], "username": value}))
    assert msg.startswith("Not set: username. Give each as an option, with")


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize("option", ["url", "username", "password"])
@pytest.mark.parametrize("source", ["option", "environment"])
def test_a_line_break_at_the_end(em, run_module, monkeypatch, module, option, source):
    value = {"url": em.url, "username": "both", "password": "Passw0rd!"}[option] + "\n"
    monkeypatch.setenv(f"VEEAM_EM_{option.upper()}", value)
    result = run_module(module, **{**MODULES[module], option: value if source == "option" else None})
    msg = refused(em, result)
    assert msg.startswith(f"{option}: ") and values.CONTROL in msg
    assert option != "password" or "Passw0rd" not in json.dumps(result)
