# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import re

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.targets import TARGETS, Targets
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import (
    QUICK,
    judged,
    session,
    task,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("db01", 1),
        ("db02", 2),
        ("db12", 3),
        ("dc7", 4),
        ("web[1]", 7),
        ("web1", 6),
        ("DB01", 9),
        ("", 9),
        ("x@y", 8),
        ("x@", 8.5),
    ],
)
def test_the_most_specific_pattern_wins(name, expected):
    targets = {"*": 9, "d*": 5, "db*": 3, "db0?": 2, "db01": 1, "d[b-d]*": 5, "d[bc]?": 4, "web[1]": 7, "web?": 6}
    targets.update({"?@*": 8.5, "*?@?": 8})
    wanted = Targets.from_options({"vm_rto": targets})
    assert wanted.rto_of(name) == expected


def test_a_vm_without_a_pattern_has_no_target():
    facts = session(task("a"), task("b"))
    assert [vm["rto"]["target"] for vm in judged(facts, vm_rto={"a": 1e3})["vms"]] == [1000, None]


BAD_TARGETS = [
    ({"rot": 5}, "target: 'rot' cannot be used. Targets are: rto, vm_rto, rpo,"),
    ({"vm_rto": ["db*"]}, "vm_rto: a list of 1 cannot be used. Give a dictionary"),
    ({"vm_rto": "15m"}, "vm_rto: '15m' cannot be used."),
    ({"vm_rto": {"db*": "soon"}}, "vm_rto['db*']: 'soon' cannot be used."),
    ({"vm_rto": {"db*": None}}, "vm_rto['db*']: null cannot be used."),
    ({"vm_rto": {7: "15m"}}, "vm_rto: 7 cannot be used. Its keys"),
    ({"vm_rto": {"": "15m"}}, "vm_rto: '' cannot be used. Its keys"),
    ({"required_vms": {"db": 1}}, "required_vms: a dictionary cannot be used."),
    ({"required_vms": [5]}, "required_vms: 5 cannot be used. It is not a text."),
    ({"required_vms": ""}, "required_vms: '' cannot be used."),
    ({"max_failed": -1}, "max_failed: -1 cannot be used."),
    ({"max_failed": True}, "max_failed: True cannot be used."),
    ({"max_failed": 1.0}, "max_failed: 1.0 cannot be used."),
    ({"max_failed": "all"}, "max_failed: 'all' cannot be used."),
    ({"max_failed": "-1"}, "max_failed: '-1' cannot be used."),
    ({"allow_warnings": "false"}, "allow_warnings: 'false' cannot be used."),
    ({"allow_warnings": 0}, "allow_warnings: 0 cannot be used."),
    ({"plan": []}, "plan: a list of 0 cannot be used. Give one element of the failover_plans"),
    ({"plan": {"failover_plans": []}}, "plan: a dictionary cannot be used."),
    ({"plan": "Plan"}, "plan: 'Plan' cannot be used."),
    ({"plan": {"name": "Plan"}}, "plan: a dictionary cannot be used."),
    ({"plan": {"vms": []}}, "plan: a dictionary cannot be used."),
    ({"plan": {"name": "Plan", "vms": 7}}, "plan: a dictionary cannot be used."),
    ({"plan": {"name": "Plan", "vms": ["a"]}}, "plan: a dictionary cannot be used."),
    ({"plan": {"name": "Plan", "vms": "a"}}, "plan: a dictionary cannot be used."),
    *(
        ({"point_utc_offset": value}, f"point_utc_offset: {value!r} cannot be used.")
        for value in ("", "+1", "01:00", "+01:60", "+15:00", "CET", "+01:00:00", "+0\u0661:00", 60, 0, 1.5, False)
    ),
]


@pytest.mark.parametrize(("targets", "words"), BAD_TARGETS)
def test_targets_that_cannot_be_used(targets, words):
    with pytest.raises(OptionError) as raised:
        evaluate(session(), targets)
    assert str(raised.value).startswith(words)
    assert re.fullmatch(r"[^\n]+\.", str(raised.value))


def test_null_is_no_target():
    assert judged(session(task()), **dict.fromkeys(TARGETS)) == judged(session(task()))


def test_targets_from_extra_variables_are_texts():
    verdict = judged(session(task()), rto="3600", max_failed="2")
    assert (verdict["targets"]["rto"], verdict["targets"]["max_failed"]) == (3600, 2)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90", 90),
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        (" 1 H 30 M ", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1w1d1h1m1.25s", 694861.25),
        ("0h1m", 60),
    ],
)
def test_durations(value, seconds):
    assert Targets.from_options({"rto": value, "vm_rto": {"*": value}}) == Targets(rto=seconds, vm_rto={"*": seconds})


BAD_DURATIONS = [
    *(
        "",
        " ",
        "s",
        "h",
        "1m1h",
        "1m1m",
        "1h30",
        "-5m",
        "+5m",
        "5 min",
        "PT5M",
        "1,5h",
        "1.h",
        ".5h",
        "1 5m",
        "1e3",
        "inf",
        "0",
    ),
    *("0s", "\u0661m", "1\u212b", "1" * 10, "1" * 5000, "15m\n16m", "{{ rto }}"),
    *(
        0,
        -1,
        -0.5,
        1e-9,
        True,
        False,
        float("nan"),
        float("inf"),
        -float("inf"),
        10**400,
        [],
        ["15m"],
        {},
        b"15m",
        object,
    ),
]


@pytest.mark.parametrize("value", BAD_DURATIONS, ids=lambda value: repr(value)[:20])
def test_what_is_no_duration(value):
    with pytest.raises(OptionError) as raised:
        Targets.from_options({"rpo": value})
    assert re.fullmatch(r"rpo: .{1,300} cannot be used\. Give seconds, or .+\.", str(raised.value))
    with pytest.raises(OptionError, match=r"vm_rto\['\*'\]: .{1,300} cannot be used\. Give seconds, or "):
        Targets.from_options({"vm_rto": {"*": value}})


@QUICK
@given(
    st.text(max_size=12),
    st.sampled_from([*TARGETS, "other"]),
    st.integers() | st.floats() | st.lists(st.text()),
)
def test_any_value_of_a_target_is_taken_or_refused_in_a_sentence(text, name, other):
    for value in (text, other):
        try:
            evaluate(session(task()), {name: value})  # a VM may be named vm_rto: so not judged()
        except OptionError as exc:
            assert re.fullmatch(r"[^\n]+\.", str(exc))
