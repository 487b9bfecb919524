# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import session_facts
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.evaluate import evaluate
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._verdict.reasons import PROBLEMS, REASONS
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import (
    EARLY,
    NOTES,
    at,
    check,
    codes,
    judged,
    plan,
    session,
    task,
    texts,
)

REPO = Path(__file__).resolve().parents[5]


def test_a_whole_verdict():
    facts = session(
        task("web01", 70, 400, point_id="w"),
        task("filesrv03", 6, 1092, point="filesrv03@2026-03-02 09:30:00", point_id="f"),
        end=1120,
    )
    targets = {"rto": "1h", "vm_rto": {"filesrv03": "15m", "*": 2700}, "rpo": "4h", "point_utc_offset": "+02:00"}
    of_web = {"target": 14400.0, "achieved": 18000.0, "margin": -3600.0, "status": "missed"}
    verdict = judged(facts, **targets, required_vms=["web01"], plan=plan(("filesrv03", 0), ("web01", 1)))
    words = {name: verdict.pop(name) for name in ("summary", "markdown")}
    assert words == {
        "summary": "Run of plan Plan did not pass, for 2 reasons: filesrv03 took 18 min 12 s from the start of the run, "
        "target 15 min. (1 more)",
        "markdown": "**Did not pass:** Plan, run of 2026-03-02 08:00:00 UTC\n\n"
        "- filesrv03 took 18 min 12 s from the start of the run, target 15 min.\n"
        "- The restore point of web01 was 5 h old when the run started, target 4 h.\n\n"
        "VMs: 2 came up. RTO met (18 min 40 s, target 1 h). RTO of VMs missed. RPO missed (5 h, target 4 h).",
    }
    assert verdict == {
        "passed": False,
        "target_status": "missed",
        "status_by_target": {
            "rto": "met",
            "vm_rto": "missed",
            "rpo": "missed",
            "required_vms": "met",
            "max_failed": "met",
            "allow_warnings": "none",
            "plan": "met",
        },
        "reasons": [
            {
                "code": "rto_missed",
                "vm": "filesrv03",
                "vms": ["filesrv03"],
                "target": 900.0,
                "achieved": 1092.0,
                "text": "filesrv03 took 18 min 12 s from the start of the run, target 15 min.",
                "hint": None,
            },
            {
                "code": "rpo_missed",
                "vm": "web01",
                "vms": ["web01"],
                "target": 14400.0,
                "achieved": 18000.0,
                "text": "The restore point of web01 was 5 h old when the run started, target 4 h.",
                "hint": None,
            },
        ],
        "notes": [
            {
                "code": "point_utc_offset",
                "vm": None,
                "vms": [],
                "text": "Times in restore point names are read with UTC offset +02:00.",
            }
        ],
        "session": {
            "id": "475420ee-d045-4493-9869-0a970e08f6f9",
            "name": "Plan",
            "state": "Stopped",
            "result": "Success",
            "failure_message": None,
            "creation_time": at(0),
            "end_time": at(1120),
            "duration": 1120.0,
            "tasks_kept_at": None,
        },
        "targets": {
            "rto": 3600.0,
            "vm_rto": {"filesrv03": 900.0, "*": 2700.0},
            "rpo": 14400.0,
            "required_vms": ["web01"],
            "max_failed": 0,
            "allow_warnings": True,
            "plan": {"id": "p", "name": "Plan"},
            "point_utc_offset": "+02:00",
        },
        "rto": {"target": 3600.0, "achieved": 1120.0, "margin": 2480.0, "status": "met"},
        "rpo": of_web,
        "vms": [
            {
                "name": "filesrv03",
                "passed": False,
                "state": "Stopped",
                "result": "Success",
                "failure_message": None,
                "creation_time": at(6),
                "end_time": at(1092),
                "duration": 1086.0,
                "started_after": 6.0,
                "rto": {"target": 900.0, "achieved": 1092.0, "margin": -192.0, "status": "missed"},
                "rpo": {"target": 14400.0, "achieved": 1800.0, "margin": 12600.0, "status": "met"},
                "replica_point": {"id": "f", "name": "filesrv03@2026-03-02 09:30:00", "time": at(-1800)},
                "required": False,
                "critical": True,
                "reasons": ["rto_missed"],
                "in_plan": True,
                "order": 0,
            },
            {
                "name": "web01",
                "passed": False,
                "state": "Stopped",
                "result": "Success",
                "failure_message": None,
                "creation_time": at(70),
                "end_time": at(400),
                "duration": 330.0,
                "started_after": 70.0,
                "rto": {"target": 2700.0, "achieved": 400.0, "margin": 2300.0, "status": "met"},
                "rpo": of_web,
                "replica_point": {"id": "w", "name": f"web01@{EARLY}", "time": at(-18000)},
                "required": True,
                "critical": False,
                "reasons": ["rpo_missed"],
                "in_plan": True,
                "order": 1,
            },
        ],
        "critical_vm": "filesrv03",
        "idle": [
            {"from": at(0), "to": at(6), "duration": 6.0},
            {"from": at(1092), "to": at(1120), "duration": 28.0},
        ],
        "not_attempted": [],
    }


