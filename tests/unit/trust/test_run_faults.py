# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault on every step of a run: a plan is never started twice, and what is reported of it is true.

The module meets all faults with the action test; the other front ends and actions meet a few of each kind. Each case
checks too that no logon stays open without a warning, that no secret is shown, and that the run ends in time. Time
passes only where a wait sleeps. The outcomes go to build/fault-matrix/, from which tools/fault_matrix.py makes a table
of build/fault-matrix.md.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from emulator import Emulator

FRONT_ENDS = ("start", "test", "undo", "wait", "plans")
ACTIONS = ("start", "test", "undo")
WAITS = ("start", "test", "wait")
PASSWORD = "Passw0rd!"
BASIC = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
TIME_OUT = 150  # seconds that a run may wait; of the clock that tests hold
SLOW = 1.3  # real seconds that a slow answer takes; the time-out is one second then
SENTENCE = re.compile(
    r"[A-Z][^\n]* failed: (?:\S+:\d+|Enterprise Manager) [a-z][^\n]*\. [A-Z][^\n]*\. \(\S+\)|The run of plan [^\n]*\."
)

# The outcomes, as they stand on the page.
COMPLETE = "complete"
MAY_BE_OPEN = " (warning: logon may be open)"
OPEN_UNSAID = " (LOGON OPEN, UNSAID)"


def fails(kind: str, changed: bool = False) -> str:
    return f"fails: {kind}{', changed' if changed else ''}"


@dataclass
class Stage:
    """What a fault can act on: the emulator, another host, and time, see the fixture ``fake_clock``."""

    em: Emulator
    elsewhere: Emulator
    fake_clock: Any
    monkeypatch: pytest.MonkeyPatch


SESSIONS = {"method": "GET", "path": "/api/query", "query": "type=CloudFailoverSession"}
PLACES: dict[str, dict[str, Any]] = {
    "logon": {"method": "POST", "path": "sessionMngr"},
    "plans": {"method": "GET", "path": "/api/query", "query": "type=CloudFailoverPlan"},
    "check": SESSIONS,  # of the sessions of the plan, before the request
    "request": {"method": "POST", "path": "/cloudFailoverPlans/"},
    "task": {"method": "GET", "path": "/api/tasks/"},
    "new sessions": {**SESSIONS, "after": 1},  # the polls after the request
    "session": {"method": "GET", "path": "/failoverSessions/"},
    "log off": {"method": "DELETE"},
}
MEETS = {
    "logon": ("test", "start", "wait", "plans"),
    "plans": ("test", "plans"),
    "check": ("test", "undo"),
    "request": ("test", "start", "undo"),
    "task": ("test", "start", "undo"),
    "new sessions": ("test", "start", "undo"),
    "session": ("test", "start", "wait"),
    "log off": ("test", "start", "wait", "plans"),
}
"""Which runs meet faults at a place: ``test`` all of them, the others a few."""

Inject = Callable[[Stage], None]


def rule(action: str, place: str, times: int | None, **options: Any) -> Inject:
    """A fault of the emulator."""
    return lambda stage: stage.em.faults.add(action, times=times, **PLACES[place], **options) and None


def redirect(place: str, times: int | None) -> Inject:
    return lambda stage: rule("redirect", place, times, location=f"{stage.elsewhere.url}/api/query")(stage)


