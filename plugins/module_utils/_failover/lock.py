# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lock between the processes of one machine, so that two of them do not run one plan at the same time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._api.errors import EmBusyError
from . import clock

INTERVAL = 0.2
"""Seconds between two attempts to get the lock."""


@contextmanager
def plan_lock(
    base_url: str, plan_id: str, seconds: float, operation: str, warn: Callable[[str], None]
) -> Iterator[None]:
    """Wait for the lock on a plan of an EM, and hold it in the block. It ends with the process at the latest.

    The lock is on an empty file in the folder for temporary files, which stays there. If that file cannot be opened or
    locked, a warning says so and the block runs without a lock.

    :raises EmBusyError: another process holds it for longer than this time.
    """
    name = hashlib.sha256(f"{base_url} {plan_id}".encode()).hexdigest()[:24]
    path = os.path.join(tempfile.gettempdir(), f"dr_runbook.veeam_em-{name}.lock")
    file = None
    until = clock.monotonic() + seconds
    try:
        try:
            file = _open(path)
            while not _take(file):
                if clock.monotonic() >= until:
                    problem = f"was not contacted: another process on this machine has been running this plan for {seconds:g} seconds"
                    raise EmBusyError(operation, base_url, problem, "Try again when it has finished.")
                clock.sleep(INTERVAL)
        except OSError as exc:  # some file systems have no locks
            why = f"the lock file {path} cannot be used ({exc.strerror})"
            warn(f"Parallel runs on this machine are not prevented: {why}.")
        yield
    finally:
        if file is not None:
            os.close(file)


def _open(path: str) -> int:
    """The file, for reading only: it belongs to whoever created it, who may be another user."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT, 0o644)


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
