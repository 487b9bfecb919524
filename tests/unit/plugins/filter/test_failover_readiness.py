# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the filter is called, and what the documentation shows; the rules are in module_utils/_readiness."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.utils.unsafe_proxy import AnsibleUnsafeText, wrap_var
from ansible_collections.dr_runbook.veeam_em.plugins.filter import failover_readiness as plugin
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.status import STATUSES, readiness
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._readiness.readiness_facts import (
    NOW,
    POLICY,
    SERVER,
    history,
    look,
    note,
    plan,
    point,
    run,
    task,
)
from templating import trust_as_template

FILTER = "dr_runbook.veeam_em.failover_readiness"
REPO = Path(__file__).resolve().parents[4]
GOOD = run(10, "db", "web")
POLICIES = {"plans": [POLICY]}


def template(text, /, **variables):
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def judge(arguments, /, facts=None, **variables):
    facts = wrap_var(history(GOOD) if facts is None else facts)  # as ansible-core does with the result of a module
    return template(f"{{{{ history | {FILTER}({arguments}) }}}}", history=facts, policy=POLICIES, at=NOW, **variables)


def test_as_jinja_calls_it():
    found = judge("policy, now=at")
    assert found == readiness(history(GOOD), POLICIES, NOW)
    assert found["plans"][0]["status"] == "ready"
    assert judge("policy=policy, now=at | to_datetime('%Y-%m-%dT%H:%M:%S.%fZ') | string ~ 'Z'") == found
    assert (
        plugin.failover_readiness(history(GOOD), POLICIES, now=datetime(2026, 11, 28, 20, tzinfo=timezone.utc)) == found
    )


def test_texts_of_the_server_are_no_templates():
    words = "{{ lookup('pipe', 'id') }}"
    facts = history(
        run(10, task(words, "Failed"), name=words, result="Failed", failure_message=words),
        plans=[plan(words, name=words)],
        notes=[note("waiver", plan=words, until="2026-12-01")],
    )
    facts["notes"][0]["text"] = words
    found = judge("policy, now=at", facts)
    (mine,) = found["plans"]
    assert mine["reasons"][1]["text"] == f"{words} failed. Enterprise Manager says: {words}."
    shown = template("{{ plan.name }} {{ plan.vms[0].name }} {{ plan.waived.reason }}", plan=mine)
    assert shown == f"{words} {words} {words}"
    assert json.loads(template("{{ found | to_json }}", found=found)) == found


def test_a_history_is_not_rendered_value_by_value(monkeypatch):
    """ansible-core 2.19 and newer would do that whenever one is read, which takes longer than all else."""
    read = []
    monkeypatch.setattr(plugin, "readiness", lambda *given: read.append(given) or {"plans": []})
    template(f"{{{{ history | {FILTER}(policy, now=at) }}}}", history=history(GOOD), policy=POLICIES, at=NOW)
    ((facts, *_others),) = read
    assert {type(item) for item in facts["failover_sessions"] + facts["failover_sessions"][0]["tasks"]} == {dict}


