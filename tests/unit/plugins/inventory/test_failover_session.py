# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
from datetime import date, datetime, timezone

import pytest
import values
import yaml
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader
from ansible.utils.display import Display
from ansible_collections.dr_runbook.veeam_em.plugins.inventory import failover_session
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import CONNECTION_SPEC
from ansible_collections.dr_runbook.veeam_em.plugins.modules.failover_session_info import FIELDS
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._hosts import RUN_FACTS

NAME = "dr_runbook.veeam_em.failover_session"
PASSWORD = "Passw0rd!"
UNKNOWN = "00000000-0000-4000-8000-000000000001"
TEMPLATE = "{{ lookup('pipe','id') }}"


@pytest.fixture
def parse(em, tmp_path, monkeypatch):
    """Parse an inventory file with these options; returns the inventory. Warnings are kept in ``parse.warnings``."""
    for name in CONNECTION_SPEC:
        monkeypatch.delenv(f"VEEAM_EM_{name.upper()}", raising=False)
    warnings = []
    monkeypatch.setattr(Display(), "warning", warnings.append)

    def call(file="veeam_em.yml", cache_allowed=True, before=(), **options):
        warnings.clear()
        given = {"plugin": NAME, "url": em.url, "username": "both", "password": PASSWORD, "retries": 0, **options}
        path = tmp_path / file
        path.write_text(yaml.safe_dump({name: value for name, value in given.items() if value is not None}))
        plugin = inventory_loader.get(NAME)
        assert plugin.verify_file(str(path))
        data = call.data = InventoryData()
        for host in before:  # of another source
            data.add_host(host)
        plugin.parse(data, DataLoader(), str(path), cache=cache_allowed)
        if plugin.get_option("cache"):
            plugin.update_cache_if_changed()  # as ansible-core does
        data.reconcile_inventory()
        warnings[:] = [warning for warning in warnings if "clear text" not in warning]
        return data

    call.warnings = warnings
    return call


def hosts(data):
    return sorted(data.hosts)


def members(data, group):
    return sorted(host.name for host in data.groups[group].get_hosts())


def run(em, name="Acme", minute=1, vms=("vm",), **options):
    tasks = [vm if isinstance(vm, dict) else {"vm_name": vm} for vm in vms]
    creation_time = f"2026-03-01T02:{minute:02}:00Z"
    return em.world.add_session(name, state="Stopped", creation_time=creation_time, tasks=tasks, **options)


# Hosts and their variables


def test_host_variables(em, parse):
    session = run(
        em,
        vms=[{"vm_name": "db", "result": "Failed", "failure_message": "No restore point", "duration": 42}, "web"],
        result="Warning",
    )
    data = parse()
    assert hosts(data) == ["db", "web"]
    variables = {name: value for name, value in data.hosts["db"].vars.items() if name.startswith("veeam_")}
    sample = variables.pop("veeam_session")
    assert variables == {
        "veeam_vm_name": "db",
        "veeam_vm_source": "tasks",
        "veeam_state": "Stopped",
        "veeam_result": "Failed",
        "veeam_failure_message": "No restore point",
        "veeam_creation_time": "2026-03-01T02:01:04.000000Z",
        "veeam_end_time": "2026-03-01T02:01:46.000000Z",
        "veeam_duration": 42.0,
        "veeam_replica_point": {
            "id": session.tasks[0].replica_point.id,
            "name": session.tasks[0].replica_point.name,
            "creation_time": None,
            "state": None,
        },
    }
    assert sample["id"] == session.id
    assert "tasks" not in sample
    assert parse.warnings == []
    assert em.counters.live_logons == 0


def test_the_examples_list_every_host_variable_and_no_other(em, parse):
    run(em)
    comment = failover_session.EXAMPLES.split("A host has these variables:\n")[1].split("plugin:")[0]
    listed = yaml.safe_load("\n".join(line.removeprefix("#   ") for line in comment.splitlines()[1:]))
    variables = {key: value for key, value in parse().hosts["vm"].vars.items() if key.startswith("veeam_")}
    assert set(listed) == set(variables)
    assert (
        set(variables["veeam_session"])
        == {*FIELDS} - {"tasks", "tasks_kept_at", "em_name", "seen_at"}
        >= set(listed["veeam_session"])
    )


def test_without_groups_there_are_none(em, parse):
    run(em)
    assert set(parse().groups) == {"all", "ungrouped"}


def test_120_sessions_in_six_requests(em, parse):
    for number in range(120):
        run(em, f"Plan {number}", number % 60, [f"vm{number}-{n}" for n in range(3)])
    data = parse()
    assert len(data.hosts) == 360
    assert em.counters.requests == 4


def test_the_newest_run_of_each_plan_unless_told_otherwise(em, parse):
    run(em, minute=1, vms=["old", "both"])
    run(em, minute=2, vms=["both", "new"])
    run(em, minute=3, vms=["elsewhere"], backup_server="other")
    assert hosts(parse()) == ["both", "elsewhere", "new"]
    assert parse.warnings == []
    assert hosts(parse(latest_per_plan=False)) == ["both", "elsewhere", "new", "old"]
    assert "both (using the VM of Acme of 2026-03-01T02:02:00" in parse.warnings[0]


def test_prefix(em, parse):
    run(em)
    assert "dr_session" in parse(hostvars_prefix="dr_").hosts["vm"].vars
    assert "vm_name" in parse(hostvars_prefix="").hosts["vm"].vars
    with pytest.raises(AnsibleParserError, match="hostvars_prefix: '1-' cannot be used"):
        parse(hostvars_prefix="1-")


# Names that stand for several VMs


