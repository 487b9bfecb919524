# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import date, datetime, timezone

import pytest
import values
import yaml
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible.utils.unsafe_proxy import AnsibleUnsafeText
from ansible_collections.dr_runbook.veeam_em.plugins.lookup import failover_session
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import transport
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import CONNECTION_SPEC
from ansible_collections.dr_runbook.veeam_em.plugins.modules.failover_session_info import FIELDS
from emulator import Emulator, User
from templating import trust_as_template

PASSWORD = "Passw0rd!"
UNKNOWN = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def look_up(em, monkeypatch):
    """Call the lookup as Jinja does; keyword arguments are its options, ``variables`` those of the play."""
    for name in CONNECTION_SPEC:
        monkeypatch.delenv(f"VEEAM_EM_{name.upper()}", raising=False)
    warnings = []
    monkeypatch.setattr(Display(), "warning", warnings.append)

    def call(*terms, variables=None, **options):
        loader = DataLoader()
        templar = Templar(loader=loader, variables=variables or {})
        plugin = lookup_loader.get("dr_runbook.veeam_em.failover_session", loader=loader, templar=templar)
        if variables is None:
            options = {"url": em.url, "username": "reader", "password": PASSWORD, "retries": 0, **options}
        return plugin.run(list(terms), variables=variables or {}, **options)

    call.warnings = warnings
    return call


def fill(em, *runs):
    """Sessions of (plan, minute, result); returns them in this order."""
    return [
        em.world.add_session(
            name,
            state="Stopped",
            result=result,
            creation_time=f"2026-03-01T02:{minute:02}:00Z",
            tasks=[{"vm_name": "vm"}],
        )
        for name, minute, result in runs
    ]


RUNS = [("A", 1, "Failed"), ("B", 2, "Success"), ("A", 3, "Success"), ("B", 4, "Warning"), ("A", 5, "Success")]


def ids(sessions):
    return [session["id"] for session in sessions]


def test_names_and_ids_in_one_logon_and_in_their_order(em, look_up):
    runs = fill(em, *RUNS)
    found = look_up("B", runs[0].id, f"urn:veeam:CloudFailoverSession:{runs[1].id.upper()}", "A")
    assert ids(found) == [runs[n].id for n in (3, 1, 0, 1, 4, 2, 0)]
    assert em.counters.logons == 1
    assert em.counters.live_logons == 0
    assert em.counters.requests == 5  # one query for the names, one read for each id


@pytest.mark.parametrize("user", ["reader", "operator", "both", "restricted"])
@pytest.mark.parametrize("query", ["as resource", "refused"])
def test_each_role_gives_sessions_or_names_the_role_that_is_missing(em, look_up, user, query):
    runs = fill(em, *RUNS)
    em.behaviour.role_query = query
    em.behaviour.collection_days = None
    if user == "restricted":
        message = (
            "HTTP 403.*Check that restricted has the role Portal User or VM Restore Operator in Enterprise Manager"
        )
        with pytest.raises(AnsibleLookupError, match=message):
            look_up("A", username=user)
    else:
        assert ids(look_up("A", runs[1].id, username=user, latest=True)) == [runs[4].id, runs[1].id]
        forbidden = [warning for warning in look_up.warnings if f"forbids {user} to query" in warning]
        assert len(forbidden) == (query == "refused")
    assert em.counters.live_logons == 0


def test_the_newest_of_each_term(em, look_up):
    runs = fill(em, *RUNS)
    assert ids(look_up("A", "B", latest=True)) == [runs[4].id, runs[3].id]
    assert ids(look_up("A", "B", latest=True, sort_order="ascending")) == [runs[4].id, runs[3].id]
    assert ids(look_up("A", "B", latest=True, result="Success")) == [runs[4].id, runs[1].id]
    assert ids(look_up("A", "B", limit=2)) == [runs[n].id for n in (4, 2, 3, 1)]
    assert ids(look_up("A", sort_order="ascending")) == [runs[n].id for n in (0, 2, 4)]
    assert em.counters.live_logons == 0


