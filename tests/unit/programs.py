# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that tests start, such as ansible-playbook: each in a process group that does not outlive its test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[2]
COLLECTIONS = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(REPO / ".ansible" / "collections")
TIMEOUT = 600
"""Seconds for a whole program, so that a hanging one ends some time; a slow machine has to stay far below."""


class Done(NamedTuple):
    """A program that has ended, and its output with errors."""

    returncode: int
    output: str


def ansible_environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a user of Ansible, with these settings and none of this process that could disturb."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VEEAM_EM_", "ANSIBLE_"))}
    return {
        **inherited,
        "ANSIBLE_COLLECTIONS_PATH": COLLECTIONS,
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
        **settings,
    }


@contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A running program (one of Ansible by its name); its whole process group is killed at the end of the block."""
    path = Path(sys.executable).parent / command[0]
    process = subprocess.Popen(
        [str(path) if path.exists() else command[0], *command[1:]],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options},
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def run(command: list[str], text: str | None = None, **options: Any) -> Done:
    """Run a program to its end.

    :arg text: its standard input.
    """
    if text is not None:
        options["stdin"] = subprocess.PIPE
    with started(command, **options) as process:
        output = process.communicate(text, timeout=TIMEOUT)[0]
        return Done(process.returncode, output)