def two_tenants(em):
    one = run(em, "Acme", 1, ["dc01", "only-acme"])
    two = run(em, "Borealis", 2, [{"vm_name": "dc01", "result": "Failed"}])
    return one, two


def test_the_newer_session_wins_with_a_warning(em, parse):
    one, two = two_tenants(em)
    for order in ("ascending", "descending"):
        data = parse(sort_order=order)
        assert hosts(data) == ["dc01", "only-acme"]
        assert data.hosts["dc01"].vars["veeam_session"]["id"] == two.id
        (warning,) = parse.warnings
        assert f"({two.id}), ignoring that of Acme of 2026-03-01T02:01:00.000000Z ({one.id})" in warning
        assert "hostname" in warning


def test_strict_makes_it_an_error(em, parse):
    two_tenants(em)
    with pytest.raises(AnsibleParserError, match="Duplicate host names: dc01 .*hostname"):
        parse(strict=True)
    assert em.counters.live_logons == 0


def test_a_hostname_expression_keeps_both(em, parse):
    two_tenants(em)
    data = parse(strict=True, hostname="veeam_vm_name ~ '.' ~ veeam_session.name | lower")
    assert hosts(data) == ["dc01.acme", "dc01.borealis", "only-acme.acme"]
    assert parse.warnings == []


def test_a_hostname_expression_with_an_error_stops(em, parse):
    two_tenants(em)
    with pytest.raises(
        AnsibleParserError, match=r"hostname: 'nix.name' cannot be evaluated for the VM dc01 of Borealis"
    ):
        parse(hostname="nix.name")


def test_a_vm_without_a_name(em, parse):
    session = run(em, vms=[{"vm_name": "", "raw": {"VmName": None}}, "web"])
    assert hosts(parse()) == ["web"]
    assert f"VMs without a name in the sessions Acme of 2026-03-01T02:01:00.000000Z ({session.id})" in parse.warnings[0]
    with pytest.raises(AnsibleParserError, match="VMs without a name"):
        parse(strict=True)
    assert len(hosts(parse(strict=True, hostname="veeam_replica_point.id"))) == 2


@pytest.mark.parametrize("name", ["all", "ungrouped", "failed", "vms of Acme"])
def test_a_vm_that_is_named_like_a_group(em, parse, name):
    """ansible-core would take the name for the group, and lose the host or end in an endless loop."""
    run(em, vms=[{"vm_name": name, "result": "Failed"}, {"vm_name": "good", "result": "Failed"}])
    options = {
        "groups": {"failed": "veeam_result == 'Failed'"},
        "keyed_groups": [{"key": "'vms of ' ~ veeam_session.name", "separator": ""}],
    }
    data = parse(**options)
    assert "good" in members(data, "failed")
    if name in ("all", "ungrouped", "failed"):
        assert hosts(data) == ["good"]
        (warning,) = parse.warnings
        assert f"VMs that give no hosts, because groups have these names: '{name}'. Set hostname" in warning
        with pytest.raises(AnsibleParserError, match="groups have these names"):
            parse(strict=True, **options)
    assert hosts(parse(strict=True, hostname="'vm-' ~ veeam_vm_name", **options)) == sorted([f"vm-{name}", "vm-good"])
    assert parse.warnings == []


@pytest.mark.parametrize("name", ["Failed", "FAILED", "failed"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_vm_that_is_named_like_a_group_of_keyed_groups(em, parse, name, place):
    vms = [{"vm_name": "good", "result": "Failed"}]
    vms.insert(place, {"vm_name": name, "result": "Failed"})
    run(em, vms=vms)
    options = {"keyed_groups": [{"key": "veeam_result", "separator": ""}]}
    data = parse(**options)
    assert hosts(data) == members(data, "Failed") == ["good"]
    assert f"groups have these names: '{name}'" in parse.warnings[0]
    with pytest.raises(AnsibleParserError, match="groups have these names"):
        parse(strict=True, **options)


@pytest.mark.parametrize(
    ("names", "parent"),
    [(["all"], "plan_all"), (["A", "B"], "{{ 'plan_B' if veeam_session.name == 'A' else 'plan_A' }}")],
)
def test_a_plan_whose_group_would_contain_itself(em, parse, names, parent):
    for number, name in enumerate(names):
        run(em, name, number, [f"vm{number}"])
    run(em, "Good", 9, ["good"])
    groups = [{"key": "veeam_session.name", "prefix": "plan", "parent_group": parent}]
    assert hosts(parse(keyed_groups=groups)) == ["good", "vm1"][: len(names)]
    assert (
        "a group of keyed_groups would contain itself: 'vm0'. Set another prefix or parent_group" in parse.warnings[0]
    )
    with pytest.raises(AnsibleParserError, match="would contain itself"):
        parse(strict=True, keyed_groups=groups)
    assert hosts(parse.data) == []


@pytest.mark.parametrize("address", ["[veeam_vm_name]", "{veeam_vm_name: 1}", "none"])
def test_an_address_that_is_not_a_text(em, parse, address):
    run(em, vms=["bad", "good"])
    assert hosts(parse(compose={"ansible_host": f"{address} if veeam_vm_name == 'bad' else 'db01'"})) == ["good"]
    assert "their address (ansible_host) is empty" in parse.warnings[0]


def test_a_hostname_of_blanks_is_none(em, parse):
    run(em)
    assert hosts(parse(hostname="'  '")) == []
    assert "without a name" in parse.warnings[0]


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "日本",
        "[1:3]",
        "web[1:3]",
        "x,y",
        "!neg",
        "~regex",
        "@file",
        "1e3",
        "'\"",
        "$(id)",
        "null",
        "#",
        "R&D",
        "ok: [x]",
    ],
)
def test_odd_names_stay_as_they_are(em, parse, name):
    run(em, name, vms=[{"vm_name": name, "result": "Failed", "failure_message": name}])
    data = parse(strict=True, compose={"copy": "veeam_vm_name"}, groups={"failed": "veeam_result == 'Failed'"})
    assert hosts(data) == [name]
    assert data.hosts[name].vars["copy"] == name
    assert data.hosts[name].vars["veeam_session"]["name"] == name
    assert members(data, "failed") == [name]


