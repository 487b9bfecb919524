# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every fault on the module: the facts are complete, or the run fails with the right kind of error.

The lookup and the inventory have the client and the reader of the module, and an end of their own. So they are run with one
fault for each way that a reading can end (``EVERYWHERE``). Each case also checks that no logon stays open without a
warning, that no secret is shown, and that the run stops sending requests. The outcomes go to build/fault-matrix/, from
which tools/fault_matrix.py makes build/fault-matrix.md.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from emulator import Emulator

FRONT_ENDS = ("module", "lookup", "inventory")
PASSWORD = "Passw0rd!"
WRONG = "Wr0ng-passw0rd!"
BASIC = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
SESSIONS = 7
PAGE_SIZE = 3  # so there are three pages
MAX_REQUESTS = 25
"""Of a run, whatever the fault; counted, since a bound in seconds breaks on a busy machine."""
SLOW = 1.3  # seconds that a slow answer takes; the time-out is one second then


# The outcomes, as they stand on the page.
COMPLETE = "complete"
MAY_BE_OPEN = " (warning: logon may be open)"
OPEN_UNSAID = " (LOGON OPEN, UNSAID)"
PART = "PART ONLY, UNSAID"


def fails(kind: str) -> str:
    return f"fails: {kind}"


# How faults are put in


@dataclass
class Stage:
    """What a fault can act on.

    :ivar em: the emulator that is read.
    :ivar elsewhere: another host.
    """

    em: Emulator
    elsewhere: Emulator
    recorded_sleeps: Any
    monkeypatch: pytest.MonkeyPatch


LOGON = {"method": "POST", "path": "sessionMngr"}
PAGES = {"path": "/api/query"}
PAGE_1 = {"path": "/api/query", "query": r"&page=1\b"}
PAGE_2 = {"path": "/api/query", "query": r"&page=2\b"}
LOG_OFF = {"method": "DELETE"}
ANYWHERE: dict[str, str] = {}
PLACES = {"logon": LOGON, "page 1": PAGE_1, "page 2": PAGE_2, "log off": LOG_OFF}
TIMES = {"once": 1, "twice": 2, "for ever": None}

Inject = Callable[[Stage], None]


def rule(action: str, where: dict[str, str], times: int | None = None, **options: Any) -> Inject:
    """A fault of the emulator."""
    return lambda stage: stage.em.faults.add(action, times=times, **where, **options) and None


def both(*injects: Inject) -> Inject:
    def inject(stage: Stage) -> None:
        for one in injects:
            one(stage)

    return inject


def redirect(where: dict[str, str], to_another_host: bool, status: int = 302) -> Inject:
    def inject(stage: Stage) -> None:
        host = stage.elsewhere.url if to_another_host else ""
        stage.em.faults.add("redirect", location=f"{host}/api/query?type=CloudFailoverSession", status=status, **where)

    return inject


def pages_are(change: Callable[[Any], Any]) -> Inject:
    """Each page of the query as ``change`` makes it of the right one."""

    def inject(stage: Stage) -> None:
        right = stage.em.query.page
        stage.monkeypatch.setattr(stage.em.query, "page", lambda parameters: change(right(parameters)))

    return inject


def after_page_1(happens: Callable[[Emulator], None]) -> Inject:
    """Something that happens once, when page 1 has been read and page 2 has not."""

    def inject(stage: Stage) -> None:
        done: list[bool] = []

        def change(page: Any) -> Any:
            if page.number == 1 and not done:
                done.append(True)
                happens(stage.em)
            return page

        pages_are(change)(stage)

    return inject


def set_clock(hours: float) -> Inject:
    return lambda stage: stage.em.clock.advance(hours * 3600)


def last_page(page: Any) -> Any:
    """A page that says, wrongly, that it is the last one."""
    return replace(page, count=page.number, links={rel: link for rel, link in page.links.items() if rel != "Next"})


def without_next(count: int) -> Inject:
    return pages_are(lambda page: replace(page, count=count, links={}))