KINDS: dict[str, tuple[Callable[..., Inject], str]] = {
    "HTTP 401": (lambda *where: rule("unauthorized", *where), "auth"),
    **{
        f"HTTP {status}": (lambda *where, status=status: rule("status", *where, status=status), kind)
        for status, kind in (
            (403, "permission"),
            (404, "not_found"),
            (500, "server"),
            (502, "server"),
            (503, "server"),
            (504, "server"),
        )
    },
    "drop": (lambda *where: rule("drop", *where), "connection"),
    "drop after handling": (lambda *where: rule("drop_after_handling", *where), "connection"),
    "cut body": (lambda *where: rule("cut", *where), "connection"),
    "cut XML": (lambda *where: rule("cut_xml", *where), "protocol"),
    "HTML login page": (lambda *where: rule("html", *where), "protocol"),
    "empty body": (lambda *where: rule("empty", *where), "protocol"),
    "garbage": (lambda *where: rule("garbage", *where), "protocol"),
    "redirect": (redirect, "protocol"),
    "slow headers": (lambda *where: rule("slow_headers", *where, seconds=SLOW), "timeout"),
    "slow body": (lambda *where: rule("slow_body", *where, seconds=SLOW / 2), "timeout"),
    "expired logon": (lambda *where: rule("expire", *where), "auth"),
}
"""How each fault is put in, and the kind of error that it is where it does not pass."""
LIKE_OTHERS = ("HTTP 502", "HTTP 504", "drop after handling", "cut XML", "empty body", "garbage", "slow body")
"""Faults on the request only: on reads, the matrix of those who only read shows that they are like others."""
FEW = ("HTTP 401", "HTTP 503", "drop", "expired logon")
"""Faults for those who do not meet all."""


def who_meets(kind: str, place: str) -> tuple[str, ...]:
    """The lost reply of an undo has rules of its own, so an undo meets all faults on the request."""
    return tuple(
        front_end
        for front_end in MEETS[place]
        if kind in FEW or front_end == "test" or (front_end, place) == ("undo", "request")
    )


@dataclass(frozen=True)
class Fault:
    """A row.

    :ivar expected: the outcome by front end; the others do not meet the fault.
    :ivar options: of the front end.
    """

    name: str
    inject: Inject
    expected: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)


def refuse(stage: Stage) -> None:
    plan = stage.em.world.plans[0]
    stage.em.world.change_plan(plan, refuse=dict.fromkeys(ACTIONS, f"No points for {PASSWORD}, {BASIC}"))


def hide_task(reads: int) -> Inject:
    return lambda stage: setattr(stage.em.behaviour, "hidden_task_reads", reads)


def later(seconds: float, happens: Callable[[Emulator], Any]) -> Inject:
    return lambda stage: stage.fake_clock.at(seconds, lambda: happens(stage.em))


def unavailable(kind: str) -> Inject:
    """EM is away from a moment after the request on."""

    def inject(stage: Stage) -> None:
        later(6, lambda em: em.restart(3600, kind))(stage)
        later(66, lambda em: em.outage(0))(stage)

    return inject


def unavailable_with_the_reply(kind: str) -> Inject:
    def inject(stage: Stage) -> None:
        right = stage.em.plan_actions.act

        def act(*given: Any, **more: Any) -> Any:
            outcome = right(*given, **more)
            stage.em.restart(3600, kind)
            return outcome

        stage.monkeypatch.setattr(stage.em.plan_actions, "act", act)
        rule("drop_after_handling", "request", 1)(stage)
        later(60, lambda em: em.outage(0))(stage)

    return inject


def expected(kind: str, times: str, place: str, front_end: str) -> str:
    """The outcome of a fault; the rules of docs/failover.md in another form."""
    error = KINDS[kind][1]
    once = times == "once"
    changed = front_end in ACTIONS
    if place == "log off":
        if kind in ("HTTP 401", "HTTP 404"):
            return COMPLETE + OPEN_UNSAID
        done = once or kind in ("cut body", "cut XML", "expired logon")
        return COMPLETE if done else COMPLETE + MAY_BE_OPEN
    if place == "logon":
        if kind in ("cut body", "cut XML", "slow body", "expired logon") or (kind == "HTTP 503" and once):
            return COMPLETE
        may_be_open = MAY_BE_OPEN if error in ("connection", "timeout") else ""
        return fails("protocol" if kind == "HTTP 404" else error) + may_be_open
    read_as_list = kind in ("HTTP 403", "HTTP 404")  # a reason to read the list instead, where the query has it
    if place in ("plans", "check"):  # EM must answer before anything is done
        passes = once and error in ("auth", "server", "connection", "timeout")
        return COMPLETE if passes or read_as_list else fails(error)
    if place == "request":
        if kind in ("HTTP 403", "HTTP 404", "redirect") or (error == "auth" and not once):
            return fails(error)
        carried_out = kind in ("drop after handling", "cut body", "cut XML", "slow body")
        # An undo has no session that could be found.
        found = error == "auth" or (carried_out and front_end != "undo")
        return COMPLETE if found else fails("in_doubt", changed)
    if place == "new sessions" and read_as_list:
        return COMPLETE
    # A 403 may mean that the logon has ended. A new one loses the task, so where only the task is refused, it is read again.
    new_logon = error == "auth" or (error == "permission" and place != "task")
    if once:
        return fails("in_doubt", changed) if new_logon and front_end == "undo" else COMPLETE
    if place == "task":
        needs_it = front_end == "undo" or error == "connection"
        return fails("in_doubt", changed) if needs_it else COMPLETE
    if new_logon:
        return fails(error, changed)
    if place == "new sessions":
        return fails("in_doubt", changed)
    return fails("wait_timeout", changed)


