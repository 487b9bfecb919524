# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._verdict.verdict_facts import (
    KEPT,
    codes,
    judged,
    plan,
    session,
    task,
    texts,
    working,
)


@pytest.mark.parametrize(
    ("state", "result", "expected"),
    [
        ("Stopped", "Success", []),
        ("Stopped", "Warning", []),
        ("Stopped", "Failed", ["failed_without_failed_vms"]),
        ("Stopped", "None", ["no_result"]),
        ("Stopped", None, ["no_result"]),
        ("Stopped", "success", ["unknown_result"]),
        ("Stopped", 7, ["unknown_result"]),
        ("Working", "None", ["not_finished"]),
        ("Working", "Success", ["not_finished"]),
        ("Starting", "None", ["not_finished"]),
        ("Stopping", "Failed", ["not_finished"]),
        ("Pausing", "None", ["unknown_state", "not_finished"]),
        ("stopped", "Success", ["unknown_state", "not_finished"]),
        (None, "None", ["unknown_state", "not_finished"]),
        (None, "Odd", ["unknown_state", "not_finished", "unknown_result"]),
    ],
)
def test_words_of_the_session(state, result, expected):
    facts = session(task(), state=state, result=result)
    assert codes(facts) == expected
    if result == "Success" and state == "Stopped":
        return
    # Facts that contradict themselves are not believed.
    assert codes({**facts, "finished": True, "succeeded": True}) == expected


def test_sentences_on_words():
    assert texts(session(state=None)) == ["The run has no state.", "The run has not finished."]
    assert texts(session(state="Pausing"))[0] == "The run has the unknown state 'Pausing'."
    assert texts(session(task("b", state="Working"), state="Working")) == [
        "The run has not finished (state Working).",
        "b has not finished (state Working).",
    ]
    assert texts(session(result="Odd")) == ["The run has the unknown result 'Odd'."]
    assert texts(session(result="None")) == ["The run has stopped without a result."]


@pytest.mark.parametrize(
    ("state", "result", "expected"),
    [
        ("Stopped", "Success", []),
        ("Stopped", "Warning", []),
        ("Stopped", "Failed", ["too_many_failed"]),
        ("Stopped", "None", [("no_result", "vm")]),
        ("Stopped", "Odd", [("unknown_result", "vm")]),
        ("Working", "None", ["stopped_with_running_vms", ("not_finished", "vm")]),
        ("Working", "Failed", ["stopped_with_running_vms", ("not_finished", "vm")]),
        (None, "None", ["stopped_with_running_vms", ("unknown_state", "vm"), ("not_finished", "vm")]),
    ],
)
def test_words_of_a_vm(state, result, expected):
    assert codes(session(task(state=state, result=result), task("other"), result="Warning")) == expected


def test_warnings_count_as_asked():
    facts = session(task(result="Warning", message="Tools are old."), task("b"), result="Warning")
    assert [note["text"] for note in judged(facts)["notes"]] == [
        "The run ended with a warning, which the targets allow.",
        "No RTO or RPO target was set.",
    ]
    assert codes(facts, allow_warnings=False) == ["warning", ("warning", "vm")]
    assert judged(facts, allow_warnings=False)["notes"] == []
    assert texts(facts, allow_warnings=False)[1] == "vm ended with a warning: Tools are old."
    quiet = session(task(result="Warning"), task("b", result="Warning"))
    assert judged(quiet)["notes"][0]["text"] == "b, vm ended with a warning, which the targets allow."
    assert texts(quiet, allow_warnings=False) == ["2 VMs (b, vm) ended with a warning."]