def test_a_list_of_terms_as_one_term(em, look_up):
    runs = fill(em, *RUNS)
    assert ids(look_up(["B", "A"], latest=True)) == [runs[3].id, runs[4].id]
    assert ids(look_up("A", ["B"], latest=True)) == [runs[4].id, runs[3].id]


def test_options_that_are_omitted(em, look_up):
    fill(em, *RUNS)
    variables = {
        "omit": "__omit_place_holder__1",
        "veeam_em_url": em.url,
        "veeam_em_username": "reader",
        "veeam_em_password": PASSWORD,
    }
    assert len(look_up(variables=variables, name=variables["omit"], url=variables["omit"])) == 5


def test_as_a_loop_of_an_old_core(em, look_up):
    fill(em, *RUNS)
    assert len(look_up("A", wantlist=True)) == 3


def test_criteria_alone(em, look_up):
    runs = fill(em, *RUNS)
    assert ids(look_up()) == [run.id for run in reversed(runs)]
    assert ids(look_up(result=["Failed", "Warning"])) == [runs[3].id, runs[0].id]
    assert ids(look_up(latest=True)) == [runs[4].id]
    assert ids(look_up(latest_per_plan=True)) == [runs[4].id, runs[3].id]
    assert ids(look_up(name="B", latest=True)) == [runs[3].id]
    assert look_up(result="Success", created_before="2026-03-01T02:01:00Z") == []


def test_facts_are_those_of_the_module(em, look_up):
    (run,) = fill(em, ("A", 1, "Success"))
    (facts,) = look_up("A")
    documented = yaml.safe_load(failover_session.RETURN)["_raw"]["sample"][0]
    assert set(facts) == set(FIELDS) >= set(documented)
    assert facts["id"] == run.id
    assert set(facts["tasks"][0]) >= set(documented["tasks"][0])


def test_a_term_without_sessions_is_an_error_that_names_it(em, look_up):
    fill(em, *RUNS)
    with pytest.raises(AnsibleLookupError, match=f"No cloud failover session found for 'C', '{UNKNOWN}' on {em.url}"):
        look_up("A", "C", UNKNOWN)
    with pytest.raises(AnsibleLookupError, match="found for 'B'"):
        look_up("A", "B", result="Failed")
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("value", [None, "never", {"result": "None"}, []])
def test_default_stands_in_its_place(em, look_up, value):
    runs = fill(em, *RUNS)
    found = look_up("C", "A", UNKNOWN, latest=True, default=value)
    assert (found[0], found[1]["id"], found[2]) == (value, runs[4].id, value)
    assert look_up(result="Failed", name="B", default=value) == [value]


def test_default_does_not_hide_errors_of_em(em, look_up):
    em.faults.add("status", status=503, path="/api/query")
    with pytest.raises(AnsibleLookupError, match="HTTP 503"):
        look_up("A", default=None)
    with pytest.raises(AnsibleLookupError, match="HTTP 401.*Check username"):
        look_up("A", default=None, password="wr0ng")


def test_options_from_variables_which_are_templates(em, look_up):
    fill(em, *RUNS)
    variables = {
        "veeam_em_url": em.url,
        "veeam_em_username": trust_as_template("{{ who }}"),
        "veeam_em_password": trust_as_template("{{ vault['em'] }}"),
        "veeam_em_validate_certs": trust_as_template("{{ not who }}"),
        "who": "reader",
        "vault": {"em": PASSWORD},
    }
    assert len(look_up("A", variables=variables)) == 3
    assert len(look_up("A", variables={**variables, "veeam_em_password": "wr0ng"}, password=PASSWORD)) == 3
    with pytest.raises(
        AnsibleLookupError, match="veeam_em_username: '{{ nobody }}' cannot be used. It is a template with"
    ):
        look_up("A", variables={**variables, "veeam_em_username": trust_as_template("{{ nobody }}")})


