# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Runs of a cloud failover plan: start, test and undo it, at most once, and find the session of the run.

Source: docs/evidence.md, "Actions of plans", "Tasks of EM".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from . import _wait, _xml
from ._client import EnterpriseManager
from ._criteria import Criteria, Fact, time_bound
from ._errors import (
    CHECK_EM,
    EmBusyError,
    EmError,
    EmInDoubtError,
    EmNotFoundError,
    EmProtocolError,
    EmRefusedError,
    EmServerError,
    EmWaitError,
    OptionError,
    cut,
    one_line,
)
from ._failover_plan import COLLECTION, listed, may_share_server
from ._failover_session import find as find_sessions
from ._signals import Interrupted
from ._transport import LONGEST_MESSAGE

SETTLE = 120.0
"""Seconds for which the session of an action is looked for, counted from the first time that EM can be asked."""
CLAIM = 20.0
"""Seconds after which the only new session of a plan is taken for the action's own, though its task is still running."""
SETTLE_INTERVAL = 5.0
"""Seconds between two looks, at most."""
LOCK_TIME = 300.0
"""Seconds to wait for another process on this machine that takes an action on the same plan."""
MAX_UNKNOWN = 3
"""So often in a row EM may not know its own task: right after it was made that can pass (seen)."""
NO_TASK: Fact = {"state": None, "success": None, "message": None}


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