@pytest.mark.parametrize(
    ("result", "results", "max_failed", "expected"),
    [
        ("Failed", ["Failed", "Success"], 0, ["too_many_failed"]),
        ("Failed", ["Failed", "Success"], 1, []),
        ("Failed", ["Failed", "Failed"], 1, ["too_many_failed"]),
        ("Failed", ["Failed", "Failed"], 2, []),
        ("Warning", ["Failed", "Success"], 1, []),
        ("Warning", ["Failed", "Success"], 0, ["too_many_failed"]),
        ("Warning", ["Failed", "Failed"], 2, ["warning_with_only_failed_vms"]),
        ("Success", ["Failed", "Success"], 1, ["success_with_failed_vms"]),
        ("Success", ["Failed", "Success"], 0, ["too_many_failed"]),
        ("Failed", ["Success", "Warning"], 1, ["failed_without_failed_vms"]),
        ("Failed", [], 1, ["failed_without_tasks"]),
        ("None", ["Failed", "Success"], 1, ["no_result"]),
    ],
)
def test_failed_vms(result, results, max_failed, expected):
    facts = session(*(task(str(n), result=word) for n, word in enumerate(results)), result=result)
    assert codes(facts, max_failed=max_failed) == expected
    verdict = judged(facts, max_failed=max_failed)
    assert [vm["passed"] for vm in verdict["vms"]] == [word != "Failed" for word in results]
    allowed = 0 < results.count("Failed") <= max_failed
    assert ("failed_allowed" in [note["code"] for note in verdict["notes"]]) == allowed


@pytest.mark.parametrize(
    ("result", "targets", "expected"),
    [
        ("Success", {}, ["too_many_failed"]),
        ("Success", {"max_failed": 2, "required_vms": ["b"]}, [("required_not_successful", "b")]),
        ("Success", {"max_failed": 2, "vm_rto": {"b": "1h"}}, [("rto_missed", "b")]),
        (
            "Success",
            {"max_failed": 2, "required_vms": ["b"], "vm_rto": {"b": "1h"}},
            [("required_not_successful", "b")],
        ),
        ("Warning", {"max_failed": 1}, ["too_many_failed"]),
        ("Warning", {"max_failed": 2, "required_vms": ["a"]}, [("required_not_successful", "a")]),
    ],
)
def test_where_a_failed_vm_is_a_reason_a_result_that_hides_it_is_a_note(result, targets, expected):
    facts = session(task("a", result="Failed"), task("b", result="Failed"), result=result)
    assert codes(facts, **targets) == expected
    [note] = [note for note in judged(facts, **targets)["notes"] if not note["code"].endswith("_allowed")]
    code, word = {
        "Success": ("success_with_failed_vms", "Success, although VMs failed."),
        "Warning": ("warning_with_only_failed_vms", "a warning, although every VM failed."),
    }[result]
    assert note == {"code": code, "vm": None, "vms": ["a", "b"], "text": f"The run ended with {word}"}


def test_a_run_that_failed_alone_is_one_reason_with_the_message():
    says = "Enterprise Manager says: Script failed."
    failed = {"result": "Failed", "message": "Script failed."}
    assert texts(session(task("a"), **failed)) == [f"The run failed, but none of its VMs did. {says}"]
    assert texts(session(**failed)) == [
        f"The run failed, and Enterprise Manager lists no VMs, so which of them failed is unknown. {says}"
    ]


def test_sentences_on_failed_vms():
    many = [task(f"vm{n}", result="Failed") for n in range(7)]
    many[0]["failure_message"] = "No memory\x1b[31m\non esx07."
    assert texts(session(*many, result="Failed", message="Failover of 7 of 7 VMs failed")) == [
        "7 VMs failed (vm0, vm1, vm2, vm3, vm4, vm5, vm6); none is allowed to. vm0: No memory [31m on esx07."
    ]
    many[0]["failure_message"] = None
    assert texts(session(*many, result="Failed"), max_failed=6)[0].endswith("vm6); at most 6 are allowed to.")
    assert texts(session(*many[:2], result="Failed"), max_failed=1) == [
        "2 VMs failed (vm0, vm1); at most 1 is allowed to."
    ]
    one = task("vm0", result="Failed", message="No memory.")
    assert texts(session(one, result="Failed")) == [
        "1 VM failed (vm0); none is allowed to. Enterprise Manager says: No memory."
    ]
    two = [{**one, "vm_name": name} for name in ("a", "b")]
    assert texts(session(*two, result="Failed")) == [
        "2 VMs failed (a, b); none is allowed to. Enterprise Manager says: No memory."
    ]
    two[1]["failure_message"] = "Time-out"
    assert texts(session(*two, result="Failed")) == [
        "2 VMs failed (a, b); none is allowed to. a: No memory. b: Time-out."
    ]