ODD_PASSWORDS = [
    '"quoted"',
    "'single'",
    " space ",
    "a:b",
    "pä€",
    "{{ 1 }}",
    "{% if %}",
    "[1, 2]",
    "True",
    "123",
    "\\n",
    "a#b",
]


@pytest.mark.parametrize("password", ODD_PASSWORDS)
@pytest.mark.parametrize("source", ["keyword", "environment", "variable"])
def test_odd_passwords(look_up, monkeypatch, password, source):
    with Emulator(sessions=1, documented=False, users=[User("odd", password, "Portal Administrator")]) as em:
        monkeypatch.setenv("VEEAM_EM_CA_PATH", "")
        variables = {"veeam_em_url": em.url, "veeam_em_username": "odd"}
        if source == "keyword":
            found = look_up(variables=variables, password=password)
        elif source == "environment":
            monkeypatch.setenv("VEEAM_EM_PASSWORD", password)
            found = look_up(variables=variables)
        else:
            found = look_up(variables={**variables, "veeam_em_password": AnsibleUnsafeText(password)})
        assert len(found) == 1


def test_a_variable_is_not_looked_at_where_its_option_is_given(em, look_up):
    fill(em, *RUNS)
    variables = {
        "veeam_em_url": em.url,
        "veeam_em_username": "reader",
        "veeam_em_password": trust_as_template("{{ x }}"),
    }
    assert len(look_up("A", variables=variables, password=PASSWORD)) == 3


@pytest.mark.parametrize("password", ["{{ 'hunter2' | nosuch }}", "hunter2{%x", "{{ hunter2", "{{ hunter2 }}"])
def test_a_password_that_is_a_broken_template_is_not_shown(em, look_up, password):
    variables = {
        "veeam_em_url": em.url,
        "veeam_em_username": "reader",
        "veeam_em_password": trust_as_template(password),
    }
    with pytest.raises(AnsibleLookupError) as caught:
        look_up("A", variables=variables)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "validates"), [("", True), ("true", True), ("no", False), ("0", False), ("ture", None)]
)
def test_validate_certs_from_the_environment(look_up, monkeypatch, value, validates):
    """ansible-core takes what it does not know for false."""
    monkeypatch.setenv("VEEAM_EM_VALIDATE_CERTS", value)
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    with Emulator(sessions=1, documented=False, tls=True) as em:
        variables = {"veeam_em_url": em.url, "veeam_em_username": "reader", "veeam_em_password": PASSWORD}
        if validates is False:
            assert len(look_up(variables=variables)) == 1
        else:
            message = (
                "untrusted TLS certificate"
                if validates
                else "validate_certs: 'ture' cannot be used. Give true or false"
            )
            with pytest.raises(AnsibleLookupError, match=message):
                look_up(variables=variables)


@pytest.mark.parametrize("missing", ["url", "username", "password"])
def test_a_connection_option_that_is_missing(em, look_up, missing):
    with pytest.raises(
        AnsibleLookupError,
        match=rf"Not set: {missing}. Give each as an option, as a variable \(veeam_em_{missing}\), or .* \(VEEAM_EM_",
    ):
        look_up("A", **{missing: None})
    assert em.counters.requests == 0