def json_always(stage: Stage) -> None:
    right = stage.em.style
    stage.monkeypatch.setattr(stage.em, "style", lambda *args, **options: replace(right(*args, **options), json=True))


def no_paging_info(stage: Stage) -> None:
    stage.em.behaviour.omit_paging_info = True


def stops_in_the_first_pause(stage: Stage) -> None:
    stage.em.faults.add("drop", **PAGE_2)
    stage.recorded_sleeps.in_the_first = stage.em.stop


def restarts_in_the_first_pause(stage: Stage) -> None:
    def restart() -> None:
        stage.em.stop()
        stage.em.expire_logons()
        stage.em._port = int(stage.em.url.rpartition(":")[2])
        stage.em.start()

    stage.em.faults.add("drop", times=1, **PAGE_2)
    stage.recorded_sleeps.in_the_first = restart


def remove_the_oldest(em: Emulator) -> None:
    em.world.remove_session(em.world.sessions[0])


# The table


@dataclass(frozen=True)
class Fault:
    """A row.

    :ivar expected: the outcome.
    :ivar options: of the front end.
    :ivar stops: whether it stops the emulator, which then is one of its own.
    """

    name: str
    inject: Inject
    expected: str
    options: dict[str, Any] = field(default_factory=dict)
    stops: bool = False


def status_outcome(status: int, place: str, times: str) -> str:
    """A read is repeated, a log on only with 503, a log off once."""
    if place == "log off":
        return COMPLETE if times == "once" else COMPLETE + MAY_BE_OPEN
    again = times != "for ever" and (place != "logon" or status == 503)
    return COMPLETE if again else fails("server")


SHORT_TIMEOUT = {"timeout": 1}