def test_a_vm_that_failed_is_one_reason():
    facts = session(task("mail", result="Failed", message="No memory"), task("web", created=-60), result="Failed")
    targets = {
        "rto": 60,
        "vm_rto": {"*": "3m"},
        "rpo": "4h",
        "required_vms": ["mail"],
        "plan": plan(("mail", 0), ("web", 0)),
    }
    verdict = judged(facts, **targets)
    assert [reason["text"] for reason in verdict["reasons"]] == [
        "1 VM failed (mail); none is allowed to. Enterprise Manager says: No memory."
    ]
    mail, web = verdict["vms"]
    assert (mail["passed"], web["passed"]) == (False, True)
    assert mail["reasons"] == ["failed", "required_not_successful", "rto_missed", "rpo_unknown"]
    # Where so many may fail, what is wanted of this VM is the reason, and it is one, too.
    assert texts(facts, **{**targets, "rto": None, "max_failed": 1}) == ["Required VM mail did not come up."]
    assert texts(facts, vm_rto={"mail": "3m"}, max_failed=1) == ["mail failed and so missed its 3 min target."]


@pytest.mark.parametrize(
    ("end", "target", "text"),
    [
        (900, 900, None),
        (899.999999, "15m", None),
        (1092, "15m", "The run took 18 min 12 s, target 15 min."),
        (1092.4, "15m", "The run took 18 min 12 s, target 15 min."),
        (900.4, "15m", "The run took 15 min 0.4 s, target 15 min."),
        (900.000001, "15m", "The run took 15 min 0.000001 s, target 15 min."),
        (4.5, 4, "The run took 4.5 s, target 4 s."),
        (0, 1, None),
    ],
)
def test_rto_of_the_session(end, target, text):
    assert texts(session(end=end), rto=target) == ([text] if text else [])


def test_a_pattern_that_matches_no_vm_is_a_reason():
    facts = session(task("db01"), task("db[2]"))
    assert codes(facts, vm_rto={"db*": "1h", "db01": "1h", "db[2]": "1h"}) == []
    assert texts(facts, vm_rto={"db*": "1h", "DB*": "1h", "db03": "1h"}) == [
        "No VM of the session matches 'DB*', which has a recovery time target (RTO).",
        "No VM of the session matches 'db03', which has a recovery time target (RTO).",
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (session(task(), end=None), ["rto_unknown"]),
        (session(task(), start=None), ["rto_unknown", ("rto_unknown", "vm")]),
        (session(task(), result="None"), ["no_result"]),
        (session(task(end=None)), [("rto_unknown", "vm")]),
        (session(task(result="None")), [("no_result", "vm")]),
        (session(task(start=None)), []),
        (session(task(start=None, end=None)), [("rto_unknown", "vm")]),
        (
            session(task(), state="Working", result="None"),
            ["not_finished"],
        ),
        (
            session(task(state="Working", result="None"), state="Working", result="None"),
            ["not_finished", ("not_finished", "vm")],
        ),
    ],
)
def test_an_rto_without_times_does_not_pass(facts, expected):
    assert codes(facts, rto="1h", vm_rto={"*": "1h"}) == expected


def test_sentences_on_an_rto_that_is_not_known():
    say = "{} cannot be compared with its 1 h target: Enterprise Manager gives no usable times."
    assert texts(session(task(end=None), end=None), rto="1h", vm_rto={"*": "1h"}) == [
        say.format("The run"),
        say.format("vm"),
    ]
    # Without a result, that is the reason.
    odd = judged(session(task(result="Odd"), result="Odd"), rto="1h", vm_rto={"*": "1h"})
    assert [reason["code"] for reason in odd["reasons"]] == ["unknown_result", "unknown_result"]
    assert odd["vms"][0]["reasons"] == ["unknown_result", "rto_unknown"]
    assert (odd["rto"]["status"], odd["vms"][0]["rto"]["status"]) == ("not_judged", "not_judged")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            session(task(), end=-60),
            ["contradicting_times", "rto_unknown", ("contradicting_times", "vm"), ("rto_unknown", "vm")],
        ),
        (session(task(start=70, end=60)), [("contradicting_times", "vm"), ("rto_unknown", "vm")]),
        (session(task(start=-1.5)), [("contradicting_times", "vm"), ("rto_unknown", "vm")]),
        (session(task(start=-1)), []),
        (session(task(end=101.5)), [("contradicting_times", "vm"), ("rto_unknown", "vm")]),
        (session(task(end=101)), []),
        (session(task(start=-90, end=-30)), [("contradicting_times", "vm"), ("rto_unknown", "vm")]),
    ],
)
def test_contradicting_times(facts, expected):
    assert codes(facts, rto="1h", vm_rto={"*": "1h"}) == expected
    (vm,) = judged(facts)["vms"]
    assert vm["started_after"] is None or vm["started_after"] >= 0


