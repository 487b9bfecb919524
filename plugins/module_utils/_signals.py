# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Signals while a logon is open: interruptions end it first, and an alarm bounds each request."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

GRACE = 3.0
"""Seconds that a request which must not be torn (log on, log off) still gets after an interruption."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM, SIGHUP or Ctrl-C arrived; raised so that the ``with`` block logs off on its way out."""


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into :class:`Interrupted`, and SIGALRM into :class:`TimeoutError`.

    Only signals that still have Python's default handling are taken, and only in the main thread: a program that
    handles them itself keeps doing so. Where the alarm cannot be had (in another thread, if something else uses it, or
    after an outer client of the same process has left first) a request is bounded by the time-outs of its steps only.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._hold = False
        self._pending: int | None = None

    def watch(self) -> None:
        if not _in_main_thread():
            return
        handlers = {signal.SIGINT: self._arrived, signal.SIGTERM: self._arrived, signal.SIGHUP: self._arrived}
        if not any(signal.getitimer(signal.ITIMER_REAL)):
            handlers[signal.SIGALRM] = _too_late
        for number, handler in handlers.items():
            before = signal.getsignal(number)
            if before in (signal.SIG_DFL, signal.default_int_handler):
                self._before[number] = before
                signal.signal(number, handler)

    def restore(self) -> None:
        if not _in_main_thread():
            return
        if signal.SIGALRM in self._before:
            # It may be armed still, if it rang in the moment it was to be switched off; by default it kills the process.
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep an interruption back until the block is left, but not much longer; a second one tears the block."""
        self._hold = True
        try:
            yield
        finally:
            self._hold = False
            pending, self._pending = self._pending, None
            if pending is not None:
                raise Interrupted(_sentence(pending, "no logon is left open unless a warning says so")) from None

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Raise TimeoutError in the block after so many seconds, whatever system call it waits in."""
        if not _alarm_is_ours():
            yield
            return
        # It repeats, since the first one can be lost where Python ignores exceptions (in a destructor).
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _arrived(self, number: int, frame: object) -> None:
        if not self._hold:
            raise Interrupted(_sentence(number, "no logon is left open unless a warning says so"))
        if self._pending is None:
            self._pending = number
            if _alarm_is_ours() and signal.getitimer(signal.ITIMER_REAL)[0] > GRACE:
                signal.setitimer(signal.ITIMER_REAL, GRACE, 1.0)
            return
        self._pending = None
        raise Interrupted(_sentence(number, "a logon may be left open, and then ends by itself when idle"))


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _alarm_is_ours() -> bool:
    return _in_main_thread() and signal.getsignal(signal.SIGALRM) is _too_late


def _too_late(number: int, frame: object) -> None:
    raise TimeoutError("timed out")


def _sentence(number: int, state: str) -> str:
    return f"Interrupted by {signal.Signals(number).name}; on Enterprise Manager {state}."