# Names that mean something else than the VM

LEFT_OUT = [
    ("localhost", "mean the controller"),
    ("LocalHost", "mean the controller"),
    ("127.0.0.1", "mean the controller"),
    ("127.9", "mean the controller"),
    ("::1", "mean the controller"),
    ("-oProxyCommand=id", "an option"),
    ("../group_vars/prod", "files with variables"),
    ("db01.yml", "files with variables"),
    (TEMPLATE, "look like templates"),
    ("{% raw %}", "look like templates"),
    ("{#", "look like templates"),
    ("db:22", "for a port"),
    ("a\nb", "invisible"),
    ("db\u200b", "invisible"),
    ("\u202edb", "invisible"),
    ("__ansible_unsafe", "marks its own data"),
    ("x" * 254, "more than 253 bytes"),
    ("ALL", "groups have these names"),
    ("static01", "another source"),
    ("STATIC01", "another source"),
]


@pytest.mark.parametrize(("name", "reason"), LEFT_OUT)
@pytest.mark.parametrize("renamed", [False, True])
def test_names_that_mean_something_else_give_no_hosts(em, parse, name, reason, renamed):
    run(em, vms=["kept" if renamed else name, "good"])
    made = " ~ ".join(
        f'"{char}"' if char == "'" else f"'{char}'" for char in name
    )  # letter by letter, so that the option is no template itself
    options = {"hostname": f"{made} if veeam_vm_name == 'kept' else veeam_vm_name"} if renamed else {}
    data = parse(before=["static01"], **options)
    assert hosts(data) == ["good", "static01"]
    assert "veeam_session" not in data.hosts["static01"].vars
    (warning,) = parse.warnings
    assert reason in warning and warning.endswith("Set hostname to give them other names.")
    assert warning.isprintable()
    with pytest.raises(AnsibleParserError, match=reason):
        parse(before=["static01"], strict=True, **options)
    assert hosts(parse.data) == ["static01"]
    assert "vm-kept" in hosts(parse(strict=True, hostname="'vm-kept' if veeam_vm_name != 'good' else 'good'"))
    assert parse.warnings == []


@pytest.mark.parametrize(
    "names", [("dc01", "DC01"), ("Straße", "STRASSE"), ("e\u0301", "\u00e9"), ("\uff44\uff42", "db")]
)
def test_names_that_only_look_different_are_duplicates(em, parse, names):
    run(em, "Acme", 1, [names[0]])
    run(em, "Borealis", 2, [names[1]])
    assert hosts(parse()) == [names[1]]
    assert f"Duplicate host names: {names[0]} (looks like {names[1]}, using the VM of Borealis" in parse.warnings[0]
    with pytest.raises(AnsibleParserError, match="Duplicate host names"):
        parse(strict=True)


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "::1", "LOCALHOST", "root@localhost", "-oProxyCommand=id", "2130706433"]
)
@pytest.mark.parametrize("variable", ["ansible_host", "ansible_ssh_host", "ansible_winrm_host"])
def test_an_address_that_means_the_controller_gives_no_host(em, parse, name, variable):
    run(em, vms=[name, "good"])
    options = {
        "hostname": "'vm-' ~ veeam_vm_name | regex_replace('[:@]', '-')",
        "compose": {variable: "veeam_vm_name"},
        "groups": {"vms": "true"},
    }
    data = parse(**options)
    assert hosts(data) == members(data, "vms") == ["vm-good"]
    assert "because their address (ansible_host) is empty, means the controller" in parse.warnings[0]
    with pytest.raises(AnsibleParserError, match="their address"):
        parse(strict=True, **options)
    assert hosts(parse.data) == []
    assert hosts(parse(hostname=options["hostname"], compose={variable: "''"})) == []
    options["compose"] = {variable: "veeam_vm_name ~ '.dr.example.com'"}
    assert len(hosts(parse(**options))) == 2 - name.startswith("-")


@pytest.mark.parametrize("groups", [{"localhost": "true"}, None])
def test_no_group_means_the_controller(em, parse, groups):
    run(em, "localhost")
    options = {"groups": groups} if groups else {"keyed_groups": [{"key": "veeam_session.name", "separator": ""}]}
    data = parse(**options)
    assert hosts(data) == ["vm"] and "localhost" not in data.groups
    assert parse.warnings == [
        "There is no group localhost, because its name means the controller. Set prefix in keyed_groups."
    ]
    with pytest.raises(AnsibleParserError, match="no group localhost"):
        parse(strict=True, **options)


# Groups for several names