FAULTS = [
    Fault("no fault", lambda stage: None, COMPLETE),
    # Error statuses
    *(
        Fault(
            f"HTTP {status} {times} on {place}",
            rule("status", PLACES[place], TIMES[times], status=status),
            status_outcome(status, place, times),
        )
        for status in (500, 502, 503, 504)
        for place in PLACES
        for times in TIMES
    ),
    Fault("HTTP 400 for ever on page 2", rule("status", PAGE_2, status=400), fails("server")),
    Fault("HTTP 404 for ever on page 2", rule("status", PAGE_2, status=404), fails("not_found")),
    Fault(
        "HTTP 404 for ever on log off, though the logon lives",
        rule("status", LOG_OFF, status=404),
        COMPLETE + OPEN_UNSAID,
    ),
    Fault("HTTP 400 to each query", rule("status", PAGES, status=400), COMPLETE),
    Fault(
        "HTTP 500 with password and Basic value in its message",
        rule("status", PAGE_2, status=500, message=f"{PASSWORD} Basic {BASIC} {BASIC}"),
        fails("server"),
    ),
    *(
        Fault(
            f"HTTP 503 for ever on {place}, Retry-After of an hour",
            rule("status", PLACES[place], status=503, headers={"Retry-After": "3600"}),
            fails("server"),
        )
        for place in ("logon", "page 1", "page 2")
    ),
    Fault(
        "HTTP 503 once on page 2, Retry-After of 7 seconds",
        rule("status", PAGE_2, 1, status=503, headers={"Retry-After": "7"}),
        COMPLETE,
    ),
    Fault(
        "HTTP 503 once on log off, Retry-After of an hour",
        rule("status", LOG_OFF, 1, status=503, headers={"Retry-After": "3600"}),
        COMPLETE,
    ),
    # Connections that are refused, or break
    Fault("connection refused", lambda stage: stage.em.stop(), fails("connection"), stops=True),
    Fault("connection refused from page 2 on", stops_in_the_first_pause, fails("connection") + MAY_BE_OPEN, stops=True),
    Fault("EM restarts before page 2, and forgets the logon", restarts_in_the_first_pause, COMPLETE, stops=True),
    Fault("reset once on logon", rule("drop", LOGON, 1), fails("connection") + MAY_BE_OPEN),
    Fault("reset once on page 1", rule("drop", PAGE_1, 1), COMPLETE),
    Fault("reset twice on page 2", rule("drop", PAGE_2, 2), COMPLETE),
    Fault("reset for ever on page 1", rule("drop", PAGE_1), fails("connection")),
    Fault("reset for ever on page 2", rule("drop", PAGE_2), fails("connection")),
    Fault("reset once on log off", rule("drop", LOG_OFF, 1), COMPLETE),
    Fault("reset for ever on log off", rule("drop", LOG_OFF), COMPLETE + MAY_BE_OPEN),
    Fault("dropped after handling, on logon", rule("drop_after_handling", LOGON), fails("connection") + MAY_BE_OPEN),
    Fault("dropped after handling, once on page 2", rule("drop_after_handling", PAGE_2, 1), COMPLETE),
    Fault("dropped after handling, for ever on page 2", rule("drop_after_handling", PAGE_2), fails("connection")),
    Fault("dropped after handling, once on log off", rule("drop_after_handling", LOG_OFF, 1), COMPLETE),
    Fault("dropped after handling, for ever on log off", rule("drop_after_handling", LOG_OFF), COMPLETE + MAY_BE_OPEN),
    Fault("dropped in the body of the logon", rule("cut", LOGON), COMPLETE),
    Fault("dropped in the body, once on page 1", rule("cut", PAGE_1, 1), COMPLETE),
    Fault("dropped in the body, twice on page 2", rule("cut", PAGE_2, 2), COMPLETE),
    Fault("dropped in the body, for ever on page 1", rule("cut", PAGE_1), fails("connection")),
    Fault("dropped in the body, for ever on page 2", rule("cut", PAGE_2), fails("connection")),
    # Slow answers
    Fault(
        "slow headers on logon",
        rule("slow_headers", LOGON, seconds=SLOW),
        fails("timeout") + MAY_BE_OPEN,
        options=SHORT_TIMEOUT,
    ),
    Fault(
        "slow headers once on page 1", rule("slow_headers", PAGE_1, 1, seconds=SLOW), COMPLETE, options=SHORT_TIMEOUT
    ),
    Fault(
        "slow headers for ever on page 2",
        rule("slow_headers", PAGE_2, seconds=SLOW),
        fails("timeout"),
        options=SHORT_TIMEOUT,
    ),
    Fault(
        "slow headers once on log off", rule("slow_headers", LOG_OFF, 1, seconds=SLOW), COMPLETE, options=SHORT_TIMEOUT
    ),
    Fault(
        "slow headers for ever on log off",
        rule("slow_headers", LOG_OFF, seconds=SLOW),
        COMPLETE + MAY_BE_OPEN,
        options=SHORT_TIMEOUT,
    ),
    Fault("slow body of the logon", rule("slow_body", LOGON, seconds=SLOW / 2), COMPLETE, options=SHORT_TIMEOUT),
    Fault("slow body once on page 2", rule("slow_body", PAGE_2, 1, seconds=SLOW / 2), COMPLETE, options=SHORT_TIMEOUT),
    Fault(
        "slow body for ever on page 1",
        rule("slow_body", PAGE_1, seconds=SLOW / 2),
        fails("timeout"),
        options=SHORT_TIMEOUT,
    ),
    # Answers that are none of EM's
    Fault("cut XML on logon", rule("cut_xml", LOGON), COMPLETE),
    Fault("cut XML once on page 1", rule("cut_xml", PAGE_1, 1), fails("protocol")),
    Fault("cut XML once on page 2", rule("cut_xml", PAGE_2, 1), fails("protocol")),
    *(
        Fault(f"{what} {times} on {place}", rule(action, PLACES[place], TIMES[times]), expected)
        for what, action in (("garbage", "garbage"), ("HTML login page", "html"), ("empty body", "empty"))
        for place, times, expected in (
            ("logon", "for ever", fails("protocol")),
            ("page 1", "for ever", fails("protocol")),
            ("page 2", "once", fails("protocol")),
            ("log off", "once", COMPLETE),
            ("log off", "for ever", COMPLETE + MAY_BE_OPEN),
        )
    ),
    Fault(
        "right XML called text/html",
        rule("headers", ANYWHERE, headers={"Content-Type": "text/html; charset=utf-16"}),
        COMPLETE,
    ),
    Fault("JSON though XML is asked for", json_always, fails("protocol")),
    Fault(
        "JSON on page 2",
        rule("reply", PAGE_2, content_type="application/json", body='{"Entities": {}}'),
        fails("protocol"),
    ),
    *(
        Fault(f"redirect {where} on {place}", redirect(PLACES[place], other, status), expected)
        for where, other, status in (("on the same host", False, 302), ("to another host", True, 307))
        for place, expected in (
            ("logon", fails("protocol")),
            ("page 1", fails("protocol")),
            ("page 2", fails("protocol")),
            ("log off", COMPLETE + MAY_BE_OPEN),
        )
    ),
    # Logons and rights
    Fault("wrong password", lambda stage: None, fails("auth"), options={"password": WRONG}),
    Fault("logon forgotten before page 1", rule("expire", PAGE_1, 1), COMPLETE),
    Fault("logon forgotten before page 2", rule("expire", PAGE_2, 1), COMPLETE),
    Fault(
        "logon forgotten before each page, once", both(rule("expire", PAGE_1, 1), rule("expire", PAGE_2, 1)), COMPLETE
    ),
    Fault("logon forgotten before each request for page 2", rule("expire", PAGE_2), fails("auth")),
    Fault("logon forgotten before log off", rule("expire", LOG_OFF), COMPLETE),
    Fault("logon idle for 15 minutes after page 1", after_page_1(lambda em: em.clock.advance(901)), COMPLETE),
    Fault("HTTP 401 once on page 1", rule("unauthorized", PAGE_1, 1), COMPLETE),
    Fault("HTTP 401 once on page 2", rule("unauthorized", PAGE_2, 1), COMPLETE),
    Fault("HTTP 401 for ever on logon", rule("unauthorized", LOGON), fails("auth")),
    Fault("HTTP 401 for ever on page 1", rule("unauthorized", PAGE_1), fails("auth")),
    Fault("HTTP 401 for ever on page 2", rule("unauthorized", PAGE_2), fails("auth")),
    Fault(
        "HTTP 401 for ever on log off, though the logon lives", rule("unauthorized", LOG_OFF), COMPLETE + OPEN_UNSAID
    ),
    Fault(
        "HTTP 401 on page 2, and the new logon is reset",
        both(rule("expire", PAGE_2, 1), rule("drop", LOGON, after=1)),
        fails("connection") + MAY_BE_OPEN,
    ),
    Fault("HTTP 403 on logon", rule("status", LOGON, status=403), fails("permission")),
    Fault("role that may not read", lambda stage: None, fails("permission"), options={"username": "restricted"}),
    *(
        Fault(f"role that may read ({user})", lambda stage: None, COMPLETE, options={"username": user})
        for user in ("operator", "both")
    ),
    Fault(
        "role that may list and not query", lambda stage: setattr(stage.em.behaviour, "role_query", "refused"), COMPLETE
    ),
    Fault("HTTP 403 on page 2", rule("status", PAGE_2, status=403), fails("permission")),
    Fault("HTTP 403 on log off", rule("status", LOG_OFF, status=403), COMPLETE + MAY_BE_OPEN),
    Fault(
        "stale cookie set by every answer",
        rule("headers", ANYWHERE, headers={"Set-Cookie": "X-RestSvcSessionId=c3RhbGU=; Path=/"}),
        COMPLETE,
    ),
    # Pages that lie or move
    Fault("page 1 once in the place of page 2", rule("repeat_page", PAGE_2, 1), COMPLETE),
    Fault("page 1 in the place of each page", rule("repeat_page", PAGES), fails("protocol")),
    Fault(
        "page 1 in the place of each page, for ever",
        both(rule("repeat_page", PAGES), rule("pages_count", PAGES, count=1_000_000)),
        fails("protocol"),
    ),
    Fault(
        "page 1 in the place of each page, and no PagingInfo", both(rule("repeat_page", PAGES), no_paging_info), PART
    ),
    Fault("no PagingInfo", no_paging_info, COMPLETE),
    Fault("PagesCount too high by 1", rule("pages_count", PAGES, count=4), COMPLETE),
    Fault("PagesCount of a million", rule("pages_count", PAGES, count=1_000_000), fails("protocol")),
    Fault("PagesCount too low", rule("pages_count", PAGES, count=1), COMPLETE),
    Fault("PagesCount too low, and no link Next", pages_are(last_page), COMPLETE),
    Fault("PagesCount 0", rule("pages_count", PAGES, count=0), COMPLETE),
    Fault("PagesCount 0, and no link Next", without_next(0), COMPLETE),
    Fault("sessions that appear while pages are read", rule("appear", PAGES), COMPLETE),
    Fault("sessions that shift once from page to page", rule("appear", PAGE_2, 1, old=True), COMPLETE),
    Fault("sessions that shift whenever a page is read", rule("appear", PAGES, old=True), fails("protocol")),
    Fault("session of page 1 that vanishes before page 2", after_page_1(remove_the_oldest), PART),
    # Clocks
    Fault("clock of EM 6 hours behind", set_clock(-6), COMPLETE),
    Fault("clock of EM 6 hours ahead", set_clock(6), COMPLETE),
    Fault("clock of EM 6 hours ahead after page 1", after_page_1(lambda em: em.clock.advance(6 * 3600)), COMPLETE),
]