@pytest.mark.parametrize(
    ("terms", "options", "message"),
    [
        (["A"], {"lates": True}, "lates: '...' cannot be used. There is no such option"),
        (["A"], {"_terms": ["B"]}, "There is no such option"),
        (["A"], {"name": "B"}, "name: 'B' cannot be used. Give plan names and ids as terms or as options"),
        (["A"], {"id": [UNKNOWN]}, "as terms or as options, not both"),
        ([], {"id": "no-id"}, "id: 'no-id' cannot be used"),
        ([""], {}, "term: '' cannot be used. Give the name of a plan"),
        ([None], {}, "term: null cannot be used"),
        ([["A", ["B"]]], {}, r"term: a list of 1 cannot be used"),
        ([[]], {}, r"term: a list of 0 cannot be used. An empty list selects nothing"),
        (["A", []], {}, "An empty list selects nothing"),
        (["A"], {"latest": "maybe"}, "latest: 'maybe' cannot be used. Give true or false"),
        (["A"], {"validate_certs": "ture"}, "validate_certs: 'ture' cannot be used. Give true or false"),
        (["A"], {"password": {"em": PASSWORD}}, "password: '...' cannot be used. Give a text, not a list"),
        (["A"], {"url": ["https://u:pw@em"]}, "url: a list of 1 cannot be used. Give a text, not a list"),
        (["A"], {"passwd": PASSWORD}, "passwd: '...' cannot be used. There is no such option"),
        ([], {"page_size": 0}, "page_size: 0 cannot be used"),
        ([], {"id": None}, "id: null cannot be used. Give a value, or leave the option out"),
        ([], {"result": None}, "result: null cannot be used"),
        ([], {"created_after": "yesterday"}, "created_after: 'yesterday' cannot be used"),
        ([], {"url": "ftp://em"}, "url: 'ftp://em' cannot be used"),
    ],
)
def test_options_that_cannot_be_used(em, look_up, terms, options, message):
    with pytest.raises(AnsibleLookupError, match=message) as caught:
        look_up(*terms, **options)
    assert PASSWORD not in str(caught.value)
    assert em.counters.requests == 0


@pytest.mark.parametrize("options", [{"state": ["Finished"]}, {"result": "success"}, {"sort_order": "up"}])
def test_a_choice_that_is_none(em, look_up, options):
    with pytest.raises(AnsibleError, match="(?i)invalid value"):
        look_up(**options)


@pytest.mark.parametrize("value", values.NOT_IN_QUOTES.values(), ids=str)
@pytest.mark.parametrize("place", ["term", "name", "backup_server", "id"])
def test_a_name_that_yaml_has_changed(em, look_up, place, value):
    fill(em, (str(value), 1, "Success"))
    terms, options = ([value], {}) if place == "term" else ([], {place: value})
    with pytest.raises(AnsibleLookupError, match=f"^{place}: .*{values.QUOTE_IT}"):
        look_up(*terms, **options)
    assert em.counters.requests == 0
    assert len(look_up(str(value))) == 1


def test_a_backup_server_is_not_split_at_commas(em, look_up):
    em.world.add_session("A", backup_server="one, two")
    assert len(look_up(backup_server="one, two")) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (date(2026, 3, 1), "'2026-03-01' cannot be used. Give a time after 1970 in ISO 8601 with zone, in quotes"),
        (datetime(2026, 3, 1), "'2026-03-01T00:00:00' cannot be used"),
        (datetime(2026, 3, 1, tzinfo=timezone.utc), None),
    ],
)
@pytest.mark.parametrize("option", ["created_after", "created_before", "ended_after", "ended_before"])
def test_a_time_that_yaml_has_read(em, look_up, option, value, message):
    if message is None:
        assert look_up(**{option: value}) == []
    else:
        with pytest.raises(AnsibleLookupError, match=f"^{option}: {message}"):
            look_up(**{option: value})
        assert em.counters.requests == 0


@pytest.mark.parametrize("value", values.EMPTY, ids=repr)
@pytest.mark.parametrize("source", ["keyword", "variable", "environment"])
def test_an_empty_connection_option_is_not_set(em, look_up, monkeypatch, source, value):
    fill(em, *RUNS)
    given = {"url": em.url, "username": "reader", "password": PASSWORD}
    for name in CONNECTION_SPEC:
        monkeypatch.setenv(f"VEEAM_EM_{name.upper()}", value if source == "environment" else given.get(name, ""))
    empty = dict.fromkeys(CONNECTION_SPEC, value)
    variables = {f"veeam_em_{name}": variable for name, variable in (empty if source == "variable" else given).items()}
    assert len(look_up("A", variables=variables, **(empty if source == "keyword" else {}))) == 3