BY_PLAN = {"key": "veeam_session.name", "prefix": "plan"}
BY_SERVER = {"key": "veeam_session.backup_server.name", "prefix": "server"}
BY_RESULT = {"key": "veeam_result", "prefix": "result"}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("key", "runs", "told"),
    [
        (BY_PLAN, [("ABC DR", "a"), ("ABC-DR", "a")], "plan_ABC_DR (plan_ABC DR, plan_ABC-DR)"),
        (BY_PLAN, [("ABC DR", "a"), ("ABC DR", "b")], "plan_ABC_DR (plan_ABC DR of the backup server a "),
        (BY_SERVER, [("One", "vbr-1"), ("Two", "vbr.1")], "server_vbr_1 (server_vbr-1, server_vbr.1)"),
        (BY_PLAN, [("ABC DR", "a"), ("ABC DR 2", "a")], None),
        (BY_SERVER, [("One", "a"), ("Two", "a")], None),
        (BY_RESULT, [("Success", "a"), ("Two", "b")], None),
    ],
)
def test_a_group_for_several_plans_or_servers_is_named(em, parse, key, runs, told, strict):
    for number, (name, server) in enumerate(runs):
        run(em, name, number, [f"vm{number}"], backup_server=server)
    data = parse(keyed_groups=[key], strict=strict)
    assert hosts(data) == ["vm0", "vm1"]
    if told:
        (warning,) = parse.warnings
        assert f"Groups that stand for more than one name: {told}" in warning and "veeam_session.id" in warning
    else:
        assert parse.warnings == []
    parse(keyed_groups=[{"key": "veeam_session.id", "prefix": "session"}], strict=True)
    assert parse.warnings == []


# VMs from plans


def test_sessions_without_tasks_get_their_vms_from_the_plan_in_one_query(em, parse):
    em.behaviour.finished_tasks = "drop"
    for number in range(30):
        run(em, f"Plan {number}", number)
        em.world.add_plan(f"Plan {number}", [f"web{number}", f"db{number}"])
    em.world.add_session("Runs", tasks=[{"vm_name": "running", "start_offset": 0, "duration": None}])
    data = parse()
    assert len(data.hosts) == 61
    variables = data.hosts["db7"].vars
    assert variables["veeam_vm_source"] == "plan"
    assert [variables[f"veeam_{fact}"] for fact in RUN_FACTS] == [None] * 7
    assert variables["veeam_session"]["result"] == "Success"
    assert data.hosts["running"].vars["veeam_vm_source"] == "tasks"
    assert data.hosts["running"].vars["veeam_result"] == "None"
    assert em.counters.requests == 4
    assert parse.warnings == []


def test_vm_source(em, parse):
    run(em, vms=["task"])
    em.world.add_plan("Acme", ["one", "two"])
    assert hosts(parse()) == ["task"]
    assert em.counters.requests == 3
    assert hosts(parse(vm_source="tasks")) == ["task"]
    data = parse(vm_source="plan")
    assert hosts(data) == ["one", "two"]
    assert data.hosts["one"].vars["veeam_result"] is None
    em.behaviour.finished_tasks = "drop"
    assert hosts(parse(vm_source="tasks")) == []
    assert "lists no VMs" in parse.warnings[0]


@pytest.mark.parametrize("plans", [0, 2])
def test_no_plan_or_two_is_a_warning_that_names_it_and_no_guess(em, parse, plans):
    session = run(em, vms=[])
    em.world.add_plan("acme", ["other case"])
    em.world.add_plan("Acme", ["other server"], backup_server="elsewhere")
    for tenant in range(plans):
        em.world.add_plan("Acme", [f"vm of {tenant}"], tenant=f"tenant {tenant}")
    assert hosts(parse()) == []
    (warning,) = parse.warnings
    assert session.id in warning
    found = "more than one plan" if plans else "no plan"
    assert f"there is {found} named 'Acme' on the backup server sp-vbr1.example.net" in warning


def test_a_session_without_a_backup_server_is_no_guess_either(em, parse):
    run(em, vms=[], raw={"Links": None})
    em.world.add_plan("Acme", ["vm"])
    assert hosts(parse()) == []
    assert "no plan named" in parse.warnings[0]


# Roles


def sessions_with_and_without_vms(em):
    """Six sessions of six plans, each with a plan; of two of them no VMs are listed. Returns those two."""
    made = [run(em, f"Plan {n}", n, [] if n in (2, 5) else [f"vm{n}"]) for n in range(6)]
    for n in range(6):
        em.world.add_plan(f"Plan {n}", [f"from plan {n}"])
    return [made[2], made[5]]


KNOWN = ["vm0", "vm1", "vm3", "vm4"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("reader", KNOWN),
        ("operator", ["from plan 2", "from plan 5", *KNOWN]),
        ("both", ["from plan 2", "from plan 5", *KNOWN]),
        ("restricted", None),
    ],
)
def test_each_role_gives_hosts_or_names_the_role_that_is_missing(em, parse, user, expected):
    without = sessions_with_and_without_vms(em)
    if expected is None:
        message = "HTTP 403 .* Check that restricted has the role Portal User or VM Restore Operator"
        with pytest.raises(AnsibleParserError, match=message):
            parse(username=user)
    else:
        assert hosts(parse(username=user)) == expected
        assert len(parse.warnings) == (user == "reader")
    if user == "reader":
        (warning,) = parse.warnings
        named = ", ".join(f"{session.name} ({session.id})" for session in without)
        assert f"because reader may not read their plans: {named}. Check" in warning
        assert "has the role VM Restore Operator" in warning and "vm_source: tasks" in warning
    assert em.counters.live_logons == 0


