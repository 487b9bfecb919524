# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the filter is called; what it creates is in plugin_utils/_report/."""

from __future__ import annotations

import json

import pytest
from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.dr_runbook.veeam_em.plugins.filter import failover_report as plugin
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report.files import make
from templating import trust_as_template

FILTER = "dr_runbook.veeam_em.failover_report"
TEMPLATE = "{{ lookup('pipe', 'id') }}"
SESSION = {
    "id": "475420ee-d045-4493-9869-0a970e08f6f9",
    "name": TEMPLATE,
    "state": "Stopped",
    "result": "Success",
    "finished": True,
    "succeeded": True,
    "creation_time": "2026-03-02T08:00:00.000000Z",
    "end_time": "2026-03-02T08:18:40.000000Z",
    "duration": 1120.0,
    "tasks": [],
}


def template(text, /, **variables):
    return Templar(loader=DataLoader(), variables=variables).template(trust_as_template(text))


def report(arguments, /, **variables):
    variables = {"session": wrap_var(SESSION), **variables}
    return template(f"{{{{ session | {FILTER}({arguments}) }}}}", **variables)


def test_the_files_come_from_a_template():
    made = report("operator='Ada', action='test'")
    assert made == make(SESSION, {"operator": "Ada", "action": "test"})
    assert [file["kind"] for file in made["files"]] == ["html", "json", "csv", "junit", "sha256"]


def test_the_types_of_the_result_are_plain():
    assert json.loads(json.dumps(report(""))) == make(SESSION, {})


def test_names_of_the_server_are_no_templates():
    made = report("verdict=session | dr_runbook.veeam_em.failover_verdict(rto='1h')")
    again = template("{{ made.files[1].content | string }}", made=made)
    assert json.loads(again)["session"]["name"] == TEMPLATE
    assert json.loads(again)["verdict"]["passed"] is True
    assert "uid=" not in json.dumps(template("{{ made.files | map(attribute='content') | list }}", made=made))


def test_without_files_there_are_sentences_only():
    made = report("action='test', files=false")
    assert list(made) == ["after_run"]
    assert made["after_run"]["text"].startswith("It is not known whether VMs are still in failover")


def test_null_is_not_given():
    nothing = ", ".join(f"{option}=none" for option in plugin.OPTIONS)
    assert report(nothing) == report("")


@pytest.mark.parametrize(
    ("rto", "expected"),
    [
        ("1h", ["2026-05-31T08:18:40.000000Z", None, "The policy asks for none. By it, this run passed."]),
        ("1m", [None, "2026-04-01T08:18:40.000000Z", "By the policy, which asks for a retest within 30 d."]),
    ],
)
def test_dates_by_the_policy(rto, expected):
    judged = f"session | dr_runbook.veeam_em.failover_verdict(rto='{rto}')"
    made = report(
        f"action='test', verdict={judged}, policy=policy",
        policy={"plans": [{"match": "*", "test_every": "90d", "retest_within": "30d"}]},
    )
    data = json.loads(made["files"][1]["content"])
    assert [data["next_test"]["date"], data["retest"]["date"]] == expected[:2]
    assert data["retest"]["basis"].startswith(expected[2])


def test_manifests_are_chained():
    first = report("")
    manifests = {first["files"][-1]["name"]: first["files"][-1]["content"]}
    second = report("operator='Ada', manifests=manifests", manifests=manifests)
    assert [item["name"] for item in second["previous_manifests"]] == list(manifests)
    assert report("manifests=manifests", manifests=manifests) == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("oprator='Ada'", "failover_report: there is no option oprator. Options are: verdict, plan"),
        ("{}", "failover_report: each option needs its name"),
        ("action='failover'", "failover_report: action: 'failover' cannot be used. Give one of start, test, undo"),
        ("verdict=[]", "failover_report: verdict: a list of 0 cannot be used"),
        ("plan='a'", "failover_report: plan: 'a' cannot be used"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(arguments, words):
    with pytest.raises(AnsibleError) as raised:
        report(arguments)
    assert words in str(raised.value)


def test_what_is_undefined_is_no_value():
    with pytest.raises(AnsibleError) as raised:
        report("verdict=no_such_variable")
    assert "undefined" in str(raised.value)


def test_errors_are_of_the_filter():
    with pytest.raises(AnsibleFilterError, match="Give one session"):
        plugin.FilterModule().filters()["failover_report"]({})
