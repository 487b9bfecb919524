# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate: it says what the filter says of the same history, and stays shut on every doubt."""

from __future__ import annotations

import re
import sqlite3
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import STORE_SPEC
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.status import readiness
from templating import trust_as_template

REPO = Path(__file__).resolve().parents[4]
NAME = "dr_runbook.veeam_em.failover_readiness"
POLICY = {"plans": [{"match": "*", "test_every": "999d"}]}
HOSTILE = "{{ lookup('pipe', 'touch /tmp/ran') }}"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in STORE_SPEC:
        monkeypatch.delenv(f"VEEAM_EM_{name.upper()}", raising=False)


@pytest.fixture
def look_up(store):
    """Call the lookup as Jinja does; keyword arguments are its options, ``variables`` those of the play."""

    def call(*terms, variables=None, **options):
        loader = DataLoader()
        templar = Templar(loader=loader, variables=variables or {})
        plugin = lookup_loader.get(NAME, loader=loader, templar=templar)
        given = {"policy": POLICY, **({"store": store} if variables is None else {}), **options}
        return plugin.run(list(terms), variables=variables or {}, **given)

    return call


def ago(**units):
    return (datetime.now(timezone.utc) - timedelta(**units)).isoformat()


@pytest.fixture
def recorded(em, record):
    """The history of two plans, one of which passed a test."""
    em.reset(sessions=0)
    for name in ("Acme Web", "Acme ERP"):
        em.world.add_plan(name, ["db"], tenant="Acme")
    session = em.world.add_session(
        "Acme Web",
        state="Stopped",
        result="Success",
        creation_time=ago(hours=30),
        end_time=ago(hours=29),
        tasks=[{"vm_name": "db"}],
    )
    record()
    kind = {"type": "kind", "kind": "test", "session_id": session.id, "by": "J. Doe", "text": "I ran it"}
    record(notes=[kind])
    return session


def test_what_the_filter_says(recorded, look_up, read):
    (plan,) = look_up("Acme Web")
    assert (plan["name"], plan["status"], plan["reasons"]) == ("Acme Web", "ready", [])
    found = look_up(["Acme ERP", "Acme Web"], "Acme ERP")
    assert [each["status"] for each in found] == ["never_tested", "ready", "never_tested"]
    whole = readiness(read(), POLICY, ago(minutes=-1))["plans"]
    assert look_up(*(each["name"] for each in whole), now=ago(minutes=-1)) == whole


def test_by_id(recorded, look_up):
    now = ago(minutes=-1)
    (plan,) = look_up("Acme Web", now=now)
    assert look_up(plan["id"], now=now) == [plan]


def test_the_clock_of_the_controller(recorded, look_up):
    later = ago(days=-2000)
    assert look_up("Acme Web", now=later)[0]["status"] == "overdue"
    assert look_up("Acme Web", now="")[0]["status"] == look_up("Acme Web", now=None)[0]["status"] == "ready"


def test_in_a_template(recorded, store):
    """As the guide shows it, with the store from a variable."""
    expression = f"{{{{ lookup('{NAME}', 'Acme Web', policy=policy).status in ['ready', 'due'] }}}}"
    templar = Templar(
        loader=DataLoader(), variables={"policy": POLICY, "veeam_em_store": store, "veeam_em_url": "{{ x }}"}
    )
    assert templar.template(trust_as_template(expression)) is True


def test_the_store_from_the_environment(recorded, look_up, store, monkeypatch):
    monkeypatch.setenv("VEEAM_EM_STORE", store)
    assert look_up("Acme Web", variables={})[0]["status"] == "ready"


def test_names_are_no_templates(em, record, look_up, store):
    em.world.add_plan(HOSTILE, [HOSTILE])
    record()
    (plan,) = look_up(HOSTILE)
    shown = Templar(loader=DataLoader(), variables={"plan": plan}).template(
        trust_as_template("{{ plan.name }} {{ plan.vms[0].name }}")
    )
    assert shown == f"{HOSTILE} {HOSTILE}"