def test_strict_makes_sessions_whose_plans_may_not_be_read_an_error(em, parse):
    sessions_with_and_without_vms(em)
    with pytest.raises(
        AnsibleParserError, match="may not read their plans: Plan 2 .*VM Restore Operator.*vm_source: tasks"
    ):
        parse(username="reader", strict=True)
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("options", [{"vm_source": "plan"}, {"name": ["Plan 2", "Plan 5"]}])
@pytest.mark.parametrize("strict", [False, True])
def test_where_nothing_can_be_known_without_plans_it_is_an_error(em, parse, cached, options, strict):
    sessions_with_and_without_vms(em)
    message = "Read cloud failover plans failed.*HTTP 403.*reader has the role VM Restore Operator.*vm_source: tasks"
    for dummy in range(2):  # it is not kept in the cache
        with pytest.raises(AnsibleParserError, match=message):
            parse(username="reader", strict=strict, **options, **cached[0])
    assert not any("plan" in warning for warning in parse.warnings)
    assert hosts(parse(username="operator", strict=strict, **options))


def test_a_portal_user_needs_no_plans_for_vm_source_tasks(em, parse):
    sessions_with_and_without_vms(em)
    assert hosts(parse(username="reader", vm_source="tasks")) == KNOWN
    assert not any("plan" in (request.path + request.query).lower() for request in em.requests)


def test_from_the_cache_sessions_whose_plans_may_not_be_read_are_named_again(em, parse, cached):
    sessions_with_and_without_vms(em)
    options = {"username": "reader", **cached[0]}
    assert hosts(parse(**options)) == KNOWN
    first, requests = list(parse.warnings), em.counters.requests
    assert hosts(parse(**options)) == KNOWN
    assert parse.warnings == first and len(first) == 1
    with pytest.raises(AnsibleParserError, match="may not read their plans"):
        parse(strict=True, **options)
    assert em.counters.requests == requests


def test_where_no_lower_role_may_query_lists_give_the_same_hosts(em, parse):
    sessions_with_and_without_vms(em)
    expected = hosts(parse(username="both"))
    em.behaviour.role_query = "refused"
    em.behaviour.collection_days = None
    assert hosts(parse(username="both")) == expected
    assert [
        f"forbids both to query {kind}" in warning
        for kind, warning in zip(("CloudFailoverSession", "CloudFailoverPlan"), parse.warnings, strict=True)
    ] == [True, True]


# SessionCriteria and ids


def test_criteria(em, parse):
    run(em, "Acme", 1, ["a"], result="Failed")
    run(em, "Borealis", 2, ["b"])
    assert hosts(parse(name="Acme")) == ["a"]
    assert hosts(parse(result=["Failed"])) == ["a"]
    assert hosts(parse(limit=1)) == ["b"]
    assert hosts(parse(limit=1, sort_order="ascending")) == ["a"]
    assert hosts(parse(created_after="2026-03-01T02:02:00Z")) == ["b"]


def test_one_session_by_its_id(em, parse):
    one = run(em, minute=1, vms=["a"])
    two = run(em, minute=2, vms=["b"])
    assert hosts(parse(id=one.id, latest_per_plan=False)) == ["a"]
    assert parse.warnings == []
    assert hosts(parse(id=[one.id, two.id])) == ["b"]
    assert f"excluded by another criterion: {one.id}" in parse.warnings[0]


def test_an_unknown_id_is_an_error(em, parse):
    run(em)
    with pytest.raises(AnsibleParserError, match=f"with the id {UNKNOWN} on {em.url}"):
        parse(id=UNKNOWN)
    assert em.counters.live_logons == 0


# The file


@pytest.mark.parametrize("name", ["veeam_em.yml", "veeam_em.yaml", "dr.veeam_em.yml", "a.b.veeam_em.yaml"])
def test_files_that_are_taken(em, parse, name):
    run(em)
    assert hosts(parse(name)) == ["vm"]


@pytest.mark.parametrize("name", ["xveeam_em.yml", "veeam_em.json", "veeam_em", "hosts.yml", "veeam_em.yml.bak"])
def test_files_that_are_not(tmp_path, name):
    (tmp_path / name).write_text(f"plugin: {NAME}\n")
    assert not inventory_loader.get(NAME).verify_file(str(tmp_path / name))
    assert not inventory_loader.get(NAME).verify_file(str(tmp_path / "absent" / "veeam_em.yml"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"password": "wr0ng"}, "as both failed: 127.0.0.1:.* HTTP 401 .*Check username"),
        ({"username": "restricted"}, "HTTP 403.*Check that restricted has the role Portal User or VM Restore Operator"),
        ({"url": "http://127.0.0.1:1"}, "127.0.0.1:1 cannot be reached .Connection refused"),
        (
            {"url": None},
            r"Give each as an option, as a variable \(veeam_em_url\), or in the environment \(VEEAM_EM_URL\)",
        ),
        ({"password": ""}, "Not set: password. Give each as an option"),
        (
            {"url": "", "username": " "},
            r"Not set: url, username. Give each as an option, as a variable \(veeam_em_url, veeam_em_username\)",
        ),
        ({"passwrd": PASSWORD}, r"passwrd: '\.\.\.' cannot be used. There is no such option"),
        ({"password": {"em": PASSWORD}}, r"password: '\.\.\.' cannot be used. Give a text, not a list"),
        ({"latest_per_plan": "fasle"}, "latest_per_plan: 'fasle' cannot be used. Give true or false"),
        ({"strict": "ture"}, "strict: 'ture' cannot be used. Give true or false"),
        ({"validate_certs": "ture"}, "validate_certs: 'ture' cannot be used. Give true or false"),
        ({"state_": ["Stopped"]}, "state_: .* There is no such option. Options are: api_version"),
        ({"page_size": 0}, "page_size: 0 cannot be used"),
        (
            {"id": "{{ failover_session_id }}"},
            "id: '{{ failover_session_id }}' cannot be used. It is a template with an error",
        ),
        ({"password": "{{ nobody_knows }}"}, r"password: '\.\.\.' cannot be used. It is a template with an error"),
        ({"id": "{{ none }}"}, "id: (null|'') cannot be used"),
        ({"name": []}, "name: .* An empty list selects nothing"),
    ],
)
def test_failures(em, parse, options, message):
    with pytest.raises(AnsibleParserError, match=message) as caught:
        parse(**options)
    assert PASSWORD not in str(caught.value)
    assert "wr0ng" not in str(caught.value)
    assert em.counters.live_logons == 0


