# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the filter is called; what it judges is in module_utils/_verdict."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.dr_runbook.veeam_em.plugins.filter import failover_verdict as plugin
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from templating import trust_as_template

FILTER = "dr_runbook.veeam_em.failover_verdict"
TEMPLATE = "{{ lookup('pipe', 'id') }}"


def session(vm_name="filesrv03", **more):
    run = {"state": "Stopped", "result": "Success", "failure_message": None}
    facts = {
        "id": "475420ee-d045-4493-9869-0a970e08f6f9",
        "name": "Plan",
        **run,
        "creation_time": "2026-03-02T08:00:00.000000Z",
        "end_time": "2026-03-02T08:18:40.000000Z",
        "tasks": [
            {
                "vm_name": vm_name,
                **run,
                "creation_time": "2026-03-02T08:00:06.000000Z",
                "end_time": "2026-03-02T08:18:12.000000Z",
                "replica_point": None,
            }
        ],
        **more,
    }
    return wrap_var(facts)  # as ansible-core does with the result of a module


def template(text, /, **variables):
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def judge(arguments, /, **variables):
    variables = {"session": session(), **variables}
    return template(f"{{{{ session | {FILTER}({arguments}) }}}}", **variables)


def test_as_jinja_calls_it():
    verdict = judge("rto='1h', vm_rto={'file*': '15m'}")
    assert verdict["passed"] is False
    assert [reason["text"] for reason in verdict["reasons"]] == [
        "filesrv03 took 18 min 12 s from the start of the run, target 15 min."
    ]
    assert judge("") == evaluate(session(), {})


def test_targets_in_a_variable():
    assert judge("**targets", targets={"rto": "15m"})["reasons"][0]["code"] == "rto_missed"


def test_with_map():
    found = template(
        f"{{{{ [one, one] | map('{FILTER}', rto='15m') | map(attribute='passed') | list }}}}", one=session()
    )
    assert found == [False, False]


def test_generators_are_lists():
    verdict = judge("required_vms=session.tasks | map(attribute='vm_name')")
    assert verdict["targets"]["required_vms"] == ["filesrv03"]
    with pytest.raises(AnsibleError, match="session: a list of 1 cannot be used"):
        template(f"{{{{ [one] | selectattr('id') | {FILTER} }}}}", one=session())
    # ansible-core 2.16 hands them over; later ones make lists of them.
    verdict = plugin.failover_verdict(session(), required_vms=iter(["filesrv03"]))
    assert verdict["targets"]["required_vms"] == ["filesrv03"]


def test_a_time_without_quotes_in_yaml_is_the_same_time():
    facts = session()
    when = datetime(2026, 3, 2, 8, tzinfo=timezone.utc)
    assert plugin.failover_verdict({**facts, "creation_time": when}) == plugin.failover_verdict(facts)


@pytest.mark.parametrize("text", ["false", "False", "no", "off", "0"])
def test_booleans_of_extra_variables_are_texts(text):
    assert judge("allow_warnings=text", text=text)["targets"]["allow_warnings"] is False
    assert judge("allow_warnings=text", text="yes")["targets"]["allow_warnings"] is True


def test_whose_session_it_is():
    inferred = judge("rto='1h', session_source=source", source="inferred")
    assert [reason["code"] for reason in inferred["reasons"]] == ["session_inferred"]
    assert "session_source" not in inferred["targets"]
    assert judge("rto='1h', session_source='task'") == judge("rto='1h', session_source=none") == judge("rto='1h'")


def test_texts_of_the_server_are_no_templates():
    facts = session(vm_name=TEMPLATE, result="Failed", failure_message=TEMPLATE)
    verdict = judge("vm_rto={'*': 1}", session=facts)
    texts = [reason["text"] for reason in verdict["reasons"]]
    assert texts[0] == f"The run failed, but none of its VMs did. Enterprise Manager says: {TEMPLATE}."
    assert f"{TEMPLATE} took 18 min 12 s from the start of the run, target 1 s." in texts
    shown = template(
        "{{ verdict.vms[0].name }} {{ verdict.reasons[0].text }} {{ verdict.critical_vm }}", verdict=verdict
    )
    assert shown == f"{TEMPLATE} {texts[0]} {TEMPLATE}"
    assert json.loads(template("{{ verdict | to_json }}", verdict=verdict)) == verdict


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("'1h'", "Give each target with its name, such as rto='1h'."),
        ("rot='1h'", "target: 'rot' cannot be used. Targets are: rto, vm_rto,"),
        ("session=1", "target: 'session' cannot be used."),
        ("rto='soon'", "rto: 'soon' cannot be used. Give seconds, or a text with units such as '90s'"),
        ("allow_warnings='perhaps'", "allow_warnings: 'perhaps' cannot be used. Give true or false."),
        ("plan=[]", "plan: a list of 0 cannot be used."),
        ("session_source='guessed'", "session_source: 'guessed' cannot be used. Give task or inferred"),
        ("session_source=nothing", "undefined"),
        ("rto=nothing", "undefined"),
        ("vm_rto={'db*': nothing}", "undefined"),
        ("required_vms=['a', nothing]", "undefined"),
        ("**nothing", "undefined"),
        ("vm_rto={7: '15m'}", "vm_rto: 7 cannot be used. It is not a text. YAML changes what is not in quotes"),
        ("required_vms=['a', 750]", "required_vms: 750 cannot be used. It is not a text."),
    ],
)
def test_what_cannot_be_used(arguments, words):
    with pytest.raises(AnsibleError) as raised:
        judge(arguments)
    assert words in str(raised.value)
    assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nothing", "undefined"),
        ("none", "session: null cannot be used."),
        ("[session]", "session: a list of 1 cannot be used. Give one session, such as failover_sessions[0]"),
        (
            "{'failover_sessions': [session]}",
            "session: a dictionary cannot be used. It has no id. Give one session, such as failover_sessions[0] of",
        ),
        ("session.tasks[0]", "session: a dictionary cannot be used. It has no id."),
        ("session | combine({'state': nothing})", "undefined"),
    ],
)
def test_what_is_no_session(value, words):
    with pytest.raises(AnsibleError) as raised:
        template(f"{{{{ {value} | {FILTER} }}}}", session=session())
    assert words in str(raised.value)


def test_errors_are_ansibles():
    from jinja2 import StrictUndefined

    judge_it = plugin.FilterModule().filters()["failover_verdict"]
    for facts, targets, sentence in (
        (None, {}, "failover_verdict: session: null cannot be used."),
        (
            StrictUndefined(name="x"),
            {},
            "failover_verdict: session: '...' cannot be used. It is undefined. Check the variable",
        ),
        ([StrictUndefined(name="x")], {}, "failover_verdict: session[0]: '...' cannot be used. It is undefined."),
        (
            session(),
            {"vm_rto": {"a": StrictUndefined()}},
            "failover_verdict: vm_rto['a']: '...' cannot be used. It is undefined.",
        ),
    ):
        with pytest.raises(AnsibleFilterError) as raised:
            judge_it(facts, **targets)
        assert str(raised.value).startswith(sentence)
        assert raised.value.__cause__ is None
