# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGINT, SIGTERM and SIGHUP while a logon is open: an exception, so that the logon is ended first."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GRACE = 3.0
"""Seconds that a request which must not be torn (log on, log off, an action) still gets after an interruption."""
ONE_INTERRUPTION = 1.0
"""Seconds in which further signals belong to the first: Ctrl-C reaches a worker of ansible-core twice, or as two signals."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM, SIGHUP or Ctrl-C arrived; raised so that the ``with`` block logs off on its way out."""


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into :class:`Interrupted`.

    Only in the main thread, and only signals that are not ignored. A handler that somebody else has set (as
    ansible-core does in its workers, where it ends the process at once) gets its signal after the log off.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._deferring = False
        self._pending: int | None = None
        self._to_pass_on: int | None = None
        self._first = -math.inf
        self._grace: threading.Timer | None = None

    def watch(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if before == signal.SIG_DFL or callable(before):
                self._before[number] = before
                signal.signal(number, self._arrived)

    def restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()
        to_pass_on, self._to_pass_on = self._to_pass_on, None
        if to_pass_on is not None:
            os.kill(os.getpid(), to_pass_on)

    @contextmanager
    def defer_interrupts(self) -> Iterator[None]:
        """Defer an interruption to the end of the block, for :data:`GRACE` at most; a second one tears the block."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
            if self._grace:
                self._grace.cancel()
            pending, self._pending = self._pending, None
            if pending is not None:
                raise Interrupted(_sentence(pending, "no logon is left open unless a warning says so")) from None

    def _arrived(self, number: int, frame: object) -> None:
        before = self._before.get(number)
        if callable(before) and before is not signal.default_int_handler:
            self._to_pass_on = number
        now = time.monotonic()
        if now - self._first < ONE_INTERRUPTION:
            return
        self._first = now
        if not self._deferring:
            raise Interrupted(_sentence(number, "no logon is left open unless a warning says so"))
        if self._pending is None:
            self._pending = number
            # To the main thread, or the system call it waits in would go on.
            self._grace = threading.Timer(GRACE, signal.pthread_kill, (threading.main_thread().ident, number))
            self._grace.daemon = True
            self._grace.start()
            return
        self._pending = None
        raise Interrupted(_sentence(number, "a logon may be left open; it will expire when idle"))


def _sentence(number: int, state: str) -> str:
    return f"Interrupted by {signal.Signals(number).name}; on Enterprise Manager {state}."
