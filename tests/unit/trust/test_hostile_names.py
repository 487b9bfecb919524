# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and messages that tenants choose, in real runs of Ansible with a stand-in for ssh: no task runs elsewhere."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
import socket
from contextlib import suppress

import programs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

PASSWORD = "Passw0rd!"
SSH = """#!/bin/sh
call=$(mktemp "$SSH_CALLS/XXXXXX")
for word; do printf '%s\\0' "$word"; done > "$call"
echo reached
"""
STATIC = """
all:
  children:
    providers:
      hosts:
        static01: {ansible_host: 192.0.2.1, secret: of the provider}
        web1: {ansible_host: 192.0.2.2}
"""


@pytest.fixture
def place(em, tmp_path):
    """A folder with inventories, variables that are nobody's but their own hosts', and a stand-in for ssh."""
    (tmp_path / "ssh").write_text(SSH)
    (tmp_path / "ssh").chmod(0o755)
    (tmp_path / "a_static.yml").write_text(STATIC)
    (tmp_path / "b.veeam_em.yml").write_text("plugin: dr_runbook.veeam_em.failover_session\n")
    (tmp_path / "calls").mkdir()
    for folder, name in (("group_vars", "secrets"), ("host_vars", "static01"), ("host_vars", "db01")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{name}.yml").write_text(f"stolen: {name}\n")
    return tmp_path


def ansible(em, place, *command, **environment):
    settings = programs.ansible_environment(
        place / "home",
        HOME=str(place),
        SSH_CALLS=str(place / "calls"),
        ANSIBLE_SSH_EXECUTABLE=str(place / "ssh"),
        ANSIBLE_SSH_TRANSFER_METHOD="piped",
        ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="true",
        VEEAM_EM_URL=em.url,
        VEEAM_EM_USERNAME="admin",
        VEEAM_EM_PASSWORD=PASSWORD,
        **environment,
    )
    inventories = ["-i", "a_static.yml", "-i", "b.veeam_em.yml"]
    return programs.run([command[0], *inventories, *command[1:]], cwd=place, env=settings)


def reached(place):
    """What ssh was started for: the words after its options, and these. Ansible starts several at once."""
    return [call.read_text(encoding="utf-8").split("\0")[:-1] for call in (place / "calls").iterdir()]


# What runs, and where

COMMANDS = [
    "{{ lookup('pipe', 'touch MARK') }}",
    "{{ ''.__class__ }}{% for x in y %}",
    "{# x #}",
    "-oProxyCommand=touch MARK",
    "$(touch MARK)",
    "`touch MARK`",
    "; touch MARK;",
    "' || touch MARK || '",
    '" && touch MARK && "',
    "x\n- hosts: localhost\n  tasks: [{command: touch MARK}]",
    "!vault |",
    "!unsafe x",
    "=cmd|' /C touch MARK'!A0",
]
LOCAL = ["localhost", "LOCALHOST", "127.0.0.1", "::1", "root@localhost", "*"]
OTHERS = [*LOCAL, "static01", "STATIC01", "providers", "all"]
FILES = ["../group_vars/secrets", "static01.yml", ".", "..", "/etc/passwd"]
FINE = ["filesrv03", "a b", "a,b", "!neg", "~regex", "web[1:3]", "1e3", "@file"]
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - dr_runbook.veeam_em.failover_session_info:
      register: answer
    - set_fact:
        kept: "{{ answer.failover_sessions }}"
    - set_fact:
        again: "{{ kept | map(attribute='tasks') | flatten }}"
        cacheable: true
    - debug:
        msg: "{{ again }} {{ again | map(attribute='failure_message') | join(' ') }} {{ kept[0].name ~ kept[0].backup_server.name }}"
    - debug:
        msg: "{{ item.vm_name }}: {{ item.failure_message }}"
      loop: "{{ again }}"
      when: item.vm_name != kept[0].name
    - debug:
        msg: "{{ query('dr_runbook.veeam_em.failover_session') | map(attribute='name') | join }}"
    - set_stats:
        data:
          told: "{{ again }}"
    - command: touch ran_here
- hosts: all
  gather_facts: false
  vars:
    copied: ""
    texts: "{{ veeam_vm_name | default('') }} {{ veeam_failure_message | default('') }} {{ (veeam_session | default({})).name | default('') }}"
  tasks:
    - debug:
        msg: "{{ texts }} {{ inventory_hostname }} {{ inventory_hostname_short }} {{ ansible_host | default('') }} {{ groups }} {{ copied }}"
    - assert:
        that: (stolen | default('-')) == ('static01' if inventory_hostname == 'static01' else '-')
    - set_fact:
        own: "{{ texts }}"
    - debug:
        msg: "{{ own }} {{ hostvars[inventory_hostname].own }}"
    - raw: by_itself {{ inventory_hostname | b64encode }}
    - raw: delegated {{ inventory_hostname | b64encode }}
      delegate_to: "{{ inventory_hostname }}"
    - command: touch ran_here_too
      delegate_to: localhost
      run_once: true
"""
BY_ADDRESS = """
plugin: dr_runbook.veeam_em.failover_session
hostname: "'vm-' ~ (veeam_vm_name | hash('sha1'))[:10]"
compose:
  ansible_host: veeam_vm_name
  copied: veeam_failure_message ~ '.'
keyed_groups:
  - key: veeam_session.name
    prefix: plan
"""


def tenant(em):
    """Sessions of a tenant with odd ideas; the names of its VMs."""
    names = [*COMMANDS, *OTHERS, *FILES, *FINE]
    for number, text in enumerate(COMMANDS):
        tasks = [
            {"vm_name": name, "result": "Failed", "failure_message": text} for name in names[number :: len(COMMANDS)]
        ]
        em.world.add_session(text, state="Stopped", tasks=tasks, backup_server=text, failure_message=text)
    return names


def test_nothing_runs_elsewhere(em, place):
    names = tenant(em)
    (place / "c.veeam_em.yml").write_text(BY_ADDRESS)
    (place / "book.yml").write_text(PLAYBOOK)
    done = ansible(em, place, "ansible-playbook", "-i", "c.veeam_em.yml", "book.yml")
    assert done.returncode == 0, done.output[-3000:]
    assert (place / "ran_here").exists() and (place / "ran_here_too").exists()
    assert not list(place.rglob("MARK"))
    seen = set()
    for words in reached(place):
        address, command = words[-2:]
        kind, host = re.search(r"(by_itself|delegated) ([\w+/=]+)", command).groups()
        seen.add((kind, base64.b64decode(host).decode(), address))
    hosts = {host: address for dummy, host, address in seen}
    assert len(seen) == 2 * len(hosts)  # each by itself and delegated, at one address
    assert {hosts.pop("static01"), hosts.pop("web1")} == {"192.0.2.1", "192.0.2.2"}
    by_address = {host: hosts.pop(host) for host in list(hosts) if host.startswith("vm-")}
    assert all(host == address for host, address in hosts.items())
    assert set(hosts) == {*FINE, *COMMANDS[4:9], *COMMANDS[10:12]}
    assert {"vm-" + hashlib.sha1(name.encode()).hexdigest()[:10]: name for name in by_address.values()} == by_address
    assert set(names) - set(by_address.values()) == {*LOCAL, COMMANDS[3]}


@pytest.mark.matrix
def test_a_drill_of_such_vms_runs_nothing_else(em, place):
    em.clock.rate = 60
    plan = em.world.add_plan(COMMANDS[0], [{"name": name, "duration": 1} for name in [*COMMANDS, *OTHERS]])
    settings = {
        "failover_run_plan": plan.id,
        "failover_run_poll_interval": 1,
        "failover_report_directory": str(place / "reports"),
        "failover_run_description": "of a tenant",
    }
    (place / "reports").mkdir()
    done = ansible(em, place, "ansible-playbook", "dr_runbook.veeam_em.drill", "-e", json.dumps(settings))
    assert done.returncode == 0, done.output[-3000:]
    assert not list(place.rglob("MARK")) and reached(place) == []
    assert any(COMMANDS[0] in path.read_text(encoding="utf-8") for path in (place / "reports").glob("*.json"))


# What hosts stand for

PLAIN = st.from_regex(r"[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,5})?", fullmatch=True)
ODD = st.sampled_from(
    "\t\n\r \"'&<>;,=()[]{}%\\/#:!~*?@.|$`-\x7f\x85\x9b\xa0\xad\u200b\u202e\u2028\u3164\ufeff\U0001f600ıİſßＡ０。"
)
NAMES = st.one_of(
    PLAIN,
    st.text(st.one_of(ODD, st.characters(min_codepoint=32, max_codepoint=126)), min_size=1, max_size=12),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=8),
    st.sampled_from(
        [*COMMANDS, *OTHERS, *FILES, *FINE, "failed", "hostvars", "_meta", "__ansible_unsafe", "__ansible_vault"]
    ),
    st.sampled_from(
        [
            "null",
            "~",
            "yes",
            "0",
            "007",
            "1e3",
            "12:30",
            "0x7f.1",
            "<<",
            "&a",
            "*a",
            "- a",
            "a: b",
            "? a",
            "%YAML",
            "---",
        ]
    ),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", " ", "\u200b", "@", "x@", "["]),
        st.sampled_from(OTHERS),
        st.sampled_from(["", " ", ".", "\n", ":22", "]", "#"]),
    ),
)
GROUPED = """
plugin: dr_runbook.veeam_em.failover_session
latest_per_plan: false
groups:
  failed: veeam_result == 'Failed'
keyed_groups:
  - key: veeam_vm_name
    prefix: vm
compose:
  copied: veeam_failure_message
"""
# What a limit takes apart, or for a pattern.
PATTERN = re.compile(r"[\s,:&!~\[\]*?@]")


def texts(value):
    """What ansible-inventory prints, without its marks."""
    if isinstance(value, dict):
        marked = set(value) == {"__ansible_unsafe"}
        return value["__ansible_unsafe"] if marked else {key: texts(item) for key, item in value.items()}
    return [texts(item) for item in value] if isinstance(value, list) else value


def stand_for_themselves(em, place, names):
    em.reset(sessions=0)
    tasks = [
        {"vm_name": name, "result": ("Failed", "Success")[n % 2], "failure_message": str(n)}
        for n, name in enumerate(names)
    ]
    em.world.add_session("Acme", state="Stopped", tasks=tasks)
    (place / "b.veeam_em.yml").write_text(GROUPED)
    done = ansible(em, place, "ansible-inventory", "--list", "--output", "list.json")
    assert done.returncode == 0, done.output[-3000:]
    listed = texts(json.loads((place / "list.json").read_text(encoding="utf-8")))
    hosts = listed["_meta"]["hostvars"]
    assert hosts.pop("static01") == {"ansible_host": "192.0.2.1", "secret": "of the provider", "stolen": "static01"}
    assert hosts.pop("web1") == {"ansible_host": "192.0.2.2"}
    for name, variables in hosts.items():
        number = int(variables["veeam_failure_message"])
        assert names[number] == name == variables["veeam_vm_name"]
        assert variables["copied"] == str(number)
        assert variables.get("stolen", name) == name
        assert (name in listed.get("failed", {}).get("hosts", [])) == (number % 2 == 0)
        assert name == "_meta" or name not in listed
        assert name.isprintable() and not re.match("-|__ansible|.*(/|{{)", name)
        with suppress(OSError):  # it is no address, or not one of this machine
            address = socket.getaddrinfo(name.encode(), 22, flags=socket.AI_NUMERICHOST)[0][4][0]
            assert not ipaddress.ip_address(address).is_loopback
    folded = [name.casefold() for name in hosts]
    assert len(set(folded)) == len(folded)
    assert not {"localhost", "all", "providers", "static01"} & set(folded)
    groups = {"_meta", "all", "ungrouped", "providers", "failed"}
    taken = groups | {name for name in listed if name.startswith("vm_")} | {"static01", "web1", "localhost"}
    assert {name for name in names if re.fullmatch("[a-z][a-z0-9-]{0,99}", name)} - taken - set(hosts) == set()
    return [name for name in hosts if not PATTERN.search(name)]


def test_hosts_stand_for_themselves(em, place):
    names = [*COMMANDS, *OTHERS, *FILES, *FINE, "failed", "__ansible_unsafe", "x" * 300, "db\u200b", "db ", "db", "DB"]
    plain = stand_for_themselves(em, place, names)
    (place / "all.yml").write_text("- hosts: all\n")
    name = next(name for name in plain if "touch" not in name and name != "web1")
    done = ansible(em, place, "ansible-playbook", "all.yml", "--list-hosts", "-l", name)
    assert re.search(r"hosts \(1\):\n *(.*)\n", done.output).group(1) == name, done.output


@pytest.mark.matrix
@settings(
    max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
)
@given(names=st.lists(NAMES, min_size=40, max_size=80))
def test_hosts_of_any_name_stand_for_themselves(em, place, names):
    plain = stand_for_themselves(em, place, names)
    (place / "all.yml").write_text("- hosts: all\n")
    for name in plain[:2]:
        done = ansible(em, place, "ansible-playbook", "all.yml", "--list-hosts", "-l", name)
        found = re.search(r"hosts \((\d+)\):\n *(.*)\n", done.output)
        assert found.groups() == ("1", name), done.output