def test_sentences_on_times():
    assert texts(session(task(start=70, end=60))) == ["vm ended 10 s before it started, by Enterprise Manager's times."]
    assert texts(session(task(start=-3))) == ["vm was started 3 s before the run."]
    assert texts(session(task(end=160))) == ["vm ended 1 min after the run."]


def test_sentences_on_restore_points():
    facts = session(task(point=None), task("b"), task("c", point="c@x"), task("d", point="d@2026-03-02 09:00:00"))
    say = "The RPO of {} cannot be checked: {}."
    no_point = say.format("vm", "Enterprise Manager names no restore point")
    (found,) = judged(facts, rpo="4h")["reasons"]
    assert found["text"] == (
        "The RPO of 4 VMs cannot be checked: b, d (the restore point's name has no time zone); "
        "c (the restore point's name has no time); vm (Enterprise Manager names no restore point)."
    )
    assert (found["vm"], found["vms"], found["target"]) == (None, ["b", "c", "d", "vm"], 14400)
    assert found["hint"].startswith("Set point_utc_offset")
    alone = session(task("b"))
    assert texts(alone, rpo="4h") == [say.format("b", "the restore point's name has no time zone")]
    late = session(task("d", point="d@2026-03-02 09:00:00"))
    (found,) = judged(late, rpo="4h", point_utc_offset="Z")["reasons"]
    what = "the restore point is from after the run started, with UTC offset +00:00"
    assert (found["text"], found["hint"]) == (say.format("d", what), "Check point_utc_offset.")
    assert texts(session(task(point=None)), rpo="4h", point_utc_offset="Z") == [no_point]
    assert texts(session(task(), start=None), rpo="4h", point_utc_offset="Z") == [
        say.format("vm", "Enterprise Manager does not say when the run started")
    ]
    assert texts(session(task(created=60)), rpo="4h", point_utc_offset="Z") == [
        say.format("vm", "its restore point was created after the run started")
    ]
    both = session(*(task(name, created=created) for name, created in (("a", 60), ("b", 70))))
    assert texts(both, rpo="4h") == [
        "The RPO of 2 VMs (a, b) cannot be checked: their restore points were created after the run started."
    ]
    several = session(*(task(name, point=f"{name}@2026-03-02 09:0{n}:00") for n, name in enumerate("ab")))
    assert texts(several, rpo="4h", point_utc_offset="Z") == [
        "The RPO of 2 VMs (a, b) cannot be checked: the restore points are from after the run started, with UTC offset "
        "+00:00."
    ]


def test_the_offset_is_noted_where_it_counts():
    facts = session(task())
    passed = {"rto": "1h"}
    for targets, expected in ((passed, []), ({"rpo": "4h"}, ["point_utc_offset"])):
        assert [note["code"] for note in judged(facts, point_utc_offset="Z", **targets)["notes"]] == expected
    assert judged(facts, rpo="4h")["notes"] == []
    known = session(task("a", created=-60))
    assert judged(known, rpo="4h", point_utc_offset="Z")["notes"] == []
    known["tasks"].append(task("b"))
    assert [note["code"] for note in judged(known, rpo="4h", point_utc_offset="Z")["notes"]] == ["point_utc_offset"]


@pytest.mark.parametrize(
    ("name", "targets", "expected"),
    [
        ("good", {}, []),
        ("warned", {}, []),
        (
            "warned",
            {"allow_warnings": False},
            ["warning", ("warning", "warned")],
        ),
        ("bad", {"max_failed": 1}, [("required_not_successful", "bad")]),
        ("Good", {}, [("required_missing", "Good")]),
        ("go*", {}, [("required_missing", "go*")]),
    ],
)
def test_required_vms(name, targets, expected):
    facts = session(task("good"), task("warned", result="Warning"), task("bad", result="Failed"), result="Warning")
    expected_all = expected
    if not targets.get("max_failed"):
        facts["tasks"].pop()
    assert codes(facts, required_vms=[name, "good"], **targets) == expected_all
    assert codes(facts, required_vms=name, **targets) == expected_all


