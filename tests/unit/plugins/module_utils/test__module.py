# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How facts leave a module: exactly as ``exit_json`` prints them, only sooner."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils import basic
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module

FACTS = [
    {"name": 'R&D "\u03a9" \\ / \U0001f600', "progress": 100, "duration": 80.5, "tasks": [], "succeeded": None},
    {"name": None, "progress": None, "duration": 0.0, "tasks": [{"vm_name": "filesrv03"}], "succeeded": False},
]


@pytest.fixture
def printed(module_arguments, capsys):
    """What a module prints whose only option is the password."""

    def call(leave, password):
        with module_arguments({"password": password}):
            module = basic.AnsibleModule(argument_spec={"password": {"type": "str", "no_log": True}})
            with pytest.raises(SystemExit) as left:
                leave(module)
        assert not left.value.code
        return capsys.readouterr().out

    return call


SECRETS = (
    ["Passw0rd!", "100", "80.5", "filesrv", "name", "e", "0", '"', "\\", "\u03a9", "\U0001f600", '"\u03a9" \\', "\n"]
    # Characters of the stand-in.
    + [*"123456789abcdf"]
)


@pytest.mark.parametrize("password", SECRETS)
@pytest.mark.parametrize("facts", [FACTS, FACTS[1:], []], ids=["two", "one", "none"])
def test_it_prints_what_exit_json_prints(printed, password, facts):
    more = {"changed": False, "query": {"filter": f"Name=={password}"}}
    quick = printed(lambda module: _module.exit_with_facts(module, "facts", facts, **more), password)
    plain = printed(lambda module: module.exit_json(facts=facts, **more), password)
    assert json.loads(quick) == json.loads(plain)
    assert quick.count("\n{") == 1  # one result, and what starts a line is what ansible-core looks for


def test_ansible_does_not_walk_through_the_facts(printed, monkeypatch):
    walked = []
    remove_values = basic.remove_values
    monkeypatch.setattr(
        basic, "remove_values", lambda value, secrets: walked.append(value) or remove_values(value, secrets)
    )
    printed(lambda module: _module.exit_with_facts(module, "facts", FACTS, changed=False), "Passw0rd!")
    assert "filesrv03" not in repr(walked)
    walked.clear()
    shown = printed(lambda module: _module.exit_with_facts(module, "facts", FACTS, changed=False), "filesrv")
    assert "filesrv03" in repr(walked)
    assert "filesrv" not in shown