EVERYWHERE = {
    "no fault",
    "HTTP 404 for ever on page 2",
    "HTTP 500 with password and Basic value in its message",
    "HTTP 503 once on page 2, Retry-After of 7 seconds",
    "connection refused",
    "EM restarts before page 2, and forgets the logon",
    "reset for ever on log off",
    "slow headers for ever on page 2",
    "cut XML once on page 2",
    "wrong password",
    "role that may not read",
    "role that may list and not query",
    "page 1 in the place of each page, and no PagingInfo",
    "sessions that shift once from page to page",
}
"""The faults that the lookup and the inventory are run with, too."""


# Running them


@pytest.fixture
def emulator(request, em):
    """The emulator of all tests, or for a fault that stops it one of its own."""
    if not request.param:
        yield em
        return
    with Emulator(documented=False, sessions=0) as own:
        yield own


def fill(em: Emulator) -> None:
    """Sessions that are over, of two VMs and a plan of their own each."""
    for number in range(SESSIONS):
        em.world.add_session(
            f"Plan {number}",
            state="Stopped",
            creation_time=em.clock.now() - timedelta(minutes=60 - number),
            end_time=em.clock.now() - timedelta(minutes=50 - number),
            tasks=[{"vm_name": f"vm{number}-{vm}"} for vm in ("a", "b")],
        )


