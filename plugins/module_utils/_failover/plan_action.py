# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Runs of a cloud failover plan: start, test and undo it, at most once, and find the session of the run.

What decides is EM's task: a session is ours if the task links to it, and an undo has succeeded if the task says so.
Everything else is a guess, and is returned as one. Source: docs/evidence.md, "Actions of plans", "Tasks of EM".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from .._api.client import EnterpriseManager
from .._api.errors import (
    CHECK_EM,
    EmBusyError,
    EmError,
    EmInDoubtError,
    EmNotFoundError,
    EmProtocolError,
    EmRefusedError,
    EmSupersededError,
    EmWaitError,
    OptionError,
)
from .._api.interrupts import Interrupted
from .._api.redaction import MAX_MESSAGE, single_line, truncate
from . import waiter as _wait
from .criteria import SessionCriteria, guid_of_session, time_bound
from .em_task import NO_TASK, EmTask
from .facts import Fact, may_change, merge_tasks, same_backup_server
from .permissions import plan_operation
from .plans import COLLECTION, listed
from .replica_points import PointReader
from .sessions import SessionReader
from .times import utc_now

IDENTIFY_TIMEOUT = 120.0
"""Seconds for which the session of an action is looked for once EM's task can no longer name it."""
CANDIDATE_AFTER = 20.0
"""Seconds for which the new sessions of a plan must be the same, before the only one is taken for a candidate."""
UNDO_REFUSAL_TIME = 20.0
"""Seconds for which the task of an undo is followed although nobody wants to wait for it: EM may refuse it."""
IDENTIFY_INTERVAL = 5.0
"""Maximum seconds between two polls until the session is known."""
LOCK_TIME = 300.0
"""Seconds to wait for another process on this machine that takes an action on the same plan."""
MAX_KNOWN = 50
"""Maximum number of sessions in ``known_sessions``."""


def start_date(value: str, action: str, now: datetime) -> str:
    """Option ``restore_point_before`` as EM's ``StartDate``.

    :raises OptionError: it is no time, lies ahead, or the action has no use for it.
    """
    if action != "start":
        raise OptionError("restore_point_before", value, f"Leave it out: EM takes it with action start, not {action}.")
    bound = time_bound("restore_point_before", value, now) or ""
    if bound[:19] > now.isoformat()[:19]:
        accepted = (
            "Give a moment that is over: it picks restore points and is no timer. Leave it out for the newest ones."
        )
        raise OptionError("restore_point_before", value, accepted)
    return f"{bound[:19]}Z"


@dataclass(frozen=True)
class UndoOnly:
    """The condition of an undo: no session of the plan may be there but this one and those that were known before it.

    :ivar session: id of the session that is to be undone.
    :ivar known: ids of the sessions that were there before that run, or None if they were not noted. Then what EM sorts
        before the session counts as known, which is weaker: EM's clock may have been set back since.
    """

    session: str
    known: frozenset[str] | None = None

    def others(self, sessions: list[Fact]) -> list[Fact]:
        """The sessions of the plan that came besides.

        :arg sessions: of the plan, oldest first.
        """
        ids = [fact["id"] for fact in sessions]
        older = set(ids[: ids.index(self.session)]) if self.known is None else set(self.known)
        if self.known is not None and len(self.known) >= MAX_KNOWN:
            # The list of known ones was cut: what EM sorts before all that it names was there as well.
            oldest = next((number for number, guid in enumerate(ids) if guid in self.known), 0)
            older |= set(ids[:oldest])
        return [fact for fact in sessions if fact["id"] != self.session and fact["id"] not in older]


def undo_condition(action: str, only_if_latest: str | None, known_sessions: list[str] | None) -> UndoOnly | None:
    """The condition that the options state, or None without one. An empty id is refused: it may be that of a run that failed.

    :raises OptionError: one of them cannot be used, or not with this action.
    """
    for name, value in (("only_if_latest", only_if_latest), ("known_sessions", known_sessions)):
        if value is not None and action != "undo":
            raise OptionError(name, value, f"Leave it out: it is a condition of action undo, not {action}.")
    if only_if_latest is None:
        if known_sessions is not None:
            accepted = "Set only_if_latest too: the id of the session that is to be undone."
            raise OptionError("known_sessions", known_sessions, accepted)
        return None
    session = guid_of_session(only_if_latest)
    if session is None:
        raise OptionError("only_if_latest", only_if_latest, "Give the id of the session that is to be undone.")
    if known_sessions is None:
        return UndoOnly(session)
    known = {value: guid_of_session(value) for value in known_sessions}
    for value, guid in known.items():
        if guid is None:
            raise OptionError("known_sessions", value, "Give known_sessions as the start or test returned it.")
    return UndoOnly(session, frozenset(guid for guid in known.values() if guid))