def test_the_documented_session():
    reply = REPO.joinpath("tests", "emulator", "replies", "failoverSession_entity.xml").read_bytes()
    facts = session_facts(xml.parse(reply).items[0])
    assert judged(facts, rto=80)["rto"] == {"target": 80.0, "achieved": 80.0, "margin": 0.0, "status": "met"}
    assert codes(facts, rto=80) == []
    assert texts(facts, rto=79.5) == ["The run took 1 min 20 s, target 1 min 19.5 s."]
    assert [note["code"] for note in judged(facts, rto=80)["notes"]] == ["no_tasks"]


def test_a_session_that_is_only_inferred_never_passes():
    facts = session(task())
    verdict = evaluate(facts, {"rto": "1h"}, "inferred")
    check(verdict, facts)
    assert verdict["passed"] is False
    assert verdict["reasons"] == [
        {
            "code": "session_inferred",
            "vm": None,
            "vms": [],
            "target": "task",
            "achieved": "inferred",
            "text": "Enterprise Manager did not link its task to this session. "
            "It is the only new session of the plan, and may belong to somebody else.",
            "hint": "Check in the console of the backup server who started it.",
        }
    ]
    # All else is judged as ever.
    own = evaluate(facts, {"rto": "1h"})
    words = {name: own[name] for name in ("summary", "markdown")}
    assert {**verdict, "passed": True, "reasons": [], **words} == own


@pytest.mark.parametrize("source", ["task", None, ""])
def test_a_session_that_is_linked_or_was_only_read_is_judged_as_it_is(source):
    facts = session(task())
    assert evaluate(facts, {"rto": "1h"}, source) == evaluate(facts, {"rto": "1h"})


def test_that_it_is_inferred_comes_first():
    facts = session(task(result="Failed"), result="Failed")
    codes_of_all = [reason["code"] for reason in evaluate(facts, {}, "inferred")["reasons"]]
    assert codes_of_all == ["session_inferred", *(reason["code"] for reason in evaluate(facts, {})["reasons"])]


@pytest.mark.parametrize("source", ["guessed", True, 5, ["inferred"], {"inferred": True}])
def test_a_source_that_does_not_exist(source):
    with pytest.raises(OptionError, match="session_source: .* cannot be used. Give task or inferred"):
        evaluate(session(task()), {}, source)


def all_of_eight(text):
    return [text.replace("NAMES", "vm0, vm1, vm2, vm3, vm4, vm5, vm6, vm7")]


