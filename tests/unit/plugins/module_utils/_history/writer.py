# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that appends to a history: writer.py LOCATION NAME TIMES [KILLED_AFTER]

Each time a look and 40 sessions, then it prints the head. With KILLED_AFTER it kills itself after so many steps of SQLite's
machine, in the middle of what it does then, and its cache is so small that parts of an unfinished transaction are in the file.
"""

import os
import signal
import sys

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.records import FACTS, NewRecord, subject_of
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store

SESSIONS = 40


def records(name, time):
    yield NewRecord("look", subject_of("em", f"{name}-{time}"), "2026", dict.fromkeys(FACTS["look"]))
    for number in range(SESSIONS):
        identity = f"{name}-{time}-{number}"
        facts = {**dict.fromkeys(FACTS["session"]), "id": identity, "tasks": [], "text": "x" * 500}
        yield NewRecord("session", subject_of("em", identity), "2026", facts)


def main(location, name, times, killed_after=None):
    with open_store(location, create=True) as store:
        if killed_after:
            store.database.execute("PRAGMA cache_size = 4")
            connection = store.database._connection
            connection.set_progress_handler(lambda: os.kill(os.getpid(), signal.SIGKILL), int(killed_after))
        for time in range(int(times)):
            store.append(records(name, time))
            print(store.head()["sequence"], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
