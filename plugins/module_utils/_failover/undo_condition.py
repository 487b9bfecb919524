# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The condition of an undo: undo this run, and nothing if the plan was run again since."""

from __future__ import annotations

from dataclasses import dataclass

from .._api.errors import OptionError
from .criteria import guid_of_session
from .facts import Session

MAX_KNOWN = 50
"""Maximum number of sessions in ``known_sessions``."""


@dataclass(frozen=True)
class UndoOnly:
    """The plan may have no sessions but this one and those that were known before it.

    :ivar session: id of the session that is to be undone.
    :ivar known: ids of the sessions that were there before that run, or None if they were not noted. Then what EM sorts
        before the session counts as known, which is weaker: EM's clock may have been set back since.
    """

    session: str
    known: frozenset[str] | None = None

    def others(self, sessions: list[Session]) -> list[Session]:
        """The sessions of the plan that are neither.

        :arg sessions: of the plan, oldest first.
        """
        ids = [session["id"] for session in sessions]
        older = set(ids[: ids.index(self.session)]) if self.known is None else set(self.known)
        if self.known is not None and len(self.known) >= MAX_KNOWN:
            # The list of known ones was cut: what EM sorts before all that it names was there as well.
            oldest = next((number for number, guid in enumerate(ids) if guid in self.known), 0)
            older |= set(ids[:oldest])
        return [session for session in sessions if session["id"] != self.session and session["id"] not in older]


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