@pytest.mark.parametrize(
    ("changes", "of_session", "targets", "text"),
    [
        (
            {},
            {},
            {"rpo": "4h"},
            "The RPO of 8 VMs (NAMES) cannot be checked: the names of their restore points have no time zone.",
        ),
        (
            {"created": -7200},
            {},
            {"rpo": "1h"},
            "The restore points of 8 VMs (NAMES) were 2 h old when the run started, target 1 h.",
        ),
        (
            {"result": "Warning", "message": "Old tools."},
            {},
            {"allow_warnings": False},
            "8 VMs (NAMES) ended with a warning: Old tools.",
        ),
        ({"result": "Odd"}, {}, {}, "8 VMs (NAMES) have the unknown result 'Odd'."),
        ({"result": "None"}, {}, {}, "8 VMs (NAMES) have stopped without a result."),
        (
            {"end": 90},
            {},
            {"vm_rto": {"*": 60}},
            "8 VMs (NAMES) took 1 min 30 s from the start of the run, target 1 min.",
        ),
        (
            {"end": None},
            {},
            {"vm_rto": {"*": 60}},
            "8 VMs (NAMES) cannot be compared with their 1 min target: Enterprise Manager gives no usable times.",
        ),
        (
            {"result": "Failed"},
            {"result": "Warning"},
            {"vm_rto": {"*": 60}, "max_failed": 9},
            "8 VMs (NAMES) failed and so missed their 1 min target.",
        ),
        (
            {"state": "Working", "result": "None"},
            {"tasks_kept_at": "2026-03-02T08:01:35.250000Z"},
            {"vm_rto": {"*": 60}},
            "8 VMs (NAMES) had not finished when last listed, at 2026-03-02 08:01:35 UTC, so their 1 min target "
            "cannot be judged.",
        ),
        (
            {"state": "Working", "result": "None"},
            {"result": "Warning", "tasks_kept_at": "2026-03-02T08:01:35.250000Z"},
            {},
            "How 8 VMs (NAMES) ended is unknown: they had not finished when Enterprise Manager last listed them, at "
            "2026-03-02 08:01:35 UTC.",
        ),
        (
            {"start": None},
            {},
            {"plan": plan(*((f"vm{n}", n) for n in range(8)))},
            "The start time of 8 VMs (NAMES) is unknown, so their boot order cannot be checked.",
        ),
        ({"state": "Odd"}, {}, {}, "8 VMs (NAMES) have the unknown state 'Odd'."),
        ({"state": None}, {}, {}, "8 VMs (NAMES) have no state."),
        ({"state": "Working"}, {}, {}, "8 VMs (NAMES) have not finished (state Working)."),
    ],
)
def test_equal_reasons_of_vms_are_one_that_names_them(changes, of_session, targets, text):
    facts = session(*(task(f"vm{n}", **changes) for n in range(8)), **of_session)
    verdict = judged(facts, **targets)
    found = [reason for reason in verdict["reasons"] if reason["text"] == all_of_eight(text)[0]]
    assert [reason["vm"] for reason in found] == [None], [reason["text"] for reason in verdict["reasons"]]
    assert sum(reason["code"] == found[0]["code"] for reason in verdict["reasons"]) == 1
    assert all(found[0]["code"] in vm["reasons"] and vm["passed"] is False for vm in verdict["vms"])
    if "plan" in targets:
        return  # of one VM alone, there is no order
    # Of one VM, it is as it was.
    alone = judged({**facts, "tasks": facts["tasks"][:1]}, **targets)["reasons"]
    (one,) = [reason for reason in alone if reason["code"] == found[0]["code"] and reason["vm"] == "vm0"]
    assert "vm0" in one["text"] and "VMs" not in one["text"]
    assert (one["target"], one["achieved"]) == (found[0]["target"], found[0]["achieved"])


def test_vms_that_are_missing_are_one_reason():
    facts = session(task("a"))
    missing = [("b", 1), ("c", 2), ("a", 0), ("twice", 3), ("twice", 3)]
    verdict = judged(facts, required_vms=["a", "b", "c"], plan=plan(*missing))
    assert [(reason["code"], reason["vm"], reason["text"]) for reason in verdict["reasons"]] == [
        ("required_missing", None, "2 VMs (b, c) are required, but the session does not list them."),
        (
            "not_attempted",
            None,
            "3 VMs of the plan are not in the session, or not as often: b, c; twice (2 times in the plan, 0 times in the session).",
        ),
    ]
    assert verdict["not_attempted"] == ["b", "c", "twice", "twice"]


def test_reasons_of_one_kind_are_one_and_in_order():
    facts = session(task("a", end=None), task("b", result="Odd"), task("c", end=None), task("d", result="Other"))
    assert codes(facts, vm_rto={"a": 90, "c": 90}) == ["rto_unknown", "unknown_result"]


def test_reasons_of_one_kind_that_differ_name_the_worst_first():
    facts = session(
        task("a", end=70),
        task("b", end=90),
        task("c", end=61),
        task("d", end=90),
        task("e", result="Failed"),
        result="Failed",
    )
    (found,) = judged(facts, vm_rto={"*": "1m"}, max_failed=1)["reasons"]
    assert found["text"] == (
        "5 VMs missed their recovery time targets (RTO): e (failed, target 1 min); b, d (1 min 30 s, target 1 min); "
        "a (1 min 10 s, target 1 min); c (1 min 1 s, target 1 min)."
    )
    assert (found["code"], found["vm"], found["vms"]) == ("rto_missed", None, ["a", "b", "c", "d", "e"])
    assert (found["target"], found["achieved"]) == (60, None)


def test_five_hundred_vms_are_three_reasons():
    tasks = [task(f"vm{n:03}", n, 60 + n, "Failed" if n % 9 == 0 else "Success", message=f"m{n}") for n in range(500)]
    verdict = judged(session(*tasks, end=600, result="Failed"), vm_rto={"*": "5m"}, rpo="1h")
    found = [(reason["code"], len(reason["vms"])) for reason in verdict["reasons"]]
    assert found == [("too_many_failed", 56), ("rpo_unknown", 444), ("rto_missed", 230)]
    assert all(len(reason["text"]) < 600 for reason in verdict["reasons"])
    assert verdict["reasons"][2]["text"].endswith(" and 220 more.")
    assert len(verdict["markdown"]) < 1200 and len(verdict["summary"]) < 600