@pytest.mark.parametrize(
    "options",
    [
        {"vm_source": "guess"},
        {"state": ["Ended"]},
        {"result": "success"},
        {"sort_order": "up"},
        {"limit": "many"},
        {"plugin": "x"},
    ],
)
def test_values_that_ansible_refuses(em, parse, options):
    with pytest.raises(AnsibleError):
        parse(**options)
    assert em.counters.requests == 0


def test_an_answer_that_is_not_whole_gives_no_hosts(em, parse):
    for number in range(120):
        run(em, f"Plan {number}", number % 60)
    em.faults.add("status", status=500, path="/api/query", query="page=2")
    with pytest.raises(AnsibleParserError, match="Read cloud failover sessions failed"):
        parse(cache=True, cache_plugin="memory")
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("option", ["name", "backup_server", "id"])
@pytest.mark.parametrize("text", values.NOT_IN_QUOTES)
def test_a_name_that_yaml_has_changed(em, parse, option, text):
    with pytest.raises(AnsibleParserError, match=f"^{option}: .*{values.QUOTE_IT}"):
        parse(**{option: values.NOT_IN_QUOTES[text]})
    assert em.counters.requests == 0


def test_names_in_quotes_and_with_commas(em, parse):
    run(em, "007", vms=["vm"], backup_server="12:30, no")
    assert hosts(parse(name="007", backup_server="12:30, no")) == ["vm"]


@pytest.mark.parametrize("option", ["created_after", "created_before", "ended_after", "ended_before"])
def test_a_date_without_quotes(em, parse, option):
    with pytest.raises(
        AnsibleParserError,
        match=f"^{option}: '2026-03-01' cannot be used. Give a time after 1970 in ISO 8601 with zone",
    ):
        parse(**{option: date(2026, 3, 1)})
    assert em.counters.requests == 0


@pytest.mark.parametrize("option", ["limit", "page_size", "timeout"])
def test_a_date_that_should_be_a_number(em, parse, option):
    with pytest.raises(AnsibleParserError, match=f"^{option}: '2026-03-01' cannot be used. Give a whole number."):
        parse(**{option: date(2026, 3, 1)})
    assert em.counters.requests == 0


def test_a_time_with_its_zone_without_quotes(em, parse):
    run(em)
    assert hosts(parse(created_after=datetime(2026, 3, 1, tzinfo=timezone.utc))) == ["vm"]


@pytest.mark.parametrize("value", values.EMPTY, ids=repr)
def test_an_empty_connection_option_is_not_set(em, parse, monkeypatch, value):
    run(em)
    for name, variable in {
        "URL": em.url,
        "USERNAME": "both",
        "PASSWORD": PASSWORD,
        "TIMEOUT": value,
        "RETRIES": value,
    }.items():
        monkeypatch.setenv(f"VEEAM_EM_{name}", variable)
    assert hosts(parse(**dict.fromkeys(CONNECTION_SPEC, value))) == ["vm"]


@pytest.mark.parametrize("option", ["url", "username", "password"])
def test_a_value_with_a_line_break(em, parse, option):
    value = {"url": em.url, "username": "both", "password": PASSWORD}[option] + "\n"
    with pytest.raises(AnsibleParserError, match=f"^{option}: .*{values.CONTROL}") as caught:
        parse(**{option: value})
    assert PASSWORD not in str(caught.value)
    assert em.counters.requests == 0


@pytest.mark.parametrize("option", ["url", "username", "password", "name"])
@pytest.mark.parametrize("listed", [False, True])
def test_a_value_that_cannot_be_decrypted(em, parse, undecryptable, monkeypatch, option, listed):
    read = DataLoader.load_from_file
    value = ["A", undecryptable] if listed else undecryptable

    def with_vault(loader, *args, **options):
        return {**read(loader, *args, **options), option: value}

    monkeypatch.setattr(DataLoader, "load_from_file", with_vault)
    with pytest.raises(
        AnsibleParserError, match=f"^{option}: '...' cannot be used. .* give the vault password"
    ) as caught:
        parse()
    assert "ANSIBLE_VAULT" not in str(caught.value)
    assert em.counters.requests == 0


# The cache


@pytest.fixture
def cached(tmp_path):
    folder = tmp_path / "cache"
    return {"cache": True, "cache_plugin": "jsonfile", "cache_connection": str(folder)}, folder


def test_a_second_run_asks_nothing_and_gives_the_same(em, parse, cached):
    options, folder = cached
    run(em, vms=[{"vm_name": "db", "result": "Failed", "failure_message": TEMPLATE}, "web"])
    run(em, "Plan", vms=[])
    em.world.add_plan("Plan", ["from plan"])
    first = parse(**options)
    requests = em.counters.requests
    second = parse(**options)
    assert em.counters.requests == requests > 0
    assert {host.name: host.vars for host in second.hosts.values()} == {
        host.name: host.vars for host in first.hosts.values()
    }
    assert hosts(second) == ["db", "from plan", "web"]
    grouped = parse(**options, groups={"failed": "veeam_result == 'Failed'"}, hostname="'x-' ~ veeam_vm_name")
    assert members(grouped, "failed") == ["x-db"]
    assert em.counters.requests == requests
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "web" in text
    for secret in (
        PASSWORD,
        "Ym90aDpQYXNzdzByZCE=",
        *(request.headers.get("x-restsvcsessionid", PASSWORD) for request in em.requests),
    ):
        assert secret not in text