def test_each_text_is_marked():
    """By type, since ansible-core 2.18 and older trust all texts without a mark, and newer ones those with one."""
    words = trust_as_template("{{ lookup('pipe', 'id') }}")
    facts = history(run(10, words, words, name=words), plans=[plan(words, words, name=words)])
    found = plugin.failover_readiness(facts, POLICIES, NOW)

    def texts(value):
        if isinstance(value, (dict, list)):
            return [text for part in (value.values() if isinstance(value, dict) else value) for text in texts(part)]
        return [value] if isinstance(value, str) else []

    marks = {type(text) for text in texts(found)}
    assert len(marks) == 1 and marks <= {AnsibleUnsafeText, str}
    assert marks == {type(wrap_var("x"))}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("policy", "now: null cannot be used. Give a time with zone, such as '2026-11-28T20:00:00Z'"),
        ("policy, now='2026-11-28T20:00:00'", "now: '2026-11-28T20:00:00' cannot be used. Give a time with zone"),
        ("policy, now='2026-11-28'", "now: '2026-11-28' cannot be used."),
        ("policy, now=now(utc=true)", "cannot be used. Give a time with zone"),
        (
            "policy, now='2025-11-28T20:00:00Z'",
            "The history is from later: it has something of 2026-11-18T20:00:00.000000Z.",
        ),
        ("now=at", "policy: null cannot be used."),
        ("nothing, now=at", "undefined"),
        ("{'plans': [{'match': nothing}]}, now=at", "undefined"),
        (
            "{'plans': [{'match': '*', 'intervall': 1}]}, now=at",
            "policy[plans][0]: 'intervall' cannot be used. Keys are: match,",
        ),
        ("{'plans': [{'match': 7}]}, now=at", "policy[plans][0][match]: 7 cannot be used. It is not a text."),
    ],
)
def test_what_cannot_be_used(arguments, words):
    with pytest.raises(AnsibleError) as raised:
        judge(arguments)
    assert words in str(raised.value)
    assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ([], "failover_readiness: history: a list of 0 cannot be used. Give what failover_history_info returns"),
        ({"failover_sessions": []}, "failover_readiness: history: a dictionary cannot be used. Give what"),
        (
            history({}),
            "failover_readiness: history[failover_sessions][0]: a dictionary cannot be used. It needs id, name,",
        ),
        (
            history({**GOOD, "tasks": [7]}),
            "failover_readiness: history[failover_sessions][0][tasks][0]: 7 cannot be used.",
        ),
        (
            history({**GOOD, "end_time": datetime(2026, 1, 1)}),
            "failover_readiness: history[failover_sessions][0][end_time]: '2026-01-01",
        ),
        (
            history(plans=[plan("db", vms=[{"id": 1}])]),
            "failover_readiness: history[failover_plans][0][vms][0]: a dictionary",
        ),
        (history(looks="x"), "failover_readiness: history[looks]: 'x' cannot be used. Give the list that"),
        (history(points=[{}]), "failover_readiness: history[points][0]: a dictionary cannot be used."),
        (
            history({**GOOD, "tasks": None}),
            "failover_readiness: history[failover_sessions][0][tasks]: null cannot be used.",
        ),
        (
            history(looks=[{"seen_at": None}]),
            "failover_readiness: history[looks][0][seen_at]: null cannot be used. Give a time,",
        ),
        (
            history(looks=[{**look(), "missing": 7}]),
            "failover_readiness: history[looks][0][missing]: 7 cannot be used. Give a list",
        ),
        (
            history(gaps=[{"from": NOW, "to": None}]),
            "failover_readiness: history[gaps][0][to]: null cannot be used. Give a time,",
        ),
        (
            history(GOOD, plans=[plan("db", versions=None) | {"versions": [{"seen_at": None, "vms": []}]}]),
            "failover_readiness: history[failover_plans][0][versions][0][seen_at]: null cannot be used. Give a time,",
        ),
        (
            history({**GOOD, "backup_server": "vbr"}),
            "failover_readiness: history[failover_sessions][0][backup_server]: 'vbr' cannot be used. Give a dictionary or null,",
        ),
        (
            history({**GOOD, "tasks": [{**GOOD["tasks"][0], "replica_point": "p1"}]}),
            "failover_readiness: history[failover_sessions][0][tasks][0][replica_point]: 'p1' cannot be used. Give a dictionary",
        ),
        (
            history({**GOOD, "run": "x"}),
            "failover_readiness: history[failover_sessions][0][run]: 'x' cannot be used. Give a dictionary",
        ),
        (
            history({**GOOD, "duration": "60"}),
            "failover_readiness: history[failover_sessions][0][duration]: '60' cannot be used. Give a number or null,",
        ),
        (
            history(plans=[plan("db", tenant="Acme")]),
            "failover_readiness: history[failover_plans][0][tenant]: 'Acme' cannot be used. Give a dictionary",
        ),
        (
            history(points=[point("db", backup_server="vbr")]),
            "failover_readiness: history[points][0][backup_server]: 'vbr' cannot be used. Give a dictionary",
        ),
        (
            history(notes=[note("waiver", until=7)]),
            "failover_readiness: history[notes][0][until]: 7 cannot be used. It is not a text.",
        ),
    ],
)
def test_what_is_no_history(facts, sentence):
    with pytest.raises(AnsibleFilterError) as raised:
        plugin.failover_readiness(facts, POLICIES, now=NOW)
    assert str(raised.value).startswith(sentence)
    assert raised.value.__cause__ is None


# What the documentation shows

SEVEN = {
    "Acme ERP": [run(9, task("erp-db", "Failed"), "erp-web", result="Failed"), run(60, "erp-db", "erp-web")],
    "Acme Web": [run(9, "db", "web")],
    "Acme Mail": [run(80, "db", "web")],
    "Acme Files": [run(120, "db", "web")],
    "Globex Shop": [run(9, "db", kind="failover")],
    "Globex Lab": [],
    "Initech": [run(9, "db", "web")],
}


def seven_plans():
    """A history of seven plans, in which an assertion of the guide fails."""
    sessions = [{**each, "id": f"{name} {each['id']}", "name": name} for name, those in SEVEN.items() for each in those]
    plans = [
        plan(
            *(("erp-db", "erp-web") if "ERP" in name else ("db", "web")),
            name=name,
            id=name,
            tenant={"id": "1", "name": name.split()[0]},
        )
        for name in SEVEN
    ]
    points = [point("db", id="other", backup_server={**SERVER, "id": "other"})]
    return history(*sessions, plans=plans, looks=[look()], points=points)