FAULTS = [
    Fault("no fault", lambda stage: None, dict.fromkeys(FRONT_ENDS, COMPLETE)),
    *(
        Fault(
            f"{kind} {times} on {place}",
            inject(place, count),
            {front_end: expected(kind, times, place, front_end) for front_end in who_meets(kind, place)},
            {"timeout": 1} if "slow" in kind else {},
        )
        for place in PLACES
        for kind, (inject, dummy) in KINDS.items()
        for times, count in (("once", 1), ("for ever", None))
        if not ("slow" in kind and times == "for ever")
        if (kind not in LIKE_OTHERS if place != "request" else kind != "slow headers")
    ),
    Fault("wrong password", lambda stage: None, dict.fromkeys(FRONT_ENDS, fails("auth")), {"password": "Wr0ng-one!"}),
    Fault(
        "role that may only read sessions",
        lambda stage: None,
        {**dict.fromkeys(FRONT_ENDS, fails("permission")), "wait": COMPLETE},
        {"username": "reader"},
    ),
    *(
        Fault(
            f"role that may run plans ({user})",
            lambda stage: None,
            dict.fromkeys(FRONT_ENDS, COMPLETE),
            {"username": user},
        )
        for user in ("operator", "both")
    ),
    Fault(
        "role that may list and not query",
        lambda stage: setattr(stage.em.behaviour, "role_query", "refused"),
        dict.fromkeys(FRONT_ENDS, COMPLETE),
        {"username": "both"},
    ),
    Fault(
        "role that may not read",
        lambda stage: None,
        dict.fromkeys(FRONT_ENDS, fails("permission")),
        {"username": "restricted"},
    ),
    Fault("task that did not succeed", refuse, dict.fromkeys(ACTIONS, fails("refused", True))),
    Fault("task not known at first", hide_task(2), dict.fromkeys(ACTIONS, COMPLETE)),
    Fault("task never known", hide_task(10**6), {"start": COMPLETE, "test": COMPLETE, "undo": fails("in_doubt", True)}),
    Fault(
        "EM restarts after the request, and forgets logon and task",
        later(6, lambda em: em.restart()),
        {"start": COMPLETE, "test": COMPLETE, "undo": fails("in_doubt", True), "wait": COMPLETE},
    ),
    *(
        Fault(
            f"EM is away for a minute after the request ({kind}), and forgets logon and task",
            unavailable(kind),
            {"start": COMPLETE, "test": COMPLETE, "undo": fails("in_doubt", True), "wait": COMPLETE + MAY_BE_OPEN},
        )
        for kind in ("503", "drop")
    ),
    *(
        Fault(
            f"EM is away for a minute from the request on, which it carries out ({kind})",
            unavailable_with_the_reply(kind),
            {"start": COMPLETE, "test": COMPLETE, "undo": fails("in_doubt", True)},
        )
        for kind in ("503", "drop")
    ),
    Fault(
        "request carried out after its time-out",
        rule("slow_headers", "request", 1, seconds=2 * SLOW),
        dict.fromkeys(("test", "undo"), fails("in_doubt", True)),
        {"timeout": 1, "wait_timeout": 20},
    ),
    Fault(
        "HTTP 500 with the password in its message on request",
        rule("status", "request", None, status=500, message=f"{PASSWORD} is known"),
        dict.fromkeys(ACTIONS, fails("in_doubt", True)),
    ),
]


