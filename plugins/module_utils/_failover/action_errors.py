# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of an action on a plan, each a problem and a hint. It decides nothing and sends no requests."""

from __future__ import annotations

from dataclasses import dataclass

from .._api.errors import EmBusyError, EmInDoubtError, EmNotFoundError, EmSupersededError, EmWaitError
from .._api.redaction import some_of
from .facts import Session
from .identification import Identification

MAX_LISTED = 5
"""Maximum number of sessions that a sentence describes."""


@dataclass(frozen=True)
class ActionErrors:
    """The errors of one action.

    :arg operation: such as ``Test of plan Acme``.
    :arg url: that of the request.
    """

    action: str
    operation: str
    url: str

    def busy(self, running: Session, ambiguous_plans: str) -> EmBusyError:
        """A session is running, and this action cannot join it.

        :arg ambiguous_plans: the plans whose session it may be, if there are several.
        """
        problem = f"shows session {running['id']} in state {running['state']} since {running['creation_time']}"
        if self.action == "undo":
            problem += ", which may be a start, a test or an undo of this plan"
            hint = "Nothing was undone. Wait for its end with failover_session_wait, and check whose run it was."
        else:
            problem += f", which may belong to {ambiguous_plans}"
            hint = "Wait for its end with failover_session_wait, or set force: true to run it anyway."
        return EmBusyError(self.operation, self.url, problem, hint)

    def not_listed(self, session: str) -> EmNotFoundError:
        """EM does not list the session that is to be undone."""
        problem = f"does not list the session {session} for this plan, so it is not known whether the plan was run again since"
        hint = (
            "Nothing was undone. Check only_if_latest, and the plan in the console: "
            "undo it there, or without only_if_latest, if nobody has run it since."
        )
        return EmNotFoundError(self.operation, self.url, problem, hint)

    def superseded(self, session: str, others: list[Session]) -> EmSupersededError:
        """The plan was run again since the session that is to be undone.

        :arg others: the newer sessions, oldest first.
        """
        newest_first = [
            f"{other['id']} ({other['state']}, since {other['creation_time']})" for other in reversed(others)
        ]
        problem = f"shows that the plan was run again since session {session}: {some_of(newest_first, MAX_LISTED)}"
        hint = (
            "Nothing was undone, since an undo would affect the newer run. Check the plan in the console, "
            "and undo it only if that run may be undone too."
        )
        return EmSupersededError(self.operation, self.url, problem, hint)

    def not_in_time(self, state: str | None, seconds: float) -> EmWaitError:
        """EM's task still runs at the time limit."""
        problem = f"accepted the request, and its task is still in state {state} after {seconds:g} seconds"
        hint = "It goes on in EM. Wait with failover_session_wait, or check the plan in the console."
        if self.action == "undo":
            hint = "It goes on in EM. Check in the console whether the VMs of the plan are still failed over."
        return EmWaitError(self.operation, self.url, problem, hint)

    def in_doubt(self, known: Identification, new: list[str], unavailable: str | None = None) -> EmInDoubtError:
        """It is not known whether EM carried the action out, or which session it created.

        :arg new: ids of the new sessions of the plan.
        :arg unavailable: the sentence of the last attempt, if EM was unavailable at the end.
        """
        if unavailable:
            problem = f"is unavailable, so it is not known whether it was carried out ({unavailable.rstrip('.')})"
        elif self.action == "undo":
            sessions = (
                f"; new sessions of the plan, which may be runs of somebody else: {', '.join(new)}" if new else ""
            )
            problem = f"did not report whether the undo was done{sessions}"
        else:
            problem = self._session_in_doubt(known, new)
        if known.reply_error:
            problem += f", after this: {known.reply_error.problem}"
        hint = "Do not repeat it blindly. Check in the console whether the plan is running, and read its sessions with failover_session_info."
        if self.action == "undo":
            hint = "Do not repeat it blindly. Check in the console whether the VMs of the plan are still failed over."
        # Of a reply that was an error; that of a success says nothing.
        status = known.reply_error.status if known.reply_error else None
        return EmInDoubtError(self.operation, self.url, problem, hint, status if status and status >= 300 else None)

    @staticmethod
    def _session_in_doubt(known: Identification, new: list[str]) -> str:
        if known.links_to_old:
            return f"reports that it created session {known.linked}, which was there before the request"
        if known.linked:
            return f"reports that it created session {known.linked}, but does not show it"
        if new:
            return f"does not report which session it created; new ones of this name: {', '.join(new)}"
        if known.task and known.task.facts["success"]:
            return "reports success, but shows no new session of this plan"
        return "shows no new session of this plan, so it is not known whether it was carried out"