@dataclass
class PlanAction:
    """One action on a plan, and what is known of it at each moment, so that an error can say how far it came.

    Use it in this order: :meth:`check_running`, and unless that finds that the plan is running already,
    :meth:`submit` and :meth:`identify_session`; then :meth:`wait`.

    :arg plan: as :func:`whole_facts`.
    :arg ambiguous_plans: other plans whose sessions cannot be told from those of this one.
    :ivar session: facts of the session of the action, or of the one that is running already.
    :ivar session_source: ``task`` if EM's task links to the session, ``inferred`` if it is the only new one of the plan.
    :ivar known_sessions: ids of the plan's sessions before the action, newest first.
    :ivar vms_in_failover: names of the VMs that were in failover before a test, None if that is not known.
    :ivar already_running: whether the action was not submitted, since :attr:`session` is running.
    :ivar submitted: whether EM was asked for the action, and may have carried it out.
    """

    client: EnterpriseManager
    plan: Fact
    ambiguous_plans: list[Fact]
    action: str
    session: Fact | None = None
    session_source: str | None = None
    known_sessions: list[str] = field(default_factory=list)
    vms_in_failover: list[str] | None = None
    already_running: bool = False
    submitted: bool = False
    _before: frozenset[str] = frozenset()
    _task: EmTask | None = None
    _lost: EmError | None = None
    _open_since: float | None = None
    _unchanged_since: tuple[float, frozenset[str]] = (0.0, frozenset())

    @property
    def operation(self) -> str:
        return f"{self.action.capitalize()} of plan {self.client.redact(self.plan['name'])}"

    @property
    def url(self) -> str:
        return self.client.on_base_url(f"{COLLECTION}/{self.plan['id']}?action={self.action}")

    @property
    def task(self) -> Fact:
        """EM's task: ``state``, ``success`` and ``message``, each None where it is not known."""
        return self._task.facts if self._task else NO_TASK

    # Before the request

    def check_running(self, force: bool, only: UndoOnly | None = None) -> None:
        """See what the plan does and what sessions it has, immediately before :meth:`submit`.

        :arg force: submit the action even if a session is running.
        :arg only: undo nothing but this.
        :raises EmSupersededError: the plan has a session that ``only`` does not allow.
        :raises EmNotFoundError: EM does not list the session that ``only`` names.
        :raises EmBusyError: a session is running, and it cannot stand for what is asked for.
        """
        sessions = self._sessions()
        self._before = frozenset(fact["id"] for fact in sessions)
        self.known_sessions = [fact["id"] for fact in reversed(sessions)][:MAX_KNOWN]
        if only:
            self._check_latest(only, sessions)
        running = [fact for fact in sessions if not fact["finished"]]
        if not running or force:
            if self.action == "test":
                # After the sessions: what EM's copy shows of others since then is not among the known ones.
                self.vms_in_failover = self._in_failover()
            return
        newest = running[-1]
        what = f"shows session {newest['id']} in state {newest['state']} since {newest['creation_time']}"
        check = "Wait for its end with failover_session_wait, or set force: true to run it anyway."
        if self.action == "undo":
            problem = f"{what}, which may be a start, a test or an undo of this plan"
            check = "Nothing was undone. Wait for its end with failover_session_wait, and look at whose run it was."
            raise EmBusyError(self.operation, self.url, problem, check)
        if self.ambiguous_plans:
            problem = f"{what}, and it may belong to {listed(self.client, [self.plan, *self.ambiguous_plans])}"
            raise EmBusyError(self.operation, self.url, problem, check)
        self.session = merge_tasks(newest, None, None)
        self.already_running = True
        self.client.warn(
            f"Plan {self.client.redact(self.plan['name'])} already has a running session, {newest['id']} in state {newest['state']} "
            f"since {newest['creation_time']}, so no second run was started. EM does not say whether it is a start, a test or an undo."
        )

    def _in_failover(self) -> list[str] | None:
        """Names of the VMs of the plan that are in failover now, or None if that is not known.

        A VM of the same name on the same backup server counts too: its point does not say of which plan it is.
        """
        points = PointReader(self.client).in_failover()
        if points is None:
            return None
        here = [point["vm_name"] for point in points if same_backup_server(point, self.plan) is not False]
        names = [vm["name"] for vm in self.plan["vms"]]
        if here and not (all(names) and names and all(here)):
            return None
        folded = {name.casefold() for name in here if name}
        return [name for name in names if name.casefold() in folded]

    def _check_latest(self, only: UndoOnly, sessions: list[Fact]) -> None:
        if only.session not in self._before:
            problem = f"does not list the session {only.session} for this plan, so it is not known whether the plan was run again since"
            check = (
                "Nothing was undone. Check only_if_latest, and look at the plan in the console: "
                "undo it there, or without only_if_latest, if nobody has run it since."
            )
            raise EmNotFoundError(self.operation, self.url, problem, check)
        others = only.others(sessions)
        if others:
            newest = ", ".join(
                f"{fact['id']} ({fact['state']}, since {fact['creation_time']})" for fact in others[:-6:-1]
            )
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""
            problem = f"shows that the plan was run again since session {only.session}: {newest}{more}"
            check = (
                "Nothing was undone, since an undo would concern the newer run. Look at the plan in the console, "
                "and undo it only if that run may be undone, too."
            )
            raise EmSupersededError(self.operation, self.url, problem, check)

    def _sessions(self) -> list[Fact]:
        """The sessions of the plan (by name and backup server, for EM gives no other link), oldest first."""
        criteria = SessionCriteria(now=utc_now(), names=frozenset({self.plan["name"]}), descending=False)
        return [
            fact
            for fact in SessionReader(self.client).list_sessions(criteria).sessions
            if same_backup_server(fact, self.plan) is not False
        ]

    # The request

    def submit(self, before: str | None) -> None:
        """Send the action to EM, once.

        :arg before: restore points must be older than this; see :func:`start_date`.
        :raises EmError: EM has refused it. Where that is in doubt, :meth:`identify_session` finds out.
        """
        body = b""
        if self.action == "start":
            choice = f"<StartDate>{before}</StartDate>" if before else "<StartNow>true</StartNow>"
            kind = "CloudFailoverPlanManagementSpec"
            body = f'<{kind} xmlns="http://www.veeam.com/ent/v1.0">{choice}</{kind}>'.encode()
        self.submitted = True
        path = f"{COLLECTION}/{self.plan['id']}?action={self.action}"
        try:
            with self._explaining_interruption():
                document = self.client.post(path, plan_operation(self.operation), body)
        except EmError as exc:
            if not exc.in_doubt:
                self.submitted = False
                raise
            self._lost = exc
        else:
            task = EmTask(self.client, self.operation, document.items[0] if document.root == "Task" else {})
            if task.known:
                self._task = task
            else:
                problem = f"answered with a document {self.client.redact(document.root)} that is no task"
                self._lost = EmProtocolError(self.operation, self.url, problem, CHECK_EM, 200)
        if self._lost:
            found_out = "" if self.action == "undo" else " Looking for a session that the request may have created."
            self.client.warn(f"{self._lost}{found_out}")

    @contextmanager
    def _explaining_interruption(self) -> Iterator[None]:
        """What somebody must know who interrupts it."""
        try:
            yield
        except KeyboardInterrupt as exc:
            known = f" as session {self.session['id']}" if self.session else ""
            words = f"The {self.action} of plan {self.plan['name']} may go on in EM{known}"
            raise Interrupted(f"{str(exc) or 'Interrupted.'} {words}; check it there.") from None

    # After the request

    def identify_session(self, seconds: float, interval: float, wait: bool) -> None:
        """Follow EM's task until the session of the action is known, or an undo is finished.

        While EM calls the task running, nothing but its link decides. Where it ends without a link, or is lost, the only
        new session of the plan is a candidate. EM's clock may be wrong, so times decide nothing.

        :arg seconds: give up after this time.
        :arg wait: if false, follow the task of an undo for :data:`UNDO_REFUSAL_TIME` only.
        :raises EmRefusedError: the task did not succeed.
        :raises EmInDoubtError: it is not known whether the action was carried out, or which session is its own.
        :raises EmWaitError: the task is not finished in time.
        """
        poller = _wait.Poller(self.client.warn, min(interval, IDENTIFY_INTERVAL), seconds)
        first_poll: float | None = None
        new: list[Fact] = []
        with self._explaining_interruption():
            for new in poller.poll(self.client, self._poll):
                now = _wait.monotonic()
                first_poll = first_poll or now
                if self._identified(new, now):
                    break
                if self.action == "undo" and not wait and now >= first_poll + UNDO_REFUSAL_TIME:
                    break
            else:
                raise self._not_in_time(new, seconds, poller.unavailable)
        self._name_others(new)

    def _poll(self) -> list[Fact]:
        """Ask EM for the state of things; returns the sessions that were not there before."""
        new = [fact for fact in self._sessions() if fact["id"] not in self._before]
        if self._task:
            self._task.refresh()
            linked = self._task.session_id
            if linked and linked not in self._before and linked not in [fact["id"] for fact in new]:
                fact = SessionReader(self.client).read_session(linked)
                new += [fact] if fact else []
        return new

    def _identified(self, new: list[Fact], now: float) -> bool:
        """Whether all is known that can be known: the session is in :attr:`session` then, if the action has one."""
        task = self._task
        if task and self.task["success"] is False:
            said = self.task["message"] or "no reason"
            check = "Nothing is repeated. Look at the plan in the console, at its replicas and their restore points."
            problem = f"accepted the request, but the task failed: '{said}'"
            raise EmRefusedError(self.operation, self.url, problem, check, None, said)
        own = [fact for fact in new if task and fact["id"] == task.session_id]
        if own:
            self.session = merge_tasks(own[0], self.session, None)
            self.session_source = "task"
        if self.action == "undo":  # is finished with its task; a session is not documented for it
            if task and task.finished and self.task["success"]:
                return True
            if task and not task.finished and not task.lost:
                return False
            raise self._in_doubt(new)
        if own:
            return True
        if task and not task.finished and not task.lost:
            return False
        return self._candidate(new, now)

    def _candidate(self, new: list[Fact], now: float) -> bool:
        """Whether the only new session of the plan is to be taken, since EM's task does not say which one it is."""
        if self._open_since is None:
            self._open_since = now
        ids = frozenset(fact["id"] for fact in new)
        if ids != self._unchanged_since[1]:
            self._unchanged_since = (now, ids)
        # EM does not show the session that it has named, maybe not yet.
        named_elsewhere = self._task is not None and self._task.session_id is not None
        if named_elsewhere or not ids:
            if now < self._open_since + IDENTIFY_TIMEOUT and not self._links_to_old():
                return False
            raise self._in_doubt(new)
        if now < self._unchanged_since[0] + CANDIDATE_AFTER:
            return False
        if len(new) > 1 or self.ambiguous_plans:
            raise self._in_doubt(new)
        self.session = merge_tasks(new[0], self.session, None)
        self.session_source = "inferred"
        self.client.warn(
            f"EM did not say which session the {self.action} of plan {self.client.redact(self.plan['name'])} created. "
            f"Session {new[0]['id']} is the only new one of the plan, so it is probably that one (session_source is inferred), "
            "but it may also have been started by somebody else."
        )
        return True

    def _links_to_old(self) -> bool:
        """Whether EM's task names a session that was there before the request, which cannot be its own."""
        return self._task is not None and self._task.session_id in self._before

    def _name_others(self, new: list[Fact]) -> None:
        others = [fact["id"] for fact in new if self.session is None or fact["id"] != self.session["id"]]
        if others:
            whose = "It was also started from elsewhere; EM has no lock against that."
            if self.action == "undo":
                whose = "They may be of this undo, or of somebody else."
            self.client.warn(
                f"Plan {self.client.redact(self.plan['name'])} has more new sessions: {', '.join(others)}. {whose}"
            )

    def _not_in_time(self, new: list[Fact], seconds: float, unavailable: str | None) -> EmError:
        task = self._task
        if task is None or task.lost or task.finished or unavailable:
            return self._in_doubt(new, unavailable)
        check = "It goes on in EM. Wait with failover_session_wait, or look at the plan in the console."
        if self.action == "undo":
            check = "It goes on in EM. Look at the plan in the console, and whether its VMs are still failed over."
        problem = f"accepted the request, and its task is still in state {self.task['state']} after {seconds:g} seconds"
        return EmWaitError(self.operation, self.url, problem, check)

    def _in_doubt(self, new: list[Fact], unavailable: str | None = None) -> EmInDoubtError:
        ids = ", ".join(fact["id"] for fact in new)
        linked = self._task.session_id if self._task else None
        if self.action == "undo":
            problem = "did not say whether the undo was done"
            if ids:
                problem += f"; new sessions of the plan, which may be runs of somebody else, are {ids}"
        elif linked:
            problem = f"says that it created session {linked}, but does not show it"
            if self._links_to_old():
                problem = f"says that it created session {linked}, which was there before the request"
        elif ids:
            problem = f"does not say which session it created; new ones of this name are {ids}"
        elif self.task["success"]:
            problem = "says that it succeeded, but shows no new session of this plan"
        else:
            problem = "shows no new session of this plan, so it is not known whether it was carried out"
        if unavailable:
            problem = f"cannot be asked, so it is not known whether it was carried out ({unavailable.rstrip('.')})"
        if self._lost:
            problem += f", after this: {self._lost.problem}"
        check = "Do not repeat it blindly. Check in the console whether the plan is running, and read its sessions with failover_session_info."
        if self.action == "undo":
            check = "Do not repeat it blindly. Check in the console whether the VMs of the plan are still failed over."
        status = self._lost.status if self._lost else None
        return EmInDoubtError(self.operation, self.url, problem, check, status if status and status >= 300 else None)

    def wait(self, seconds: float, interval: float, since: float | None = None) -> None:
        """Wait until :attr:`session` has finished; one without a result yet is read again.

        :arg since: when the whole wait began, for the sentence of its error.
        :raises EmWaitError: it has not finished after so many seconds.
        """
        if self.session is None or not may_change(self.session):
            return
        times = (seconds, interval, self.session, since)
        with self._explaining_interruption():
            for fact in _wait.wait_until_finished(self.client, self.session["id"], *times):
                self.session = fact