def vms(em: Emulator) -> set[tuple[str, str | None]]:
    return {
        (session.id, name)
        for session in em.world.sessions
        for name in ([task.vm_name for task in session.tasks] or [None])
    }


def outcome_of(em: Emulator, outcome: Any, before: set[tuple[str, str | None]]) -> str:
    """The outcome in the words of the page."""
    if outcome.vms is None:
        words = fails(outcome.kind)
    else:
        assert len(outcome.vms) == len(set(outcome.vms)), "something came twice"
        after = vms(em)
        assert set(outcome.vms) <= before | after, "something came that EM does not have"
        # What appeared or vanished meanwhile may be there or not.
        words = COMPLETE if before & after <= set(outcome.vms) else PART
    if any("log off" in warning or "logon" in warning for warning in outcome.warnings):
        return words + MAY_BE_OPEN
    return words + OPEN_UNSAID if em.counters.live_logons else words


def cases() -> list[Any]:
    """Every fault on its front ends. Slow ones are spread among the others, so that workers share them."""
    both_kinds: tuple[list[Any], list[Any]] = ([], [])
    for number, fault in enumerate(FAULTS):
        for front_end in FRONT_ENDS if fault.name in EVERYWHERE else FRONT_ENDS[:1]:
            case = pytest.param(fault.stops, number, front_end, id=f"{fault.name}-{front_end}")
            both_kinds["timeout" in fault.options].append(case)
    quick, slow_ones = both_kinds
    share = len(quick) // len(slow_ones)
    for place, case in enumerate(slow_ones):
        quick.insert(place * (share + 1), case)
    return quick


