# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The textfile, as Prometheus's own parser reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.dr_runbook.veeam_em.plugins.filter import failover_metrics as plugin
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._readiness.readiness_facts import (
    EM,
    NOW,
    POLICY,
    SERVER,
    ago,
    history,
    look,
    note,
    plan,
    point,
    readiness,
    run,
    task,
)
from prometheus_client.parser import text_string_to_metric_families
from templating import trust_as_template

REPO = Path(__file__).resolve().parents[4]
ID = plan()["id"]
HOSTILE = [
    'a "quoted" name',
    "back\\slash\\",
    "two\nlines",
    'x"} 1\nveeam_em_failover_plan_ready{em="x"} 1 #',
    "{{ lookup('pipe', 'id') }}",
    "caf\u00e9 \u6f22\u5b57 \U0001f525",
    "\\n is no line",
]


def text_of(facts, **policy):
    found = readiness(facts, {"plans": [{**POLICY, **policy}]}, NOW)
    return plugin.failover_metrics(found, facts)


def samples(text):
    """The values by name and labels, without EM and id of the only plan."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge" and family.documentation
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if (name, value) != ("em", EM)}
            if labels.get("plan_id") == ID:
                del labels["plan_id"]
            key = (sample.name.replace("veeam_em_", ""), *labels.values())
            assert key not in found and sample.timestamp is None
            found[key] = sample.value
    return found


def seconds_ago(days):
    return 1795896000 - days * 86400


def test_all_that_is_known():
    facts = history(
        run(10, "db", task("web", "Failed"), result="Failed"),
        run(20, "db", "files"),
        run(40, "db", "files", kind="failover", duration=1234.5),
        plans=[plan("db", "web", "files")],
        notes=[note("waiver", plan="Plan", until="2026-12-01")],
        looks=[look(2, copy=3), look(0.5, copy=1), look(-999, copy=-999), look(1, copy=1.5, em_name="other")],
        verified=True,
    )
    found = samples(text_of(facts, rto="1h"))
    statuses = {key[1]: value for key, value in found.items() if key[0] == "failover_plan_status"}
    assert sum(statuses.values()) == statuses["failed"] == 1 and len(statuses) == 10
    assert {key: value for key, value in found.items() if key[0] != "failover_plan_status"} == {
        ("failover_plan_info", "Plan", "Acme", "vbr01"): 1,
        ("failover_plan_ready",): 0,
        ("failover_plan_in_failover",): 0,
        ("failover_plan_waived",): 1,
        ("failover_plan_last_pass_timestamp_seconds", "test"): seconds_ago(20),
        ("failover_plan_last_pass_timestamp_seconds", "failover"): seconds_ago(40),
        ("failover_plan_test_due_timestamp_seconds",): seconds_ago(20 - 90),
        ("failover_plan_vms", "exercised"): 2,
        ("failover_plan_vms", "not_exercised"): 1,
        ("failover_plan_last_duration_seconds", "test"): 600,
        ("failover_plan_last_duration_seconds", "failover"): 1234.5,
        ("failover_plan_rto_target_seconds",): 3600,
        ("data_collected_timestamp_seconds",): seconds_ago(1),
        ("data_collected_timestamp_seconds", "other"): seconds_ago(1.5),
        ("history_last_look_timestamp_seconds",): seconds_ago(0.5),
        ("history_last_look_timestamp_seconds", "other"): seconds_ago(1),
        ("history_chain_intact",): 1,
    }


def test_what_is_unknown_is_absent():
    facts = history(looks=[look(copy=None)], plans=[plan(vms=None)], verified=None)
    assert {key[0] for key in samples(text_of(facts))} == {
        "failover_plan_info",
        "failover_plan_ready",
        "failover_plan_status",
        "failover_plan_waived",
        "history_last_look_timestamp_seconds",
    }
    assert text_of(history(plans=[], looks=[])) == ""
    assert samples(text_of(history(plans=[], looks=[], verified=False))) == {("history_chain_intact",): 0}


@pytest.mark.parametrize(
    ("facts", "flag"),
    [
        (history(run(10, "db", "web"), points=[point("db")]), 1),
        (history(run(10, "db", "web")), 0),
        (history(run(10, "db", "web"), looks=[look(copy=None)]), None),
    ],
)
def test_in_failover(facts, flag):
    assert samples(text_of(facts)).get(("failover_plan_in_failover",)) == flag


@pytest.mark.parametrize(
    ("facts", "status", "is_ready"),
    [
        (history(run(10, "db", "web")), "ready", 1),
        (history(run(80, "db", "web")), "due", 1),
        (history(run(10, "db", "web"), gaps=[{"em_name": EM, "from": ago(9), "to": ago(8)}]), "unproven", 0),
        (history(run(120, "db", "web")), "overdue", 0),
    ],
)
def test_ready(facts, status, is_ready):
    found = samples(text_of(facts))
    assert found["failover_plan_status", status] == 1
    assert found["failover_plan_ready",] == is_ready


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name):
    server = {"id": "s", "name": name}
    mine = plan("db", name=name, tenant={"id": "t", "name": name}, backup_server=server, em_name=name)
    facts = history(
        run(10, "db", name=name, backup_server=server, em_name=name), plans=[mine], looks=[look(em_name=name)]
    )
    text = text_of(facts)
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    (info,) = families["veeam_em_failover_plan_info"]
    assert info.labels == {"em": name, "plan_id": ID, "plan": name, "tenant": name, "backup_server": name}
    (ready,) = families["veeam_em_failover_plan_ready"]
    assert (ready.labels, ready.value) == ({"em": name, "plan_id": ID}, 1)
    shown = Templar(loader=DataLoader(), variables={"text": text}).template(trust_as_template("{{ text }}"))
    assert shown == text


def test_what_does_not_print():
    text = text_of(history(plans=[plan("db", name="a\x1b[31mb\r\x00\u202ec\ud800")]))
    assert 'plan="a\ufffd[31mb\ufffd\ufffd\ufffdc\ufffd"' in text
    text.encode()


def test_plans_of_one_id():
    """In two EMs they are two plans; twice in one, the worse counts, since Prometheus would refuse the whole file."""
    facts = history(
        run(10, "db", "web"),
        plans=[plan("db", "web"), plan("db", "web", name="Other"), plan("db", em_name="other")],
    )
    families = {family.name: family.samples for family in text_string_to_metric_families(text_of(facts))}
    assert [sample.labels for sample in families["veeam_em_failover_plan_ready"]] == [
        {"em": EM, "plan_id": ID},
        {"em": "other", "plan_id": ID},
    ]
    never = [
        s.labels["em"] for s in families["veeam_em_failover_plan_status"] if s.value and "never" in s.labels["status"]
    ]
    assert never == [EM, "other"]


def test_plans_that_were_never_read():
    """They have no id, so several must not become one."""
    other = {**SERVER, "id": "other", "name": "vbr02"}
    runs = [run(10, "db"), {**run(11, "db"), "name": "B"}, {**run(12, "db"), "backup_server": other}]
    families = {f.name: f.samples for f in text_string_to_metric_families(text_of(history(*runs, plans=[])))}
    ids = [sample.labels["plan_id"] for sample in families["veeam_em_failover_plan_info"]]
    assert ids == ["name:B@vbr01", "name:Plan@vbr01", "name:Plan@vbr02"]


def test_the_same_whatever_the_order():
    plans = [plan("db", "web", id=str(number), name=f"Plan {number}") for number in range(5)]
    runs = [{**run(10 + number, "db", "web"), "name": f"Plan {number}"} for number in range(5)]
    looks = [look(), look(em_name="other"), look(3)]
    assert text_of(history(*runs, plans=plans, looks=looks)) == text_of(
        history(*reversed(runs), plans=plans[::-1], looks=looks[::-1])
    )


def test_no_series_for_a_vm():
    many = [f"vm{number}" for number in range(50)]
    few = text_of(history(run(10, "db"), plans=[plan("db")]))
    text = text_of(history(run(10, *many), plans=[plan(*many)]))
    assert text.count("\n") == few.count("\n") and "vm1" not in text


def test_naming_rules():
    """Those of promtool check metrics: help, base units, no type, abbreviation or reserved suffix in a name, no upper case."""
    for family in text_string_to_metric_families(text_of(history(run(10, "db", "web"), verified=True), rto="1h")):
        words = family.name.split("_")
        assert re.fullmatch(r"veeam_em_[a-z_]+", family.name) and family.documentation.endswith(".")
        assert not set(words) & {
            "gauge",
            "counter",
            "histogram",
            "summary",
            "ms",
            "sec",
            "secs",
            "mins",
            "minutes",
            "hours",
            "days",
        }
        assert words[-1] not in ("total", "sum", "count", "bucket") and family.name.count(
            "timestamp"
        ) <= family.name.count("_timestamp_seconds")
        for sample in family.samples:
            assert all(re.fullmatch("[a-z_]+", label) for label in sample.labels)
            assert not set(sample.labels) & {"le", "quantile", "job", "instance"}


@pytest.mark.parametrize(
    ("given", "facts", "sentence"),
    [
        (None, {}, "readiness: null cannot be used. Give what failover_readiness returns."),
        (
            {"now": NOW, "plans": [{}]},
            {},
            "readiness.plans: a list of 1 cannot be used. Give what failover_readiness returns.",
        ),
        (
            {"now": "today", "plans": []},
            {},
            "readiness.now: 'today' cannot be used. Give what failover_readiness returns.",
        ),
        ({"now": NOW, "plans": []}, None, "history: null cannot be used. Give what failover_history_info returns."),
        ({"now": NOW, "plans": []}, {"looks": [7]}, "history.looks: a list of 1 cannot be used."),
    ],
)
def test_what_cannot_be_used(given, facts, sentence):
    with pytest.raises(AnsibleFilterError) as raised:
        plugin.failover_metrics(given, facts)
    assert str(raised.value).startswith(f"failover_metrics: {sentence}")


def test_the_guide():
    """Its table has each metric with its labels; its alert rules and the example of the documentation name what there is."""
    guide = REPO.joinpath("docs", "readiness.md").read_text(encoding="utf-8")
    facts = history(run(10, "db", "web"), verified=True)
    families = list(text_string_to_metric_families(text_of(facts, rto="1h")))
    labels = {family.name: list(family.samples[0].labels) for family in families}
    codes = REPO.joinpath("docs", "codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(veeam_em_\w+)` \| (.*?) \|", codes, re.MULTILINE)
    assert {name: re.findall(r"`(\w+)`", cell) for name, cell in rows} == labels
    (rules,) = re.findall(r"^```yaml\n(groups:.*?)^```", guide, re.MULTILINE | re.DOTALL)
    for rule in yaml.safe_load(rules)["groups"][0]["rules"]:
        assert set(re.findall(r"veeam_em_\w+", rule["expr"])) <= set(labels)
    documentation = yaml.safe_load(REPO.joinpath("plugins/filter/failover_metrics.yml").read_text(encoding="utf-8"))
    (example,) = yaml.safe_load(documentation["EXAMPLES"])
    facts["readiness"] = readiness(facts, {"plans": [POLICY]}, NOW)
    variables = {"history": facts, "readiness": facts["readiness"]}
    template = trust_as_template(example["ansible.builtin.copy"]["content"])
    shown = Templar(loader=DataLoader(), variables=variables).template(template)
    assert set(documentation["RETURN"]["_value"]["sample"].splitlines()) <= set(shown.splitlines())
