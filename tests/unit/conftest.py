# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as the collection, and gives the tests an emulator to talk to."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ROOT = REPO / ".ansible" / "collections"
TESTS = str(REPO / "tests")

if TESTS not in sys.path:
    sys.path.insert(0, TESTS)  # for the package "emulator"

# A shell ignores Ctrl-C for what it runs in the background, and so would the tests and all that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "ansible_collections" not in REPO.parts:  # under ansible-test the tree is already in place
    from ansible.plugins.loader import init_plugin_loader

    link = ROOT / "ansible_collections" / "dr_runbook" / "veeam_em"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(REPO, link.parent), target_is_directory=True)
    init_plugin_loader([str(ROOT)])


@pytest.fixture(scope="session")
def plain_emulator():
    """One emulator on plain HTTP for all tests of a worker; it starts once. Its generated sessions have all ended."""
    from emulator import Emulator

    with Emulator(documented=False, running=0) as running:
        yield running


@pytest.fixture
def em(plain_emulator):
    """The emulator, emptied: no sessions, no faults, default behaviour, counters at zero."""
    plain_emulator.reset(sessions=0)
    yield plain_emulator
    plain_emulator.faults.clear()


@pytest.fixture
def connect(em):
    """Make a client for the emulator; keyword arguments replace options."""
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._client import EnterpriseManager

    def make(**options):
        return EnterpriseManager(
            **{"url": em.url, "username": "reader", "password": "Passw0rd!", "retries": 0, **options}
        )

    return make