@pytest.mark.parametrize("option", ["url", "username", "password"])
@pytest.mark.parametrize("source", ["keyword", "variable", "environment"])
def test_a_value_with_a_line_break(em, look_up, monkeypatch, option, source):
    given = {"url": em.url, "username": "reader", "password": PASSWORD}
    broken = f"{given.pop(option)}\n"
    if source == "variable":
        given[option] = broken
    monkeypatch.setenv(f"VEEAM_EM_{option.upper()}", broken)
    variables = {f"veeam_em_{name}": value for name, value in given.items()}
    with pytest.raises(AnsibleLookupError, match=f"^{option}: .*{values.CONTROL}") as caught:
        look_up("A", variables=variables, **({option: broken} if source == "keyword" else {}))
    assert PASSWORD not in str(caught.value)
    assert em.counters.requests == 0


@pytest.mark.parametrize("option", ["url", "username", "password"])
@pytest.mark.parametrize("source", ["keyword", "variable", "template"])
def test_a_value_that_cannot_be_decrypted(em, look_up, undecryptable, option, source):
    given = {"url": em.url, "username": "reader", "password": PASSWORD, "vaulted": undecryptable}
    variables = {f"veeam_em_{name}": value for name, value in given.items()}
    variables[f"veeam_em_{option}"] = (
        trust_as_template("{{ veeam_em_vaulted }}") if source == "template" else undecryptable
    )
    if source == "keyword":
        del variables[f"veeam_em_{option}"]
    if source == "keyword" and not hasattr(undecryptable, "__ENCRYPTED__"):
        pytest.skip("ansible-core 2.19 and newer refuse it before they call the lookup")
    name = option if source == "keyword" else f"veeam_em_{option}"
    with pytest.raises(
        AnsibleLookupError, match=f"^{name}: '...' cannot be used. .* give the vault password"
    ) as caught:
        look_up("A", variables=variables, **({option: undecryptable} if source == "keyword" else {}))
    assert "ANSIBLE_VAULT" not in str(caught.value)
    assert em.counters.requests == 0


def test_warnings_are_ansibles(em, look_up):
    em.world.add_session("A")
    em.behaviour.refuse_query_type = 404
    assert len(look_up("A")) == 1
    assert any("EM refused to query CloudFailoverSession" in warning for warning in look_up.warnings)


def test_a_missing_library_is_a_sentence(look_up, monkeypatch):
    monkeypatch.setattr(transport, "REQUESTS_IMPORT_ERROR", ImportError("No module named 'requests'"))
    with pytest.raises(AnsibleLookupError, match="requests.*pip install requests"):
        look_up("A")


def test_a_plan_that_may_have_been_meant_is_named(em, look_up):
    plan = em.world.add_plan("ABC\u00a0DR", ["vm"])
    with pytest.raises(
        AnsibleLookupError, match=rf"'ABC\\xa0DR' .id {plan.id}. differs only in blanks.*A plan name must"
    ):
        look_up("ABC DR", username="both")
    with pytest.raises(AnsibleLookupError, match=r"For 'abc': Did you mean 'ABC\\xa0DR'\? A plan name must"):
        look_up("abc", "No", username="both")
    with pytest.raises(AnsibleLookupError, match=r"on http[^ ]* A plan name must"):
        look_up("ABC DR", username="reader")
    assert look_up("ABC DR", username="both", default="none") == ["none"]


# The age of EM's data


@pytest.mark.parametrize("terms", [("A",), ()])
def test_data_that_is_too_old_is_an_error(em, look_up, terms):
    fill(em, *RUNS)
    options = {"username": "admin"}
    assert len(look_up(*terms, max_data_age="20m", **options)) == (3 if terms else 5)
    assert em.counters.routes["GET /api/systemSessions"] == 1
    em.counters.reset()
    with pytest.raises(
        AnsibleLookupError, match="shows data that is (6 min 59 s|7 min) .* and max_data_age allows 5 min"
    ):
        look_up(*terms, max_data_age="5m", default={}, **options)
    assert em.counters.routes["GET /api/query"] == 0


