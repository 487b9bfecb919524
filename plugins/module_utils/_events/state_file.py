# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of the event source in a file, which one process at a time may use."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

from .._api.errors import OptionError
from .state import EventState


class StateFile:
    """An :class:`EventState` in a file, locked against other processes until :meth:`close`.

    :arg path: of the file; ``~`` and environment variables are expanded, and its folder is created.
    :arg em: address of the EM, since ids of another one mean nothing here.
    :raises OptionError: it cannot be used.
    """

    def __init__(self, path: str, em: str) -> None:
        self.path = os.path.realpath(os.path.expanduser(os.path.expandvars(path)))
        self._em = em
        self._written = ""
        self._writing = threading.Lock()
        lock = None
        try:
            folder = os.path.dirname(self.path)
            if not os.path.exists(folder):
                os.makedirs(folder, mode=0o700, exist_ok=True)
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if lock is not None:
                os.close(lock)
            accepted = f"It cannot be locked ({exc.strerror}). Give a file in a folder that can be written to."
            if isinstance(exc, BlockingIOError):
                accepted = "Another source or process uses it. Give each source a state file of its own."
            raise OptionError("state_file", path, accepted) from None
        self._lock = lock

    def read(self) -> EventState | None:
        """The state, or None where the file does not exist.

        :raises OptionError: it cannot be used.
        """
        try:
            text = Path(self.path).read_text(encoding="utf-8", errors="replace")
            return EventState.from_text(text, self._em)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            self.close()
            why = f"It cannot be read ({exc.strerror})" if isinstance(exc, OSError) else f"It {exc}"
            accepted = f"{why}. Give another file, or remove this one to start without it; sessions that ended until then are not reported."
            raise OptionError("state_file", self.path, accepted) from None

    def write(self, state: EventState) -> None:
        """Replace the file as a whole; nothing is written if nothing has changed.

        :raises OSError: it could not be written. The old file is still there then.
        """
        with self._writing:
            text = state.to_text(self._em)
            if text == self._written:
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            with open(os.open(f"{self.path}.new", flags, 0o600), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{self.path}.new", self.path)
            self._written = text

    def close(self) -> None:
        """Let others use the file."""
        os.close(self._lock)