@dataclass
class Run:
    """One action on a plan, and what is known of it at each moment, so that an error can say how far it came.

    Use it in this order: :meth:`look`, and unless that finds that the plan is running already, :meth:`ask` and
    :meth:`settle`.

    :arg plan: as :func:`whole_facts`.
    :arg twins: other plans whose sessions cannot be told from those of this one.
    :ivar session: facts of the session that the action has made, or that is running already.
    :ivar already_running: whether the action was not asked for, since :attr:`session` is running.
    :ivar asked: whether EM was asked for the action, and may have carried it out.
    :ivar task: EM's task: ``state``, ``success`` and ``message``, each None where it is not known.
    """

    client: EnterpriseManager
    plan: Fact
    twins: list[Fact]
    action: str
    session: Fact | None = None
    already_running: bool = False
    asked: bool = False
    task: Fact = field(default_factory=NO_TASK.copy)
    _known: frozenset[str] = frozenset()
    _path: str | None = None
    _logon: int = 0
    _unknown: int = 0
    _linked: str | None = None
    _lost: EmError | None = None

    @property
    def tried(self) -> str:
        return f"{self.action.capitalize()} of plan {self.client.shown(self.plan['name'])}"

    @property
    def url(self) -> str:
        return self.client.on_base_url(f"{COLLECTION}/{self.plan['id']}?action={self.action}")

    def look(self, force: bool) -> None:
        """See what the plan does and what sessions it has, immediately before :meth:`ask`.

        :arg force: take the action even if a session is running.
        :raises EmBusyError: a session is running, and it cannot stand for what is asked for.
        """
        sessions = self._sessions()
        self._known = frozenset(fact["id"] for fact in sessions)
        running = [fact for fact in sessions if not fact["finished"]]
        if not running or force:
            return
        newest = running[-1]
        what = f"shows session {newest['id']} in state {newest['state']} since {newest['creation_time']}"
        check = "Wait for its end with failover_session_wait, or give force to take the action all the same."
        if self.action == "undo":
            happened = f"{what}, which may be a start, a test or an undo of this plan"
            raise EmBusyError(self.tried, self.url, happened, check, 200)
        if self.twins:
            happened = f"{what}, and it may belong to {listed(self.client, [self.plan, *self.twins])}"
            raise EmBusyError(self.tried, self.url, happened, check, 200)
        self.session = _wait.with_kept_tasks(newest, None, None)
        self.already_running = True
        self.client.warn(
            f"Plan {self.client.shown(self.plan['name'])} has a session that is not over, {newest['id']} in state {newest['state']} "
            f"since {newest['creation_time']}, so no second one was made. EM does not say whether it is a start, a test or an undo."
        )

    def _sessions(self) -> list[Fact]:
        """The sessions of the plan (by name and backup server, for EM gives no other link), oldest first."""
        criteria = Criteria(now=_wait.utc_now(), names=frozenset({self.plan["name"]}), descending=False)
        return [fact for fact in find_sessions(self.client, criteria).sessions if may_share_server(fact, self.plan)]

    def ask(self, before: str | None) -> None:
        """Send the action to EM, once.

        :arg before: restore points must be older than this; see :func:`start_date`.
        :raises EmError: EM has refused it. Where that is in doubt, :meth:`settle` finds out.
        """
        body = b""
        if self.action == "start":
            choice = f"<StartDate>{before}</StartDate>" if before else "<StartNow>true</StartNow>"
            kind = "CloudFailoverPlanManagementSpec"
            body = f'<{kind} xmlns="http://www.veeam.com/ent/v1.0">{choice}</{kind}>'.encode()
        self.asked = True
        path = f"{COLLECTION}/{self.plan['id']}?action={self.action}"
        try:
            with self._saying_so():
                document = self.client.post(path, self.tried, body)
        except EmError as exc:
            if not exc.in_doubt:
                self.asked = False
                raise
            self._lost = exc
        else:
            self._logon = self.client.logons
            task = document.items[0] if document.root == "Task" else {}
            number = _xml.text(task, "TaskId")
            self._path = _xml.text(task, "Href") or (f"/api/tasks/{number}" if number else None)
            if self._path:
                self._keep(task)
            else:
                happened = f"was answered with a document {self.client.shown(document.root)} that is no task"
                self._lost = EmProtocolError(self.tried, self.url, happened, CHECK_EM, 200)
        if self._lost:
            self.client.warn(f"{self._lost} It is looked for a session that it may have made.")

    @contextmanager
    def _saying_so(self) -> Iterator[None]:
        """What somebody must know who interrupts it."""
        try:
            yield
        except KeyboardInterrupt as exc:
            known = f" as session {self.session['id']}" if self.session else ""
            words = f"The {self.action} of plan {self.plan['name']} may go on in EM{known}"
            raise Interrupted(f"{str(exc) or 'Interrupted.'} {words}; check it there.") from None

    def settle(self, seconds: float, interval: float, wait: bool) -> None:
        """Follow EM's task until the session of the action is known, or an undo is over.

        What decides is the session that the task links to. Without a link it is a session of the plan that was not there
        before, if there is one only: EM's clock may be wrong, so times decide nothing.

        :arg seconds: give up after this time.
        :arg wait: if false, follow the task of an undo for :data:`CLAIM` seconds only, in which EM may refuse it.
        :raises EmRefusedError: the task did not succeed.
        :raises EmInDoubtError: it is not known whether the action was carried out, or which session is its own.
        :raises EmWaitError: the task is not over in time.
        """
        patience = _wait.Patience(self.client, seconds, min(interval, SETTLE_INTERVAL))
        with self._saying_so():
            until: float | None = None
            alone_since: float | None = None
            new: list[Fact] = []
            for new in patience.rounds(self._round):
                now = _wait.monotonic()
                until = until or now + SETTLE
                alone_since = (alone_since or now) if len(new) == 1 else None
                if self.task["success"] is False:
                    said = self.task["message"] or "no reason"
                    check = "Nothing is repeated. Look at the plan in the console, at its replicas and their restore points."
                    happened = f"took it as a task that did not succeed, with the message '{said}'"
                    raise EmRefusedError(self.tried, self.url, happened, check, 200, said)
                late = now >= until
                if self._settled(new, alone_since is not None and now - alone_since >= CLAIM):
                    break
                if late and (self._lost or self._task_is_over()):
                    raise self._in_doubt(new)
                if self.action == "undo" and not wait and now >= until - SETTLE + CLAIM:
                    break
            else:
                if self._lost or self._task_is_over() or patience.outage:
                    raise self._in_doubt(new, patience.outage)
                check = "It goes on in EM. Wait with failover_session_wait, or look at the plan in the console."
                happened = f"took it as a task that is still in state {self.task['state']} after {seconds:g} seconds"
                raise EmWaitError(self.tried, self.url, happened, check, 200)
        others = [fact["id"] for fact in new if self.session and fact["id"] != self.session["id"]]
        if others:
            self.client.warn(
                f"Plan {self.client.shown(self.plan['name'])} has more sessions that began at the same time: {', '.join(others)}. "
                "It was also started from elsewhere; EM has no lock against that."
            )

    def follow(self, seconds: float, interval: float) -> None:
        """Wait until :attr:`session` is over.

        :raises EmWaitError: it is not over after so many seconds.
        """
        if self.session is None or self.session["finished"]:
            return
        with self._saying_so():
            for fact in _wait.until_finished(self.client, self.session["id"], seconds, interval, self.session):
                self.session = fact

    def _round(self) -> list[Fact]:
        """Ask EM for the state of things; returns the sessions that were not there before."""
        new = [fact for fact in self._sessions() if fact["id"] not in self._known]
        self._read_task()
        if self._linked and self._linked not in [fact["id"] for fact in new]:
            linked = _wait.read(self.client, self._linked)
            new += [linked] if linked else []
        return new

    def _read_task(self) -> None:
        if self._task_is_over():
            return
        try:
            task = self.client.get(self._path or "", f"{self.tried}: read its task").items[0]
        except (EmNotFoundError, EmServerError, EmProtocolError, IndexError):
            # The sessions could just be read, so EM is well and does not know its task, be it with 404 or with 500.
            self._unknown += 1
            return
        if self.client.logons == self._logon:  # else this is a task of the new logon, which has other tasks
            self._unknown = 0
            self._keep(task)

    def _keep(self, task: _xml.Entity) -> None:
        result = next(iter(_xml.objects(task, "Result")), {})
        success = _xml.flag(_xml.text(result, "Success"))
        if _xml.flag(_xml.text(result, "CredentialsNeeded")) or _xml.flag(_xml.text(result, "ConfirmationNeeded")):
            success = False  # nobody is there to give them
        message = self.client.shown(_xml.text(result, "Message") or "") or None
        self.task = {"state": _xml.text(task, "State"), "success": success, "message": message}
        for link in _xml.links(task):
            href = _xml.text(link, "Href") or ""
            if link.get("Rel") == "Related" and "/failoversessions/" in href.lower():
                self._linked = _xml.guid(href)

    def _task_is_over(self) -> bool:
        """Whether nothing more can be learned from the task: it is finished, or EM does not know it, or not any more."""
        gone = self._path is None or self._unknown >= MAX_UNKNOWN or self.client.logons != self._logon
        return gone or self.task["state"] == "Finished"

    def _settled(self, new: list[Fact], claim: bool) -> bool:
        """Whether the action's own session is known, or none is needed; then it is in :attr:`session`."""
        over = self._task_is_over()
        own = [fact for fact in new if fact["id"] == self._linked]
        if not own and len(new) == 1 and not self.twins and not self._linked and (claim or over):
            own = new
        if own:
            self.session = _wait.with_kept_tasks(own[0], self.session, None)
        if self.action == "undo":  # is over with its task; a session is not documented for it
            return over and (bool(own) or self.task["success"] is True)
        return bool(own)

    def _in_doubt(self, new: list[Fact], outage: EmError | None = None) -> EmInDoubtError:
        ids = ", ".join(fact["id"] for fact in new)
        if self._linked:
            happened = f"says that it made session {self._linked}, but does not show it"
        elif new:
            happened = f"does not say which session it made; new ones of this name are {ids}"
        elif self.task["success"]:
            happened = "says that it succeeded, but shows no new session of this plan"
        else:
            happened = "shows no new session of this plan, so it is not known whether it was carried out"
        if outage:
            happened = f"cannot be asked, so it is not known whether it was carried out ({str(outage).rstrip('.')})"
        if self._lost:
            happened += f", after this: {str(self._lost).rstrip('.')}"
        check = "Do not repeat it blindly. Check in the console whether the plan is running, and read its sessions with failover_session_info."
        return EmInDoubtError(self.tried, self.url, happened, check, self._lost.status if self._lost else 200)


