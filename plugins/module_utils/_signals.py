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
    handles them itself keeps doing so. Without the alarm (in another thread, or if something else uses it) a request
    is bounded by the time-outs of its single steps only.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._hold = False
        self._pending: int | None = None

    def watch(self) -> None:
        if threading.current_thread() is not threading.main_thread():
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
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep an interruption back until the block is left, but not much longer; a second one is not kept."""
        self._hold = True
        try:
            yield
        finally:
            self._hold = False
            pending, self._pending = self._pending, None
            if pending is not None:
                raise Interrupted(_sentence(pending)) from None

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[None]:
        """Raise TimeoutError in the block after so many seconds, whatever it waits for."""
        if signal.SIGALRM not in self._before:
            yield
            return
        # It repeats, since the first one can be lost where Python ignores exceptions (in a destructor).
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _arrived(self, number: int, frame: object) -> None:
        if self._hold and self._pending is None:
            self._pending = number
            if signal.getitimer(signal.ITIMER_REAL)[0] > GRACE:
                signal.setitimer(signal.ITIMER_REAL, GRACE, 1.0)
            return
        self._pending = None
        raise Interrupted(_sentence(number))


def _too_late(number: int, frame: object) -> None:
    raise TimeoutError("timed out")


def _sentence(number: int) -> str:
    name = signal.Signals(number).name
    return f"Interrupted by {name}; no logon is left open on Enterprise Manager unless a warning says so."