def test_data_of_unknown_age_is_an_error(em, look_up):
    fill(em, *RUNS)
    with pytest.raises(AnsibleLookupError, match="Check that reader has the role Portal Administrator"):
        look_up("A", max_data_age="30d")


@pytest.mark.parametrize("limit", ["20", None, "0m"])
def test_a_limit_that_is_no_age_is_refused(em, look_up, limit):
    with pytest.raises(AnsibleLookupError, match="max_data_age: .* cannot be used"):
        look_up("A", max_data_age=limit)
    assert em.counters.requests == 0


def test_without_a_limit_the_age_is_not_read(em, look_up):
    fill(em, *RUNS)
    look_up("A")
    look_up("A", max_data_age="")
    assert em.counters.routes["GET /api/systemSessions"] == 0


def test_a_proxy_that_needs_a_library_is_named(look_up, socks_proxy):
    with pytest.raises(AnsibleLookupError, match=socks_proxy):
        look_up("Acme", url="https://em.example.com:9398")
    assert look_up.warnings == []


@pytest.mark.parametrize("value", ["A", ["A"]])
def test_a_plan_is_another_word_for_the_name(em, look_up, value):
    runs = fill(em, *RUNS)
    assert ids(look_up(plan=value)) == ids(look_up(name=value)) != []
    assert len(runs) > len(look_up(plan=value))
    for options, words in (
        ({"plan": None}, "plan: null"),
        ({"plan": "A", "name": "A"}, "another name of the option name"),
    ):
        with pytest.raises(AnsibleError, match=words):
            look_up(**options)


# From the history


@pytest.fixture
def recorded(em, record, store):
    runs = fill(em, *RUNS)
    record()
    em.world.clear()
    em.requests.clear()
    return runs


def test_the_history_is_looked_up_without_em(em, look_up, recorded, store):
    options = {"source": "history", "store": store, "variables": {}}
    found = look_up("B", recorded[0].id, "A", **options)
    assert ids(found) == [recorded[n].id for n in (3, 1, 0, 4, 2, 0)]
    assert {session["em_name"] for session in found} == {"127.0.0.1"}
    assert ids(look_up("A", latest=True, result=["Failed"], **options)) == [recorded[0].id]
    assert (em.requests, look_up.warnings) == ([], [])
    assert look_up("A", em_name=["south"], default="none", **options) == ["none"]
    assert "no records of Enterprise Manager 'south' (em_name)" in look_up.warnings[0]


def test_the_store_can_be_a_variable_and_a_template(look_up, recorded, store, monkeypatch):
    variables = {"veeam_em_store": trust_as_template("{{ folder }}/history.db"), "folder": store.rpartition("/")[0]}
    assert len(look_up(source="history", variables=variables)) == 5
    monkeypatch.setenv("VEEAM_EM_STORE", store)
    assert len(look_up(source="history", variables={"veeam_em_store": ""})) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["store", "veeam_em_store"]),
        ({"store": "/nowhere/history.db"}, ["/nowhere", "does not exist"]),
        ({"store": 7}, ["store", "quote"]),
        ({"max_data_age": "20m"}, ["max_data_age", "source: history"]),
    ],
)
def test_a_history_that_cannot_be_looked_up_is_one_sentence(em, look_up, monkeypatch, options, words):
    monkeypatch.delenv("VEEAM_EM_STORE", raising=False)
    with pytest.raises(AnsibleError) as caught:
        look_up(**{"source": "history", "variables": {}, **options})
    assert [word for word in words if word not in str(caught.value)] == []
    assert em.requests == []


def test_what_is_not_in_the_history_is_an_error(look_up, recorded, store):
    with pytest.raises(AnsibleLookupError, match="No cloud failover session found for 'C' in the history"):
        look_up("C", source="history", store=store, variables={})