def snippets(text):
    """Those that are tasks of the filter; others have tests of their own."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    others = "hosts:|(?m:^groups:|^failover_readiness_)|failover_metrics|portfolio|veeam_em.failover_readiness'"
    return [block for block in blocks if not re.search(others, block)]


def run_tasks(blocks, **variables):
    """Tasks as Ansible runs set_fact, debug and assert; gives the variables, and the names of the assertions that failed."""
    failed, shown = [], []
    for item in [item for block in blocks for item in yaml.safe_load(block)]:
        (action,) = [name for name in item if name.startswith("ansible.builtin.")]
        known = {**variables, **item.get("vars", {})}
        known = {name: trusted(value) for name, value in known.items()}
        for one in template(item["loop"], **known) if "loop" in item else [None]:
            known["item"] = one
            if action.endswith("set_fact"):
                variables.update({name: template(value, **known) for name, value in item[action].items()})
            elif action.endswith("debug"):
                shown.append(template(item[action]["msg"], **known))
            elif not template(f"{{{{ {item[action]['that']} }}}}", **known):
                failed.append(template(item[action]["fail_msg"], **known))
    return variables, shown, failed


def trusted(value):
    return trust_as_template(value) if isinstance(value, str) and "{{" in value else value


def test_the_guide():
    guide = REPO.joinpath("docs", "readiness.md").read_text(encoding="utf-8")
    variables, shown, failed = run_tasks(snippets(guide), history=seven_plans())
    statuses = {each["name"]: each["status"] for each in variables["readiness"]["plans"]}
    assert statuses == {
        "Acme ERP": "failed",
        "Globex Lab": "never_tested",
        "Acme Files": "overdue",
        "Globex Shop": "partial",
        "Acme Mail": "due",
        "Initech": "no_policy",
        "Acme Web": "ready",
    }
    assert shown[1].startswith("Acme ERP: The test of 2026-11-19 19:50 UTC did not pass. erp-db failed.")
    assert len(failed) == 1 and failed[0].startswith("Acme ERP, ")
    playbook = yaml.safe_load(re.search(r"^```yaml\n(# readiness.yml.*?)^```", guide, re.MULTILINE | re.DOTALL)[1])
    show = playbook[0]["tasks"][1]
    _dummy, shown, _dummy = run_tasks([yaml.safe_dump([show])], history=recent(seven_plans()))
    assert shown[0].startswith("Acme ERP: failed. The test of ")


def recent(facts):
    """The same, moved so that it ends now."""
    move = datetime.now(timezone.utc).replace(tzinfo=None) - datetime(2026, 11, 28, 20)

    def moved(match):
        when = datetime.strptime(match[0], "%Y-%m-%dT%H:%M:%S.%fZ") + move
        return when.isoformat(timespec="microseconds") + "Z"

    return json.loads(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", moved, json.dumps(facts)))


def test_the_examples():
    documentation = yaml.safe_load(
        REPO.joinpath("plugins", "filter", "failover_readiness.yml").read_text(encoding="utf-8")
    )
    variables, shown, failed = run_tasks([documentation["EXAMPLES"]], history=recent(seven_plans()))
    assert shown[0].startswith("Acme ERP: failed.") and not failed
    assert set(shown[-1]) == {"db", "web"}
    sample = documentation["RETURN"]["_value"]["contains"]
    assert list(sample["summary"]["sample"]) == [*STATUSES, "waived"] == list(variables["readiness"]["summary"])
    assert set(sample["plans"]["contains"]) | {"id", "name", "tenant", "backup_server"} == set(
        variables["readiness"]["plans"][0]
    )
    keys = documentation["DOCUMENTATION"]["options"]["policy"]["suboptions"]["plans"]["suboptions"]
    with pytest.raises(AnsibleFilterError, match=f"Keys are: {', '.join(keys)}."):
        plugin.failover_readiness(history(), {"plans": [{"match": "*", "x": 1}]}, now=NOW)


def test_a_recorded_history(em, record, read):
    """What the modules record and return, from the emulator's sessions to a status."""
    em.reset(sessions=24, tasks=2)
    record()
    facts = read()
    now = facts["looks"][0]["seen_at"]

    def statuses(facts):
        found = plugin.failover_readiness(facts, {"plans": [{"match": "*", "test_every": "999d"}]}, now=now)["plans"]
        return {each["name"]: each["status"] for each in found}

    before = statuses(facts)
    assert set(before) == {each["name"] for each in facts["failover_plans"]}
    assert set(before.values()) <= {"never_tested", "unproven"} and "unproven" in before.values()
    newest = next(each for each in facts["failover_sessions"] if each["name"] in before and each["finished"])
    record(notes=[{"type": "kind", "kind": "test", "session_id": newest["id"], "by": "J. Doe", "text": "I ran it"}])
    facts = read()
    now = facts["looks"][0]["seen_at"]
    assert newest["succeeded"]
    assert statuses(facts) == {**before, newest["name"]: "ready"}