def test_required_vms_of_one_name_must_all_succeed():
    facts = session(task("a", point_id="1"), task("a", result="Failed", point_id="2"), result="Failed")
    verdict = judged(facts, required_vms=["a"], max_failed=1)
    assert [vm["passed"] for vm in verdict["vms"]] == [True, False]
    assert [reason["code"] for reason in verdict["reasons"]] == ["required_not_successful"]


def test_what_is_missing_is_not_reported_while_the_session_runs():
    facts = session(task("a"), state="Working", result="None")
    targets = {"required_vms": ["b"], "vm_rto": {"b": 60}, "plan": plan(("a", 0), ("b", 1))}
    assert codes(facts, **targets) == ["not_finished"]
    assert judged(facts, **targets)["not_attempted"] == []
    assert codes({**facts, "tasks": []}, **targets) == ["not_finished"]


@pytest.mark.parametrize(
    ("targets", "result", "needed"),
    [
        ({}, "Success", None),
        ({"rto": "1h", "max_failed": 3, "allow_warnings": False}, "Success", None),
        ({"vm_rto": {}, "required_vms": []}, "Success", None),
        ({"vm_rto": {"a": 60}}, "Success", "recovery times of VMs (RTO)"),
        ({"rpo": "1h", "point_utc_offset": "Z"}, "Success", "ages of restore points (RPO)"),
        ({"required_vms": ["a"]}, "Success", "required VMs"),
        ({"plan": plan(("a", 0))}, "Success", "VMs of the plan"),
        ({}, "Warning", "failed VMs"),
        (
            {"vm_rto": {"a": 60}, "rpo": 5},
            "Warning",
            "recovery times of VMs (RTO), ages of restore points (RPO), failed VMs",
        ),
    ],
)
def test_a_target_that_needs_vms_does_not_pass_without_them(targets, result, needed):
    for tasks in ([], None):
        facts = {**session(result=result), "tasks": tasks}
        say = f"Enterprise Manager lists no VMs for this session, so {needed} cannot be judged."
        assert texts(facts, **targets) == ([say] if needed else [])
        verdict = judged(facts, **targets)
        assert verdict["idle"] == verdict["vms"] == verdict["not_attempted"] == []
        assert verdict["critical_vm"] is None
        assert ("no_tasks" in [note["code"] for note in verdict["notes"]]) == (needed is None)


def test_a_success_stands_for_vms_whose_end_was_not_seen():
    facts = session(task("a"), working("b"), **KEPT)
    asked = {"rto": 100, "vm_rto": {"*": 100, "a": 70}, "required_vms": ["a", "b"], "plan": plan(("a", 0), ("b", 0))}
    verdict = judged(facts, **asked, rpo="3h", point_utc_offset="Z")
    assert verdict["passed"] is True
    assert [vm["passed"] for vm in verdict["vms"]] == [True, None]
    assert verdict["vms"][1]["rto"] == {"target": 100, "achieved": None, "margin": None, "status": "met"}
    assert verdict["session"]["tasks_kept_at"] == KEPT["tasks_kept_at"]
    assert verdict["critical_vm"] is None
    assert [note["text"] for note in verdict["notes"] if note["code"] == "tasks_kept"] == [
        "Enterprise Manager no longer lists the VMs. They are judged as it listed them at 2026-03-02 08:01:35 UTC; "
        "b had not finished then."
    ]
    assert codes({**facts, "tasks_kept_at": None}) == ["stopped_with_running_vms", ("not_finished", "b")]


def test_a_target_that_is_shorter_than_the_session_needs_the_end_of_the_vm():
    facts = session(working("b"), **KEPT)
    say = "b had not finished when last listed, at 2026-03-02 08:01:35 UTC, so its 1 min 39 s target cannot be judged."
    assert texts(facts, vm_rto={"b": 99}) == [say]
    assert judged(facts, vm_rto={"b": 99})["vms"][0]["passed"] is False
    assert codes({**facts, "end_time": None}, vm_rto={"b": "9h"}) == [("rto_unknown", "b")]