@pytest.mark.parametrize(("emulator", "number", "front_end"), cases(), indirect=["emulator"])
def test_fault(
    emulator,
    other_host,
    run,
    recorded_sleeps,
    monkeypatch,
    unhurried,
    wait_until_settled,
    secrets,
    keep_row,
    number,
    front_end,
):
    fault = FAULTS[number]
    em = emulator
    other_host.reset()
    options = {"url": em.url, "username": "reader", "password": PASSWORD, "retries": 2, "timeout": 5, **fault.options}
    with monkeypatch.context() as patch:
        stage = Stage(em, other_host, recorded_sleeps, patch)
        fault.inject(stage)
        fill(em)
        before = vms(em)
        outcome = run(front_end, page_size=PAGE_SIZE, **options)
    if "timeout" in fault.options:
        wait_until_settled(em, 2 * SLOW)
    came = outcome_of(em, outcome, before)
    keep_row("reads", number, fault.name, front_end, came, outcome.seconds)

    assert came == fault.expected, (outcome.sentence, outcome.warnings)
    assert em.counters.requests <= MAX_REQUESTS
    assert all(seconds <= 60 for seconds in recorded_sleeps.seconds)
    assert [secret for secret in {PASSWORD, BASIC, *secrets(em)} if secret in outcome.text] == []
    assert [record for record in em.requests if "cookie" in record.headers] == []
    assert other_host.counters.requests == 0


def test_names_of_faults_are_unique():
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))
    assert not [name for name in names if "|" in name]


def test_each_front_end_is_run_with_a_fault_for_each_way_that_a_reading_can_end():
    everywhere = [fault for fault in FAULTS if fault.name in EVERYWHERE]
    assert len(everywhere) == len(EVERYWHERE)
    ends = {fault.expected.removesuffix(MAY_BE_OPEN).removesuffix(OPEN_UNSAID) for fault in FAULTS}
    assert ends == {fault.expected.removesuffix(MAY_BE_OPEN) for fault in everywhere}
    assert any(fault.expected.endswith(MAY_BE_OPEN) for fault in everywhere)


# What holds where the clocks differ


@pytest.mark.parametrize("hours", [-6, 6])
def test_times_are_those_of_em_and_ages_count_by_the_local_clock(em, run, hours):
    em.clock.advance(hours * 3600)
    fill(em)
    options = {"url": em.url, "username": "reader", "password": PASSWORD, "page_size": PAGE_SIZE}
    outcome = run("module", **options)
    assert set(outcome.vms) == vms(em)
    for session in em.world.sessions:
        assert (
            outcome.facts[session.id]["creation_time"][:23]
            == session.creation_time.isoformat(timespec="milliseconds")[:23]
        )
    # By EM's clock all began within the last hour.
    by_local_clock = set() if hours < 0 else vms(em)
    assert set(run("module", created_after="2h", **options).vms) == by_local_clock
    assert set(run("module", created_after="8h", **options).vms) == vms(em)
    assert set(run("module", created_before="2h", **options).vms) == vms(em) - by_local_clock