# Running them


@pytest.fixture
def run(em, run_action, run_module, displayed_lines, recorded_sleeps):
    """Run a front end as a playbook does (start, wait), or its module alone (test, undo, plans)."""
    plan = em.world.add_plan(
        "Acme", [{"name": "db", "duration": 20}, {"name": "web", "duration": 40}], tenant="A", backup_server="vbr1"
    )

    def call(front_end, **options):
        options = {"url": em.url, "username": "admin", "password": PASSWORD, "retries": 1, **options}
        if front_end == "plans":
            return run_module("failover_plan_info", **options)
        if front_end == "wait":
            session = em.world.add_session("Acme", backup_server="vbr1", tasks=[{"vm_name": "db", "duration": 40}])
            return run_action(
                "failover_session_wait", id=session.id, appear_timeout=TIME_OUT, finish_timeout=TIME_OUT, **options
            )
        options = {"plan": plan.id, "action": front_end, "wait_timeout": TIME_OUT, **options}
        if front_end == "start":
            return run_action("failover_plan", **options)
        return run_module("failover_plan", **options)

    return call


def cases() -> list[Any]:
    return [
        pytest.param(number, front_end, id=f"{fault.name}-{front_end}")
        for number, fault in enumerate(FAULTS)
        for front_end in fault.expected
    ]


def outcome_of(em: Emulator, front_end: str, result: dict[str, Any], acts: int) -> str:
    """The outcome in the words of the page."""
    made = [session.id for session in em.world.sessions]
    if result.get("failed"):
        words = fails(result["error"]["kind"], result.get("changed", False))
        assert SENTENCE.fullmatch(result["msg"]), result["msg"]
    else:
        words = COMPLETE
        assert result["changed"] is (front_end in ACTIONS)
        if front_end == "plans":
            assert [plan["name"] for plan in result["failover_plans"]] == ["Acme"]
            assert [vm["name"] for vm in result["failover_plans"][0]["vms"]] == ["db", "web"]
        elif front_end == "undo":
            assert (acts, result["failover_session"]) == (1, None)
        else:
            session = result["failover_session"]
            assert [session["id"]] == made
            assert session["succeeded"] is True
            assert {task["vm_name"] for task in session["tasks"]} == ({"db"} if front_end == "wait" else {"db", "web"})
    if any("will expire when idle" in warning for warning in result.get("warnings", [])):
        return words + MAY_BE_OPEN
    return words + OPEN_UNSAID if em.counters.live_logons else words


@pytest.mark.parametrize(("number", "front_end"), cases())
def test_fault(
    em,
    other_host,
    run,
    displayed_lines,
    fake_clock,
    monkeypatch,
    unhurried,
    wait_until_settled,
    secrets,
    keep_row,
    number,
    front_end,
):
    fault = FAULTS[number]
    other_host.reset()
    em.behaviour.undo_of_nothing = "accept"
    fault.inject(Stage(em, other_host, fake_clock, monkeypatch))
    begin = time.monotonic()
    result = run(front_end, **fault.options)
    seconds = time.monotonic() - begin
    if "timeout" in fault.options:
        wait_until_settled(em, 600)
    em.outage(0)
    acts = [run for run in em.runs if run.by == "api" and run.refused is None]
    came = outcome_of(em, front_end, result, len(acts))
    keep_row("runs", number, fault.name, front_end, came, seconds)

    assert len(acts) <= 1
    if front_end in ACTIONS:
        assert result["changed"] or not acts
        posts = [record.status for record in em.requests if record.method == "POST" and "Plans" in record.path]
        assert len(posts) <= 2 and all(status == 401 for status in posts[:-1])
    text = json.dumps([result, displayed_lines])
    assert "Traceback" not in text
    assert [secret for secret in {PASSWORD, *secrets(em)} if secret in text] == []
    assert other_host.counters.requests == 0
    assert fake_clock.now < TIME_OUT + 60
    assert came == fault.expected[front_end], (result.get("msg"), result.get("warnings"))