@pytest.mark.parametrize(
    ("result", "others", "targets", "expected"),
    [
        ("Warning", "Warning", {}, [("outcome_unknown", "b")]),
        ("Warning", "Success", {"required_vms": ["b"], "vm_rto": {"b": "9h"}}, [("outcome_unknown", "b")]),
        ("Failed", "Success", {}, ["failed", ("outcome_unknown", "b")]),
        ("Failed", "Failed", {"max_failed": 2}, [("outcome_unknown", "b")]),
        ("None", "Success", {}, ["no_result", ("outcome_unknown", "b")]),
        ("Success", "Failed", {"max_failed": 1}, ["success_with_failed_vms"]),
        ("Success", "Odd", {}, [("unknown_result", "a")]),
    ],
)
def test_nothing_else_stands_for_them(result, others, targets, expected):
    facts = session(task("a", result=others), working("b"), result=result, **KEPT)
    assert codes(facts, **targets) == expected


def test_a_kept_list_in_which_all_had_finished():
    facts = session(task("a", result="Failed"), task("b"), result="Failed", **KEPT)
    assert codes(facts, max_failed=1) == []
    assert judged(facts)["notes"][-1]["text"].endswith("They are judged as it listed them at 2026-03-02 08:01:35 UTC.")
    assert codes(session(task("a"), result="Failed", **KEPT)) == ["failed_without_failed_vms"]


def test_sentences_on_a_kept_list_say_when_it_was_created():
    facts = session(task("a"), tasks_kept_at="just now")
    targets = {"vm_rto": {"c": 9}, "required_vms": ["b"], "plan": plan(("d", 0), ("a", 0), ("a", 0))}
    assert texts(facts, **targets) == [
        "No VM of the session (as listed at just now) matches 'c', which has a recovery time target (RTO).",
        "b is required, but the session does not list it (as listed at just now).",
        "2 VMs of the plan are not in the session, or not as often (as listed at just now): "
        "a (2 times in the plan, once in the session); d.",
    ]


def test_a_list_that_was_kept_while_the_session_runs():
    facts = session(working("b"), state="Working", result="None", **KEPT)
    assert codes(facts, vm_rto={"b": 5}) == ["not_finished", ("not_finished", "b")]
    assert judged(facts)["notes"] == []
    assert judged(session(**KEPT))["notes"][0]["code"] == "no_tasks"


@pytest.mark.parametrize(
    ("facts", "targets", "code", "target", "achieved"),
    [
        (session(state="Working"), {}, "not_finished", "Stopped", "Working"),
        (session(state="Odd"), {}, "unknown_state", "Stopped", "Odd"),
        (session(result="Odd"), {}, "unknown_result", None, "Odd"),
        (session(working("b"), result="Failed", **KEPT), {}, "failed", "Success", "Failed"),
        (session(result="Warning"), {"allow_warnings": False}, "warning", "Success", "Warning"),
        (session(*[task(result="Failed")] * 3), {"max_failed": 1}, "too_many_failed", 1, 3),
        (session(*[task(result="Failed")] * 3), {"max_failed": 3}, "success_with_failed_vms", 0, 3),
        (
            session(*[task(result="Failed")] * 3, result="Warning"),
            {"max_failed": 3},
            "warning_with_only_failed_vms",
            0,
            3,
        ),
        (session(working("b"), task()), {}, "stopped_with_running_vms", 0, 1),
        (session(working("b"), result="Warning", **KEPT), {}, "outcome_unknown", "Success", "Working"),
        (session(), {"rto": 90}, "rto_missed", 90, 100),
        (session(end=None), {"rto": 90}, "rto_unknown", 90, None),
        (session(task()), {"rpo": 90}, "rpo_unknown", 90, None),
        (session(task()), {"vm_rto": {"x": 90}}, "pattern_unmatched", 90, None),
        (session(task()), {"required_vms": "x"}, "required_missing", "Success", None),
        (
            session(task("x", result="Failed"), result="Warning"),
            {"required_vms": "x", "max_failed": 1},
            "required_not_successful",
            "Success",
            "Failed",
        ),
        (session(task()), {"plan": plan(("x", 0), ("x", 1))}, "not_attempted", 2, 0),
    ],
)
def test_target_and_achieved(facts, targets, code, target, achieved):
    found = [reason for reason in judged(facts, **targets)["reasons"] if reason["code"] == code]
    assert (found[0]["target"], found[0]["achieved"]) == (target, achieved)