def test_a_reason_names_ten_vms_and_counts_the_others():
    facts = session(*(task(f"vm{n:02}") for n in range(13)))
    (text,) = texts(facts, rpo="4h")
    assert text.startswith("The RPO of 13 VMs (vm00, ") and "vm09 and 3 more) cannot be checked: " in text


def test_names_of_vms_cannot_break_a_sentence():
    facts = session(task("{0}", result="Odd", message="{1}"), task("{names}", result="Odd"))
    assert texts(facts) == ["2 VMs ({0}, {names}) have the unknown result 'Odd'."]


@pytest.mark.parametrize("words", ["{0}", "{who}", "[one|several]", "{{ x }}", "%s"])
def test_words_of_the_server_cannot_break_a_sentence(words):
    facts = session(task(words, result="Failed", message=words), task("b", result=words), result="Failed")
    facts.update(name=words, tasks_kept_at=words)
    asked = plan((words, 0), ("d" + words, 1), name=words)
    found = texts(facts, vm_rto={words * 2: 9}, required_vms=[words, "c" + words], plan=asked)
    assert f"1 VM failed ({words}); none is allowed to. Enterprise Manager says: {words}." in found
    assert f"c{words} is required, but the session does not list it (as listed at {words})." in found
    assert f"d{words} is in the plan, but the session does not list it (as listed at {words})." in found
    assert (
        f"No VM of the session (as listed at {words}) matches {words * 2!r}, which has a recovery time target (RTO)."
        in found
    )
    assert f"b has the unknown result {words!r}." in found
    other = " ".join(texts({**facts, "name": "x", "failure_message": words, "tasks": []}, plan=asked))
    assert f"Enterprise Manager says: {words}." in other and f"its name is {words!r}, the session's is 'x'" in other


@pytest.mark.parametrize(
    ("targets", "noted"),
    [
        ({}, True),
        ({"max_failed": 1, "required_vms": ["vm"], "point_utc_offset": "Z"}, True),
        ({"vm_rto": {}}, True),
        ({"rto": "1h"}, False),
        ({"vm_rto": {"vm": "1h"}}, False),
        ({"rpo": "4h", "point_utc_offset": "Z"}, False),
    ],
)
def test_a_run_that_passes_without_a_target_says_so(targets, noted):
    verdict = judged(session(task()), **targets)
    assert verdict["passed"] is True
    assert ("No RTO or RPO target was set." in [note["text"] for note in verdict["notes"]]) == noted
    assert judged(session(task(result="Odd")))["notes"] == []


def test_the_oldest_point_counts_for_the_run():
    facts = session(task("a", point="a@2026-03-02 07:00:00"), task("b"))
    assert judged(facts, rpo="2h", point_utc_offset="Z")["rpo"] == {
        "target": 7200,
        "achieved": 10800,
        "margin": -3600,
        "status": "missed",
    }
    facts["tasks"].append(task("c", point=None))
    assert judged(facts, rpo="2h", point_utc_offset="Z")["rpo"]["achieved"] is None
    assert judged(session(), point_utc_offset="Z")["rpo"]["achieved"] is None


def test_odd_names():
    names = ["{{ lookup('pipe', 'id') }}", "a\nb\x1b[2J\u202e", "", None, "x" * 500]
    facts = session(*(task(name, result="Failed", point=None) for name in names), result="Failed")
    verdict = judged(facts)
    assert sorted(vm["name"] for vm in verdict["vms"]) == sorted(name or "" for name in names)
    assert [reason["text"] for reason in verdict["reasons"]] == [
        "5 VMs failed (unnamed VM, unnamed VM, a b [2J, "
        + "x" * 97
        + "..., {{ lookup('pipe', 'id') }}); none is allowed to."
    ]


def test_all_codes_are_documented_and_used():
    folder = REPO.joinpath("plugins", "module_utils", "_verdict")
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert set(re.findall(r"add_reason\([\w.,()\s]*\"(\w+)\"", source)) | set(PROBLEMS) == set(REASONS)
    assert set(re.findall(r"add_note\([\w.,\s]*\"(\w+)\"", source)) == set(NOTES)
    guide = REPO.joinpath("docs", "codes.md").read_text(encoding="utf-8")
    of_reasons = guide.partition("## Reasons of a verdict\n")[2].partition("\n## ")[0]
    of_notes = guide.partition("## Notes of a verdict\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", of_reasons, re.MULTILINE) == list(REASONS)
    assert re.findall(r"^\| `(\w+)` \|", of_notes, re.MULTILINE) == list(NOTES)