@pytest.mark.parametrize(
    "change", [{"username": "admin"}, {"name": "Acme"}, {"created_after": "900w"}, {"vm_source": "tasks"}]
)
def test_other_questions_have_other_answers(em, parse, cached, change):
    options, folder = cached
    run(em)
    parse(**options)
    parse(**options, **change)
    assert em.counters.logons == 2
    assert len(list(folder.iterdir())) == 2


def test_a_new_password_reads_the_same_cache(em, parse, cached):
    run(em)
    parse(**cached[0])
    assert hosts(parse(**cached[0], password="new")) == ["vm"]
    assert em.counters.logons == 1


def test_asked_not_to_use_the_cache_it_is_renewed(em, parse, cached):
    """As with --flush-cache and meta: refresh_inventory."""
    run(em, "Acme", 1, ["a"])
    parse(**cached[0])
    run(em, "Borealis", 2, ["b"])
    assert hosts(parse(**cached[0])) == ["a"]
    assert hosts(parse(**cached[0], cache_allowed=False)) == ["a", "b"]
    assert hosts(parse(**cached[0])) == ["a", "b"]
    assert em.counters.logons == 2


def test_an_answer_in_another_format_is_not_read(em, parse, cached, monkeypatch):
    run(em)
    parse(**cached[0])
    monkeypatch.setattr(failover_session, "ANSWER_FORMAT", failover_session.ANSWER_FORMAT + 1)
    assert hosts(parse(**cached[0])) == ["vm"]
    assert em.counters.logons == 2
    assert parse.warnings == []


def test_an_empty_answer_is_kept_too(em, parse, cached):
    parse(**cached[0])
    parse(**cached[0])
    assert em.counters.logons == 1


@pytest.mark.parametrize("text", ["{", ""])
def test_a_broken_cache_is_read_anew(em, parse, cached, text):
    options, folder = cached
    run(em)
    parse(**options)
    (file,) = folder.iterdir()
    file.write_text(text)
    assert hosts(parse(**options)) == ["vm"]
    assert em.counters.logons == 2
    assert any("cache cannot be read" in warning for warning in parse.warnings)
    assert hosts(parse(**options)) == ["vm"]
    assert em.counters.logons == 2


def test_a_failure_leaves_the_cache_as_it_was(em, parse, cached):
    run(em)
    parse(**cached[0])
    em.faults.add("status", status=500, path="/api/query")
    with pytest.raises(AnsibleParserError):
        parse(**cached[0], cache_allowed=False)
    assert hosts(parse(**cached[0])) == ["vm"]


def test_the_cache_is_json_of_facts(em, parse, cached):
    run(em)
    parse(**cached[0])
    (file,) = cached[1].iterdir()
    assert "payload" in file.read_text() or set(json.loads(file.read_text())) == {"sessions", "plans", "collected"}
    assert NAME in file.name


def test_a_name_that_selects_nothing_names_the_plan_that_may_have_been_meant(em, parse):
    em.world.add_plan("Acme Plan", ["vm"])
    parse(name="acme plan")
    assert any("'Acme Plan' (id " in warning and "differs only in" in warning for warning in parse.warnings)
    parse(name="Acme Plan")  # it has not run yet
    assert not any("differs" in warning for warning in parse.warnings)
    parse(name="acme plan", username="reader")
    assert not any("differs" in warning for warning in parse.warnings)


# The age of EM's data


ADMIN = {"username": "admin"}


def ages_read(em):
    return em.counters.routes["GET /api/systemSessions"]


def test_data_that_is_too_old_is_an_error(em, parse):
    run(em)
    assert hosts(parse(max_data_age="20m", **ADMIN)) == ["vm"]
    assert ages_read(em) == 1
    with pytest.raises(
        AnsibleParserError, match="shows data that is (6 min 59 s|7 min) .* and max_data_age allows 5 min"
    ):
        parse(max_data_age="{{ '5' }}m", **ADMIN)


def test_data_of_unknown_age_is_an_error(em, parse):
    run(em)
    with pytest.raises(AnsibleParserError, match="Check that both has the role Portal Administrator"):
        parse(max_data_age="30d")


def test_without_a_limit_the_age_is_not_read(em, parse, cached):
    run(em)
    for options in ({}, {"max_data_age": ""}, cached[0]):
        parse(**options, **ADMIN)
    assert ages_read(em) == 0


def test_a_limit_that_is_no_age_is_refused(em, parse):
    with pytest.raises(AnsibleParserError, match="max_data_age: '20' cannot be used"):
        parse(max_data_age="20")
    assert em.counters.requests == 0


def test_a_cached_answer_grows_older(em, parse, cached, monkeypatch):
    """Seven minutes old when it was read, so with a limit of twenty minutes it is good for thirteen more."""
    run(em)
    options = {"max_data_age": "20m", **cached[0], **ADMIN}
    assert hosts(parse(**options)) == ["vm"]
    read_at = time.time()
    run(em, "Other", vms=("new",))
    for minutes, known in ((0, ["vm"]), (12, ["vm"]), (14, ["new", "vm"])):
        monkeypatch.setattr(time, "time", lambda at=read_at + 60 * minutes: at)
        assert hosts(parse(**options)) == known
    assert ages_read(em) == 2


