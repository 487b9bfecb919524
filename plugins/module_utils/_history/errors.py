# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong with a history, as sentences for its user. Nothing is imported, since each module catches these."""

from __future__ import annotations


class HistoryError(Exception):
    """The history cannot be used. ``str()`` is a whole sentence for the user that names the store, without secrets."""

    def __init__(self, problem: str, hint: str, location: str) -> None:
        super().__init__(f"{problem}. {hint}. ({location})")


class OvertakenError(HistoryError):
    """Another state of the same object was recorded while EM was read. Which one is newer is not known: read EM again."""

    def __init__(self, location: str) -> None:
        problem = "Another process recorded a different state while Enterprise Manager was read"
        super().__init__(problem, "Nothing was recorded. Record again", location)


class NoHistoryError(HistoryError):
    """There is none at that location."""

    def __init__(self, location: str) -> None:
        super().__init__("There is no history yet", "Record with failover_history first", location)
