# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions on a cloud failover plan: start, test and undo it, at most once, and identify the session of the run.

EM's task decides: a session is ours if the task links to it, and an undo has succeeded if the task reports success.
Everything else is a guess, and is returned as one. Source: docs/evidence.md, "Actions of plans", "Tasks of EM".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from .._api.client import EnterpriseManager
from .._api.errors import EmError, OptionError
from .._api.interrupts import Interrupted
from . import clock
from .action_errors import ActionErrors
from .criteria import SessionCriteria, time_bound
from .em_task import NO_TASK, post_action
from .facts import Plan, Session, TaskFacts, may_change, merge_tasks, same_backup_server
from .identification import Identification
from .permissions import plan_operation
from .plans import COLLECTION, listed
from .replica_points import PointReader
from .sessions import SessionReader
from .times import utc_now
from .undo_condition import MAX_KNOWN, UndoOnly
from .waiter import Poller, wait_until_finished

REFUSED = "The action is not retried. Check the plan in the console, its replicas and their restore points."
"""What to do where EM's task failed."""
IDENTIFY_TIMEOUT = 120.0
"""Seconds to look for the session of an action once EM's task can no longer name it."""
CANDIDATE_AFTER = 20.0
"""Seconds for which the new sessions of a plan must be the same, before the only one becomes a candidate."""
UNDO_REFUSAL_TIME = 20.0
"""Seconds to follow the task of an undo although nobody wants to wait for it: EM may refuse it."""
IDENTIFY_INTERVAL = 5.0
"""Maximum seconds between two polls until the session is known."""


def start_date(value: str, action: str, now: datetime) -> str:
    """Option ``restore_point_before`` as EM's ``StartDate``.

    :raises OptionError: it is no time, is in the future, or does not apply to the action.
    """
    if action != "start":
        raise OptionError("restore_point_before", value, f"Leave it out: EM takes it with action start, not {action}.")
    bound = time_bound("restore_point_before", value, now) or ""
    if bound[:19] > now.isoformat()[:19]:
        accepted = (
            "Give a time in the past: it selects restore points; it is not a timer. Leave it out for the newest ones."
        )
        raise OptionError("restore_point_before", value, accepted)
    return f"{bound[:19]}Z"


