# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter grammar: what is understood, what it means, what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from emulator.behaviour import Behaviour
from emulator.clock import parse_time
from emulator.filters import Field, FilterError, parse_filter

GUID = "33333333-1111-4222-8333-444444444444"
OTHER = "33333333-1111-4222-8333-555555555555"
FIELDS = {
    field.name.casefold(): field
    for field in (
        Field("UID", "uid", lambda item: item.uid),
        Field("Name", "text", lambda item: item.name),
        Field("CreationTime", "time", lambda item: parse_time(item.created)),
        Field("EndTime", "time", lambda item: None),
        Field("State", "enum", lambda item: item.state, ("Starting", "Stopping", "Working", "Stopped")),
        Field("Result", "enum", lambda item: item.result, ("None", "Success", "Warning", "Failed")),
    )
}


def item(**values):
    defaults = {"uid": GUID, "name": "Acme", "created": "2026-03-01T12:00:00Z", "state": "Stopped", "result": "Warning"}
    return SimpleNamespace(**{**defaults, **values})


def holds(expression, found=None, **switches):
    return parse_filter(expression, FIELDS, Behaviour(**switches)).matches(found or item())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Name==Acme", True),
        ("name==ACME", True),
        ('Name=="acme"', True),
        ("Name!=Acme", False),
        ('Name>"Abc"', True),
        ('Name<="Acme"', True),
        ('Name=="Acme "', False),
        ("(Name==Acme)", True),
        ("((Name==Acme))", True),
        ("Name == Acme ; State == Stopped", True),
        ("Name==x,State==Stopped", True),
        ("Name==x;State==Stopped", False),
    ],
)
def test_comparison_and_grouping(expression, expected):
    assert holds(expression) is expected


@pytest.mark.parametrize(
    ("expression", "tight", "loose"),
    [
        # false;false,true is (false and false) or true, or else false and (false or true)
        ("Name==x;Name==x,Name==Acme", True, False),
        ("Name==Acme,Name==x;Name==x", True, False),
        ("Name==x;(Name==x,Name==Acme)", False, False),
        ("(Name==x;Name==x),Name==Acme", True, True),
    ],
)
def test_precedence_and_parentheses(expression, tight, loose):
    assert holds(expression) is tight
    assert holds(expression, and_binds_tighter=False) is loose


@pytest.mark.parametrize(
    ("literal", "name"),
    [
        ('"R&D ""Ω"" <Plan> 50%"', 'R&D "Ω" <Plan> 50%'),
        ('"O\'Brien; Sons, (Ltd)"', "O'Brien; Sons, (Ltd)"),
        ('"Plan with  two spaces"', "Plan with  two spaces"),
        ('"plan-ünïcode-日本"', "plan-ünïcode-日本"),
        ('""', ""),
        ('""""', '"'),
        ("Acme full site", "Acmefullsite"),  # spaces of a bare value are dropped without a word
    ],
)
def test_literals(literal, name):
    found = item(name=name)
    assert holds(f"Name=={literal}", found)
    assert not holds(f"Name!={literal}", found)


def test_bare_value_with_spaces_misses_the_name_with_spaces():
    assert not holds("Name==Acme full site", item(name="Acme full site"))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Result>=Warning", True),
        ("Result>Warning", False),
        ("result==failed,RESULT==WARNING", True),
        ("Result>None", True),
        ('Result=="Warning"', True),
        ("State>Working", True),  # the documented order is Starting, Stopping, Working, Stopped
        ("State<=Stopping", False),
    ],
)
def test_enums_compare_by_position(expression, expected):
    assert holds(expression) is expected


def test_stopping_stands_before_working():
    assert holds("State<Working", item(state="Stopping"))


def test_place_of_none_can_be_switched():
    found = item(result="None")
    assert holds("Result<Success", found)
    assert holds("Result>Failed", found, none_order="last")
    assert holds("Result==None", found)
    with pytest.raises(FilterError):
        holds("Result==None", found, refuse_result_none=True)


def test_unknown_words_of_an_item_stand_after_the_list():
    assert holds("State!=Stopped", item(state="Pausing"))
    assert not holds("State==Stopped", item(state="Pausing"))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('CreationTime>="2026-03-01T12:00:00Z"', True),
        ('CreationTime>"2026-03-01T12:00:00Z"', False),
        ("CreationTime>=2026-03-01T12:00:00", True),
        ("CreationTime<2026-03-01T12:00:00.1234567Z", True),
        ('CreationTime>"2026-03-01"', True),
        ("CreationTime==2026-03-01T14:00:00+02:00", True),
        ('CreationTime<"2026-03-02"', True),
        ("EndTime>2000-01-01", False),
        ("EndTime<2100-01-01", False),
        ("EndTime!=2100-01-01", True),
    ],
)
def test_times(expression, expected):
    assert holds(expression) is expected


@pytest.mark.parametrize("form", [GUID, f'"{GUID}"', GUID.upper(), f'"urn:veeam:CloudFailoverSession:{GUID}"'])
def test_uids(form):
    assert holds(f"UID=={form}")
    assert not holds(f"UID=={form}", item(uid=OTHER))
    assert holds(f"uid!={form}", item(uid=OTHER))


def test_uid_forms_can_be_limited():
    urn = f'UID=="urn:veeam:X:{GUID}"'
    bare = f"UID=={GUID}"
    assert [holds(e, uid_filter="urn") for e in (urn, bare)] == [True, False]
    assert [holds(e, uid_filter="guid") for e in (urn, bare)] == [False, True]
    for expression in (urn, bare):
        with pytest.raises(FilterError):
            holds(expression, refuse_uid_filter=True)


def test_case_can_matter():
    assert not holds("Name==acme", case_sensitive=True)
    assert holds("Name==Acme", case_sensitive=True)


def test_doubled_quote_can_be_refused():
    with pytest.raises(FilterError):
        holds('Name=="a""b"', refuse_quoted_quote=True)
    assert not holds('Name=="ab"', refuse_quoted_quote=True)


@pytest.mark.parametrize(
    "expression",
    [
        "Name",
        "Name==",
        "==x",
        "Name=Acme",
        'Name=="open',
        'Name==""X""',
        "Name==a-b",
        "Name==a.b",
        "Name==50%",
        "Name==ünï",
        "Name==a;",
        ";Name==a",
        "Name==a,,Name==b",
        "(Name==a",
        "Name==a)",
        "()",
        "Progress==100",
        "State==Paused",
        "Result>=Good",
        "CreationTime>yesterday",
        'CreationTime>"2026-13-01"',
        "CreationTime>2026-03-01 12:00:00",
        "UID==12",
        f"UID>{GUID}",
        "Name==a State==b;",
        "Name like a",
    ],
)
def test_what_is_refused(expression):
    with pytest.raises(FilterError):
        holds(expression)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("name == Acme full", "(Name==Acmefull)"),
        ('(Name=="a b")', '(Name=="a b")'),
        ("State!=Stopped;Result==None", "(State!=Stopped;Result==None)"),
        ("State!=Stopped;Result==None,Name==x", "((State!=Stopped;Result==None),Name==x)"),
    ],
)
def test_server_spelling_is_wrapped_and_stable(expression, text):
    spelled = parse_filter(expression, FIELDS, Behaviour()).text
    assert spelled == text
    assert parse_filter(spelled, FIELDS, Behaviour()).text == text
