# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions recorded one by one, by whoever follows them. A store that fails delays that, and stops nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .._failover.facts import Session
from .bodies import masked, session_body
from .errors import HistoryError
from .records import NewRecord, subject_of
from .store import Store


class SessionLog:
    """Records sessions of one EM.

    :arg open_store: opens the store anew for each record: a connection would not outlive an outage, or be of one thread.
    :arg mask: takes secrets out of a text.
    :arg warn: is given a sentence when the store fails, and one when it works again.
    """

    def __init__(
        self, open_store: Callable[[], Store], em_name: str, mask: Callable[[str], str], warn: Callable[[str], None]
    ) -> None:
        self._open_store = open_store
        self._em_name = em_name
        self._mask = mask
        self._warn = warn
        self._pending: dict[str, NewRecord] = {}
        self._failing = False
        self._one_record = threading.Lock()

    def add(self, session: Session, at: str) -> None:
        """Take a session for the next :meth:`record`, instead of an older state of it.

        :arg at: when EM showed it so, by EM's clock.
        """
        subject = subject_of(self._em_name, session["id"])
        self._pending[subject] = NewRecord("session", subject, at, masked(session_body(session), self._mask))

    def record(self) -> None:
        """Record what was taken. If that fails, a warning says so, and the next call tries again."""
        with self._one_record:
            taken = list(self._pending.values())
            try:
                with self._open_store() as store:
                    # A look may have recorded a later state meanwhile.
                    newest = {of.subject: of.at for of in store.newest("session", [of.subject for of in taken])}
                    store.append(record for record in taken if record.at >= newest.get(record.subject, ""))
            except (HistoryError, OSError) as exc:
                if not self._failing:
                    self._warn(f"{exc} Events go on, and what they report is recorded when the history works again.")
                self._failing = True
                return
            for record in taken:
                if self._pending.get(record.subject) is record:
                    del self._pending[record.subject]
            if self._failing:
                self._warn("The history works again.")
            self._failing = False

    @property
    def pending(self) -> bool:
        """Whether something is left to be recorded."""
        return bool(self._pending)