@dataclass
class PlanAction:
    """One action on a plan, and what is known of it at each moment, so that an error can report how far it came.

    Use it in this order: :meth:`check_running`, and unless that finds that the plan is running already,
    :meth:`submit` and :meth:`identify_session`; then :meth:`wait`.

    :arg ambiguous_plans: other plans whose sessions cannot be distinguished from those of this one.
    :ivar session: facts of the session of the action, or of the one that is running already.
    :ivar session_source: ``task`` if EM's task links to the session, ``inferred`` if it is the only new one of the plan.
    :ivar known_sessions: ids of the plan's sessions before the action, newest first.
    :ivar vms_in_failover: names of the VMs that were in failover before a test, None if that is not known.
    :ivar already_running: whether the action was not submitted, since :attr:`session` is running.
    :ivar submitted: whether the action was sent to EM, which may have carried it out.
    """

    client: EnterpriseManager
    plan: Plan
    ambiguous_plans: list[Plan]
    action: str
    session: Session | None = None
    session_source: str | None = None
    known_sessions: list[str] = field(default_factory=list)
    vms_in_failover: list[str] | None = None
    already_running: bool = False
    submitted: bool = False
    _known: Identification = field(default_factory=Identification)

    @property
    def operation(self) -> str:
        return f"{self.action.capitalize()} of plan {self._plan_name}"

    @property
    def task(self) -> TaskFacts:
        """EM's task, each fact None where it is not known."""
        return self._known.task.facts if self._known.task else NO_TASK

    @property
    def _plan_name(self) -> str:
        return self.client.redact(self.plan["name"] or "")

    @property
    def _path(self) -> str:
        return f"{COLLECTION}/{self.plan['id']}?action={self.action}"

    @property
    def _errors(self) -> ActionErrors:
        return ActionErrors(self.action, self.operation, self.client.on_base_url(self._path))

    # Before the request

    def check_running(self, force: bool, only: UndoOnly | None = None) -> None:
        """Check the plan's sessions, immediately before :meth:`submit`.

        :arg force: submit the action even if a session is running.
        :arg only: undo nothing but this.
        :raises EmSupersededError: the plan has a session that ``only`` does not allow.
        :raises EmNotFoundError: EM does not list the session that ``only`` names.
        :raises EmBusyError: a session is running, and the action cannot join it.
        """
        sessions = self._sessions()
        self._known = Identification(before=frozenset(session["id"] for session in sessions))
        self.known_sessions = [session["id"] for session in reversed(sessions)][:MAX_KNOWN]
        if only and only.session not in self._known.before:
            raise self._errors.not_listed(only.session)
        if only and (others := only.others(sessions)):
            raise self._errors.superseded(only.session, others)
        running = [session for session in sessions if not session["finished"]]
        if running and not force:
            self._join(running[-1])
        elif self.action == "test":
            # After the sessions: what EM's copy shows of others since then is not among the known ones.
            self.vms_in_failover = self._in_failover()

    def _sessions(self) -> list[Session]:
        """The sessions of the plan (by name and backup server, for EM gives no other link), oldest first."""
        names = frozenset({self.plan["name"] or ""})
        criteria = SessionCriteria(now=utc_now(), names=names, descending=False)
        sessions = SessionReader(self.client).list_sessions(criteria).sessions
        return [session for session in sessions if same_backup_server(session, self.plan) is not False]

    def _join(self, running: Session) -> None:
        if self.action == "undo" or self.ambiguous_plans:
            raise self._errors.busy(running, listed(self.client, [self.plan, *self.ambiguous_plans]))
        self.session = merge_tasks(running, None, None)
        self.already_running = True
        self.client.warn(
            f"Plan {self._plan_name} already has a running session, {running['id']} in state {running['state']} "
            f"since {running['creation_time']}, so no second run was started. EM does not report whether it is a start, a test or an undo."
        )

    def _in_failover(self) -> list[str] | None:
        """Names of the VMs of the plan that are in failover now, or None if that is not known.

        A VM of the same name on the same backup server counts too: its point does not show which plan it belongs to.
        """
        points = PointReader(self.client).in_failover()
        if points is None:
            return None
        here = [point["vm_name"] for point in points if same_backup_server(point, self.plan) is not False]
        names = [vm["name"] for vm in self.plan["vms"] if vm["name"]]
        if here and not (names and len(names) == len(self.plan["vms"]) and all(here)):
            return None
        folded = {name.casefold() for name in here if name}
        return [name for name in names if name.casefold() in folded]

    # The request

    def submit(self, before: str | None) -> None:
        """Send the action to EM, once.

        :arg before: restore points must be older than this; see :func:`start_date`.
        :raises EmError: EM has refused it. Where that is in doubt, :meth:`identify_session` finds out.
        """
        self.submitted = True
        try:
            with self._explaining_interruption():
                operation, body = plan_operation(self.operation), self._body(before)
                self._known.task, self._known.reply_error = post_action(self.client, self._path, operation, body)
        except EmError:
            self.submitted = False
            raise
        if self._known.reply_error:
            search = "" if self.action == "undo" else " Looking for a session that the request may have created."
            self.client.warn(f"{self._known.reply_error}{search}")

    def _body(self, before: str | None) -> bytes:
        if self.action != "start":
            return b""
        choice = f"<StartDate>{before}</StartDate>" if before else "<StartNow>true</StartNow>"
        kind = "CloudFailoverPlanManagementSpec"
        return f'<{kind} xmlns="http://www.veeam.com/ent/v1.0">{choice}</{kind}>'.encode()

    @contextmanager
    def _explaining_interruption(self) -> Iterator[None]:
        """What somebody must know who interrupts it."""
        try:
            yield
        except KeyboardInterrupt as exc:
            session = f" as session {self.session['id']}" if self.session else ""
            sentence = f"The {self.action} of plan {self.plan['name']} may go on in EM{session}; check it there."
            raise Interrupted(f"{str(exc) or 'Interrupted.'} {sentence}") from None

    # After the request

    def identify_session(self, seconds: float, interval: float, wait: bool) -> None:
        """Follow EM's task until the session of the action is known, or an undo is finished.

        While EM's task is running, nothing but its link decides. Where it ends without a link, or is lost, the only
        new session of the plan is a candidate. EM's clock may be wrong, so times decide nothing.

        :arg seconds: give up after this time.
        :arg wait: if false, follow the task of an undo for :data:`UNDO_REFUSAL_TIME` only.
        :raises EmRefusedError: the task failed.
        :raises EmInDoubtError: it is not known whether the action was carried out, or which session is its own.
        :raises EmWaitError: the task is not finished in time.
        """
        poller = Poller(self.client.warn, min(interval, IDENTIFY_INTERVAL), seconds)
        first_poll: float | None = None
        new: list[Session] = []
        with self._explaining_interruption():
            for new in poller.poll(self.client, self._new_sessions):
                now = clock.monotonic()
                first_poll = first_poll or now
                if self._identified(new, now):
                    break
                if self.action == "undo" and not wait and now >= first_poll + UNDO_REFUSAL_TIME:
                    break
            else:
                raise self._not_in_time(new, seconds, poller.unavailable)
        self._name_others(new)

    def _new_sessions(self) -> list[Session]:
        """One poll: refresh EM's task, and return the plan's sessions that were not there before."""
        new = [session for session in self._sessions() if session["id"] not in self._known.before]
        if self._known.task:
            self._known.task.refresh()
            linked = self._known.linked
            if linked and not self._known.links_to_old and linked not in _ids(new):
                session = SessionReader(self.client).read_session(linked)
                new += [session] if session else []
        return new

    def _identified(self, new: list[Session], now: float) -> bool:
        """Whether all is known that can be known: the session is in :attr:`session` then, if the action has one."""
        if self._known.task:
            self._known.task.check(REFUSED)
        own = [session for session in new if session["id"] == self._known.linked]
        if own:
            self._take(own[0], "task")
        if self.action == "undo":
            return self._undo_finished(new)
        return bool(own) or (not self._known.task_running and self._candidate_found(new, now))

    def _undo_finished(self, new: list[Session]) -> bool:
        """An undo is finished with its task; a session is not documented for it."""
        if self._known.task_running:
            return False
        task = self._known.task
        if task and task.finished and self.task["success"]:
            return True
        raise self._errors.in_doubt(self._known, _ids(new))

    def _candidate_found(self, new: list[Session], now: float) -> bool:
        """Whether the only new session of the plan is taken, since EM's task does not name one."""
        known = self._known
        watched, unchanged = known.watch(frozenset(_ids(new)), now)
        if known.linked or not new:  # EM does not show the session that it has named, maybe not yet
            if watched < IDENTIFY_TIMEOUT and not known.links_to_old:
                return False
            raise self._errors.in_doubt(known, _ids(new))
        if unchanged < CANDIDATE_AFTER:
            return False
        if len(new) > 1 or self.ambiguous_plans:
            raise self._errors.in_doubt(known, _ids(new))
        self._take(new[0], "inferred")
        self.client.warn(
            f"EM did not report which session the {self.action} of plan {self._plan_name} created. "
            f"Session {new[0]['id']} is the only new one of the plan, so it is probably that one (session_source is inferred), "
            "but somebody else may also have started it."
        )
        return True

    def _take(self, session: Session, source: str) -> None:
        self.session = merge_tasks(session, self.session, None)
        self.session_source = source

    def _not_in_time(self, new: list[Session], seconds: float, unavailable: str | None) -> EmError:
        if not self._known.task_running or unavailable:
            return self._errors.in_doubt(self._known, _ids(new), unavailable)
        return self._errors.not_in_time(self.task["state"], seconds)

    def _name_others(self, new: list[Session]) -> None:
        others = [guid for guid in _ids(new) if self.session is None or guid != self.session["id"]]
        if others:
            whose = "It was also started from elsewhere; EM has no lock against that."
            if self.action == "undo":
                whose = "They may be of this undo, or of somebody else."
            self.client.warn(f"Plan {self._plan_name} has more new sessions: {', '.join(others)}. {whose}")

    def wait(self, seconds: float, interval: float, since: float | None = None) -> None:
        """Wait until :attr:`session` has finished; one without a result yet is read again.

        :arg since: when the whole wait started, for the sentence of its error.
        :raises EmWaitError: it has not finished after so many seconds.
        """
        if self.session is None or not may_change(self.session):
            return
        guid = self.session["id"]
        with self._explaining_interruption():
            for session in wait_until_finished(self.client, guid, seconds, interval, self.session, since):
                self.session = session


def _ids(sessions: list[Session]) -> list[str]:
    return [session["id"] for session in sessions]
