# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.session_log import SessionLog
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store

EARLIER, LATER = "2026-03-02T00:00:00.000000Z", "2026-03-03T00:00:00.000000Z"


@pytest.mark.parametrize(("at", "expected"), [(EARLIER, "Stopped"), (LATER, "Working")])
def test_an_older_state_does_not_become_the_newest(make, file, at, expected):
    """A look by another process may come between what is seen and what is recorded."""
    look = make.session(1, state="Stopped")
    with open_store(file, create=True) as store:
        store.append([replace(look, at="2026-03-02T12:00:00.000000Z")])
    log = SessionLog(partial(open_store, file), "em.example.com", str, pytest.fail)
    log.add({**look.body, "state": "Working", "tasks": []}, at)
    log.record()
    assert not log.pending
    with open_store(file, read_only=True) as store:
        assert [record.body["state"] for record in store.newest("session")] == [expected]


def test_what_comes_while_it_records_is_recorded_next(make, file):
    session = make.session(1).body
    later = [{**session, "state": "Stopped", "tasks": []}]

    def opened():
        while later:
            log.add(later.pop(), LATER)
        return open_store(file, create=True)

    log = SessionLog(opened, "em.example.com", str, pytest.fail)
    log.add({**session, "state": "Working", "tasks": []}, EARLIER)
    log.record()
    assert log.pending
    log.record()
    assert not log.pending
    with open_store(file, read_only=True) as store:
        assert [record.body["state"] for record in store.newest("session")] == ["Stopped"]