@pytest.mark.parametrize(
    ("terms", "options", "sentence"),
    [
        (["Acme web"], {}, "The history has no plan named 'Acme web' that Enterprise Manager still lists. 'Acme Web' (id "),
        (["Acme We"], {}, "lists. Did you mean 'Acme Web' or 'Acme ERP'? ("),
        (["Other"], {}, "lists. Give the name exactly as Enterprise Manager shows it, and check em_name, tenant and store. ("),
        (["Acme Web"], {"tenant": "Globex"}, "The history has no plan named 'Acme Web'"),
        (["Acme Web"], {"em_name": "other"}, "The history has no plan named 'Acme Web'"),
        ([7], {}, "term: 7 cannot be used. It is not a text."),
        ([], {}, "term: null cannot be used. Give the names of plans"),
        ([[]], {}, "term: a list of 0 cannot be used."),
        ([" "], {}, "term: ' ' cannot be used. Give the names of plans"),
        ([None], {}, "term: null cannot be used. Give the names of plans"),
        (["Acme Web"], {"policy": None}, "policy: null cannot be used. Give a dictionary with plans"),
        (["Acme Web"], {"policy": "x"}, "policy: 'x' cannot be used. Give a dictionary with plans"),
        (["Acme Web"], {"policy": {"plans": [{"match": "*", "x": 1}]}}, "policy[plans][0]: 'x' cannot be used. Keys are: match,"),
        (["Acme Web"], {"now": "2026-11-28"}, "now: '2026-11-28' cannot be used. Give a time with zone"),
        (["Acme Web"], {"now": "2020-01-01T00:00:00Z"}, "The history is from later"),
        (["Acme Web"], {"verify": "maybe"}, "verify: 'maybe' cannot be used. Give true or false."),
        (["Acme Web"], {"tenant": ""}, "tenant: '' cannot be used. Give a name"),
        (["Acme Web"], {"tenant": None}, "tenant: null cannot be used. Give a value"),
        (["Acme Web"], {"tenant": 7}, "tenant: 7 cannot be used. It is not a text"),
        (["Acme Web"], {"em_name": None}, "em_name: null cannot be used. Give a value"),
        (["Acme Web"], {"tennant": "Acme"}, "Options are: em_name, now, policy, store, store_password, tenant, verify."),
        (["Acme Web"], {"store": ""}, "store: '' cannot be used. Give a file, or postgresql://user@host/database"),
        (["Acme Web"], {"store": "/nowhere/history.db"}, "(/nowhere/history.db)"),
    ],
)  # fmt: skip
def test_what_keeps_it_shut(recorded, look_up, terms, options, sentence):
    with pytest.raises(AnsibleLookupError) as raised:
        look_up(*terms, **options)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)


def test_an_empty_history(look_up):
    with pytest.raises(AnsibleLookupError, match="^There is no history yet. Record with failover_history first"):
        look_up("Acme Web")


def test_several_plans_of_a_name(em, recorded, record, look_up):
    em.world.add_plan("Acme Web", ["db"], tenant="Globex", backup_server="vbr9")
    record()
    with pytest.raises(AnsibleLookupError) as raised:
        look_up("Acme Web")
    assert re.match(
        r"2 plans are named 'Acme Web': [0-9a-f-]{36} \(.*Globex.*\). Give em_name or tenant, or an id instead of the name. \(/",
        str(raised.value),
    )
    (plan,) = look_up("Acme Web", tenant="Globex")
    assert plan["status"] == "never_tested" and look_up(plan["id"])[0]["id"] == plan["id"]


def test_two_managers(em, recorded, record, look_up):
    record(em_name="second")
    with pytest.raises(AnsibleLookupError, match="2 plans are named 'Acme Web'"):
        look_up("Acme Web")
    # Its kind was noted in the first only.
    assert look_up("Acme Web", em_name="second")[0]["status"] == "unproven"


def test_a_history_that_was_changed(recorded, look_up, store):
    with sqlite3.connect(store) as database:
        database.execute("DROP TRIGGER record_update")
        database.execute("UPDATE record SET body = replace(body, 'Success', 'Failed') WHERE kind = 'session'")
    sentence = r"^The history does not hold: Record \d+ was changed: its content does not match its digest. Nothing is judged by it"
    with pytest.raises(AnsibleLookupError, match=sentence):
        look_up("Acme Web")
    with pytest.raises(AnsibleLookupError, match=r"^Record \d+ of the history was changed and cannot be read"):
        look_up("Acme Web", verify=False)


def test_a_plan_that_is_gone(em, recorded, record, look_up):
    em.world.remove_plan(next(plan for plan in em.world.plans if plan.name == "Acme Web"))
    record()
    with pytest.raises(
        AnsibleLookupError, match="The history has no plan named 'Acme Web' that Enterprise Manager still lists"
    ):
        look_up("Acme Web")


def test_the_examples(recorded, store):
    text = lookup_loader.get(NAME).__module__ and (REPO / "plugins/lookup/failover_readiness.py").read_text(
        encoding="utf-8"
    )
    assert_, show = yaml.safe_load(re.search(r'EXAMPLES = r"""(.*?)"""', text, re.DOTALL)[1])
    variables = {"policy": POLICY, "veeam_em_store": store}
    templar = Templar(loader=DataLoader(), variables=variables)
    variables["plan"] = templar.template(trust_as_template(assert_["vars"]["plan"]))
    templar = Templar(loader=DataLoader(), variables=variables)
    assert templar.template(trust_as_template(f"{{{{ {assert_['ansible.builtin.assert']['that']} }}}}")) is True
    assert templar.template(trust_as_template(show["ansible.builtin.debug"]["msg"])) == ["Acme ERP"]
    with pytest.raises(AnsibleError, match="The history has no plan named"):
        templar.template(trust_as_template(assert_["vars"]["plan"].replace("Acme Web", "Nothing")))


def test_the_guide(recorded, store):
    guide = REPO.joinpath("docs", "readiness.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    gate, several = [yaml.safe_load(block) for block in blocks if f"{NAME}'" in block]
    variables = {"policy": POLICY, "veeam_em_store": store}
    variables["touched"] = Templar(loader=DataLoader(), variables=variables).template(
        trust_as_template(several[0]["ansible.builtin.set_fact"]["touched"])
    )
    outcomes = [
        Templar(loader=DataLoader(), variables=variables).template(
            trust_as_template(f"{{{{ {task['ansible.builtin.assert']['that']} }}}}")
        )
        for task in (gate[0], several[1])
    ]
    assert outcomes == [True, False]