def run_result(session: Fact, warn: Callable[[str], None]) -> Fact:
    """What the result of a task gets besides for a run that has finished: nothing, or what makes it a failure.

    :arg warn: is given a sentence for a run that has ended with ``Warning``.
    """
    reason = failure_reason(session)
    if reason is None:
        if not session["succeeded"]:
            warn(f"Session {session['id']} has ended with result {session['result']}.")
        return {}
    error = {"kind": "run_failed", "status": None, "message": session["failure_message"]}
    return {"failed": True, "msg": reason, "error": error, "timed_out": False}


def failure_reason(session: Fact) -> str | None:
    """A sentence if a run that has finished cannot be called carried out, else None.

    ``Warning`` can, unless one of the VMs has failed; a session may be ``Warning`` or even ``Success`` all the same.
    """
    failed = [task for task in session["tasks"] if task["result"] == "Failed"]
    if session["result"] in ("Success", "Warning") and not failed:
        return None
    reasons = [
        truncate(single_line(f"{task['vm_name']}: {task['failure_message'] or 'no reason given'}"), MAX_MESSAGE)
        for task in failed[:5]
    ]
    reasons += [f"and {len(failed) - 5} more"] if len(failed) > 5 else []
    said = truncate(single_line(session["failure_message"] or ""), MAX_MESSAGE)
    result = "without a result" if session["result"] == "None" else f"with result {session['result']}"
    return (
        f"The run of plan {single_line(session['name'] or '')} (session {session['id']}) has ended {result}"
        + (f" and the message '{said}'" if said else "")
        + (f"; VMs that failed: {', '.join(reasons)}" if reasons else "")
        + ". Look at failover_session in this result, and at the session in the console."
    )
