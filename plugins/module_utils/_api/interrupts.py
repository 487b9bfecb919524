# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Signals while a logon is open: interruptions end it first, and an alarm bounds each request."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

GRACE = 3.0
"""Seconds that a request which must not be torn (log on, log off) still gets after an interruption."""
ONE_INTERRUPTION = 1.0
"""Seconds in which further signals belong to the first: Ctrl-C reaches a worker of ansible-core twice, or as two signals."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM, SIGHUP or Ctrl-C arrived; raised so that the ``with`` block logs off on its way out."""


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into :class:`Interrupted`, and SIGALRM into :class:`TimeoutError`.

    Only in the main thread, and only signals that are not ignored. A handler that somebody else has set (as
    ansible-core does in its workers, where it ends the process at once) gets its signal after the log off. Where the
    alarm cannot be had (in another thread, or if something else uses it) a request is bounded by the time-outs of its
    steps only.

    :arg leave: ends the logon and calls :meth:`restore`; for a signal that arrives while :attr:`idle`.
    :ivar idle: whether nobody is inside the ``with`` block, so that there is nothing to interrupt: the logon is ended,
        and then the signal has the effect that it would have had without it.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = leave
        self._before: dict[int, Any] = {}
        self._hold = False
        self._pending: int | None = None
        self._to_pass_on: int | None = None
        self._first = -math.inf
        self._armed = False
        self.idle = False

    def watch(self) -> None:
        if not _in_main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if before == signal.SIG_DFL or callable(before):
                self._before[number] = before
                signal.signal(number, self._arrived)

    def restore(self) -> None:
        if not _in_main_thread():
            return
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()
        to_pass_on, self._to_pass_on = self._to_pass_on, None
        if to_pass_on is not None:
            os.kill(os.getpid(), to_pass_on)

    @contextmanager
    def defer_interrupts(self) -> Iterator[None]:
        """Keep an interruption back until the block is left, but not much longer; a second one tears the block.

        An alarm of somebody else, as ansible-core sets it for a task's ``timeout``, rings when the block is left.
        """
        self._hold = True
        if alarm_of_others := _in_main_thread() and callable(signal.getsignal(signal.SIGALRM)):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        try:
            yield
        finally:
            self._hold = False
            if alarm_of_others:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
            pending, self._pending = self._pending, None
            if pending is not None:
                raise Interrupted(_sentence(pending, "no logon is left open unless a warning says so")) from None

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Raise TimeoutError in the block after so many seconds, whatever system call it waits in."""
        alarm_is_used = signal.getsignal(signal.SIGALRM) != signal.SIG_DFL or any(signal.getitimer(signal.ITIMER_REAL))
        if not _in_main_thread() or alarm_is_used:
            yield
            return
        signal.signal(signal.SIGALRM, self._too_late)
        self._armed = True
        try:
            # It repeats, since the first one can be lost where Python ignores exceptions (in a destructor).
            signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
            try:
                yield
            finally:
                self._armed = False
        finally:  # reached with the alarm off, even if it rang in the moment it was switched off
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _too_late(self, number: int, frame: object) -> None:
        if self._armed:
            raise TimeoutError("timed out")

    def _arrived(self, number: int, frame: object) -> None:
        before = self._before.get(number)
        if self.idle or (callable(before) and before is not signal.default_int_handler):
            self._to_pass_on = number
        now = time.monotonic()
        if now - self._first < ONE_INTERRUPTION:
            return
        self._first = now
        if self.idle:
            self.idle = False
            self._leave()
            return
        if not self._hold:
            raise Interrupted(_sentence(number, "no logon is left open unless a warning says so"))
        if self._pending is None:
            self._pending = number
            if self._armed and signal.getitimer(signal.ITIMER_REAL)[0] > GRACE:
                signal.setitimer(signal.ITIMER_REAL, GRACE, 1.0)
            return
        self._pending = None
        raise Interrupted(_sentence(number, "a logon may be left open, and then ends by itself when idle"))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _sentence(number: int, state: str) -> str:
    return f"Interrupted by {signal.Signals(number).name}; on Enterprise Manager {state}."