def judge(session: Fact, warn: Callable[[str], None]) -> Fact:
    """What the result of a task gets besides for a run that is over: nothing, or what makes it a failure.

    :arg warn: is given a sentence for a run that has ended with ``Warning``.
    """
    reason = why_failed(session)
    if reason is None:
        if not session["succeeded"]:
            warn(f"Session {session['id']} has ended with result {session['result']}.")
        return {}
    error = {"kind": "run_failed", "status": None, "message": session["failure_message"]}
    return {"failed": True, "msg": reason, "error": error, "timed_out": False}


def why_failed(session: Fact) -> str | None:
    """A sentence if a run that is over cannot be called carried out, else None.

    ``Warning`` can, unless one of the VMs has failed; a session may be ``Warning`` or even ``Success`` all the same.
    """
    failed = [task for task in session["tasks"] if task["result"] == "Failed"]
    if session["result"] in ("Success", "Warning") and not failed:
        return None
    reasons = [
        cut(one_line(f"{task['vm_name']}: {task['failure_message'] or 'no reason given'}"), LONGEST_MESSAGE)
        for task in failed[:5]
    ]
    reasons += [f"and {len(failed) - 5} more"] if len(failed) > 5 else []
    said = cut(one_line(session["failure_message"] or ""), LONGEST_MESSAGE)
    result = "without a result" if session["result"] == "None" else f"with result {session['result']}"
    return (
        f"The run of plan {one_line(session['name'] or '')} (session {session['id']}) has ended {result}"
        + (f" and the message '{said}'" if said else "")
        + (f"; VMs that failed: {', '.join(reasons)}" if reasons else "")
        + ". Look at failover_session in this result, and at the session in the console."
    )