@pytest.mark.parametrize("limit", ["20m", "900d"])
def test_a_cached_answer_of_unknown_age_does_not_count(em, parse, cached, limit):
    run(em)
    parse(**cached[0], **ADMIN)
    run(em, "Other", vms=("new",))
    assert hosts(parse(**cached[0], **ADMIN)) == ["vm"]
    assert hosts(parse(max_data_age=limit, **cached[0], **ADMIN)) == ["new", "vm"]
    assert hosts(parse(max_data_age=limit, **cached[0], **ADMIN)) == ["new", "vm"]
    assert ages_read(em) == 1


@pytest.mark.parametrize("limit", ["20m", "900d"])
def test_a_cached_answer_of_the_future_does_not_count(em, parse, cached, monkeypatch, limit):
    run(em)
    options = {"max_data_age": limit, **cached[0], **ADMIN}
    parse(**options)
    earlier = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: earlier)
    parse(**options)
    assert ages_read(em) == 2


def test_a_cache_does_not_hide_that_the_data_is_too_old(em, parse, cached):
    run(em)
    parse(max_data_age="20m", **cached[0], **ADMIN)
    with pytest.raises(AnsibleParserError, match="and max_data_age allows 5 min"):
        parse(max_data_age="5m", **cached[0], **ADMIN)


def test_a_proxy_that_needs_a_library_is_named(parse, socks_proxy):
    with pytest.raises(AnsibleParserError, match=socks_proxy):
        parse(url="https://em.example.com:9398")
    assert parse.warnings == []


# From the history

NO_EM = {"url": None, "username": None, "password": None, "retries": None}


@pytest.fixture
def forgotten(em, record, store):
    """The history of a run that EM has forgotten, with a plan; and of a run without VMs."""
    em.world.add_plan("Acme", ["db", "web", "app"], backup_server="vbr01")
    session = run(em, vms=[{"vm_name": "db", "result": "Failed"}, "web"], backup_server="vbr01")
    run(em, "Empty", vms=[])
    record()
    em.world.clear()
    em.requests.clear()
    return session


def test_hosts_of_a_run_that_em_has_forgotten(em, parse, forgotten, store):
    data = parse(source="history", store=store, groups={"failed": "veeam_result == 'Failed'"}, **NO_EM)
    assert (hosts(data), members(data, "failed")) == (["db", "web"], ["db"])
    facts = data.hosts["db"].vars
    assert facts["veeam_vm_source"] == "tasks"
    assert (facts["veeam_session"]["id"], facts["veeam_session"]["em_name"]) == (forgotten.id, "127.0.0.1")
    assert em.requests == []


def test_vms_of_recorded_plans(em, parse, forgotten, store):
    data = parse(source="history", store=store, vm_source="plan", name="Acme", **NO_EM)
    assert hosts(data) == ["app", "db", "web"]
    with pytest.raises(AnsibleParserError, match="No cloud failover session with the id .* in the history"):
        parse(source="history", store=store, id=[UNKNOWN], **NO_EM)


def test_vms_that_em_dropped_come_from_the_history(em, parse, record, store):
    em.behaviour.finished_tasks = "drop"
    session = em.world.add_session(
        "Acme", tasks=[{"vm_name": "db", "duration": 60}, {"vm_name": "web", "duration": 60}]
    )
    em.clock.advance(30)
    record()
    em.clock.advance(3600)
    em.world.add_session("Other", state="Stopped")
    assert hosts(parse(vm_source="tasks")) == []
    data = parse(vm_source="history", store=store)
    assert hosts(data) == ["db", "web"]
    facts = data.hosts["db"].vars
    assert (facts["veeam_vm_source"], facts["veeam_session"]["state"]) == ("history", "Stopped")
    assert facts["veeam_session"]["tasks_kept_at"] and facts["veeam_session"]["id"] == session.id
    (warning,) = parse.warnings
    assert "lists no VMs, and the history has none" in warning
    assert hosts(parse(vm_source="history", store=store, em_name=["another"])) == []


def test_vms_that_em_lists_need_no_history_for_them(em, parse):
    run(em, vms=["db"])
    assert hosts(parse(vm_source="history", store="/nowhere/history.db")) == ["db"]


def test_the_cache_tells_one_history_from_another(em, parse, record, store, tmp_path):
    cache = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(tmp_path / "cache")}
    run(em, vms=["db"])
    record()
    run(em, minute=9, vms=["web"])
    record(store=str(tmp_path / "other.db"))
    history = {**cache, "source": "history", **NO_EM}
    assert hosts(parse(store=store, **history)) == ["db"]
    assert hosts(parse(store=str(tmp_path / "other.db"), **history)) == ["web"]
    assert hosts(parse(store=store, em_name=["another"], **history)) == []
    assert hosts(parse(**cache)) == ["web"]
    (tmp_path / "history.db").unlink()
    assert hosts(parse(store=store, **history)) == ["db"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "history", **NO_EM}, ["store", "veeam_em_store"]),
        ({"source": "history", "store": "/nowhere/h.db", **NO_EM}, ["/nowhere", "does not exist"]),
        ({"source": "history", "store": "h.db", "max_data_age": "20m", **NO_EM}, ["max_data_age", "source: history"]),
        ({"vm_source": "history"}, ["store", "veeam_em_store"]),
    ],
)
def test_a_history_that_cannot_be_read_is_one_sentence(em, parse, monkeypatch, options, words):
    monkeypatch.delenv("VEEAM_EM_STORE", raising=False)
    run(em, vms=[])
    with pytest.raises(AnsibleParserError) as caught:
        parse(**options)
    assert [word for word in words if word not in str(caught.value)] == []
