# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""A lock between processes of one machine, so that two of them do not take an action on one plan at once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._api.errors import EmBusyError
from . import waiter as _wait

INTERVAL = 0.2
"""Seconds between two attempts to get the lock."""


@contextmanager
def plan_lock(url: str, subject: str, seconds: float, tried: str, warn: Callable[[str], None]) -> Iterator[None]:
    """Wait for the lock on a subject of an EM, and hold it in the block. It ends with the process at the latest.

    The lock is on a file in the folder for temporary files that is empty and stays there. Where that file cannot be
    opened, a warning says so and the block runs without.

    :arg url: address of the EM.
    :raises EmBusyError: another process holds it for longer than this time.
    """
    name = hashlib.sha256(f"{url} {subject}".encode()).hexdigest()[:24]
    path = os.path.join(tempfile.gettempdir(), f"dr_runbook.veeam_em-{name}.lock")
    try:
        file = _opened(path)
    except OSError as exc:
        warn(f"There is no lock against a second run on this machine, since {path} cannot be opened ({exc.strerror}).")
        yield
        return
    try:
        until = _wait.monotonic() + seconds
        while not _taken(file):
            if _wait.monotonic() >= until:
                happened = f"was not contacted, since another process on this machine works on this plan for {seconds:g} seconds"
                raise EmBusyError(tried, url, happened, "Try again when it is over.", None)
            _wait.sleep(INTERVAL)
        yield
    finally:
        os.close(file)


def _opened(path: str) -> int:
    """The file, for reading only: it may belong to another user, whose it is where it was first made."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT, 0o644)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
