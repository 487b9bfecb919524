# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the unit tests of the files that changed on this branch, or since the last commit where this is main.

Tests mirror the source, so plugins/X/Y.py has tests/unit/plugins/X/test_Y.py. A file without one has those of its folder.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
UNIT = Path("tests/unit")
FOLDERS = {
    "tools": "tools",
    "docs": "docs",
    "extensions/eda": "extensions/test_eda_failover_session.py",
    "extensions/awx": "extensions/test_awx.py",
    "tests/emulator": "emulator",
    "roles": "roles",
    "playbooks": "extensions/test_awx.py",
}
"""Tests of what has no file of tests each. Whole workflows (extensions/test_awx_workflow.py) take minutes, and are for make test."""


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=REPO, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def changed() -> list[Path]:
    base = (git("merge-base", "main", "HEAD") or ["HEAD"])[0]
    return [Path(name) for name in git("diff", "--name-only", base) + git("ls-files", "--others", "--exclude-standard")]


def tests_of(path: Path) -> Path | None:
    if path.is_relative_to(UNIT):
        return path if path.name.startswith("test_") and path.suffix == ".py" else None
    if path.is_relative_to("plugins"):
        folder = UNIT / path.parent
        own = folder / f"test_{path.stem}.py"
        return own if (REPO / own).exists() else folder
    return next((UNIT / tests for folder, tests in FOLDERS.items() if path.is_relative_to(folder)), None)


def main() -> None:
    found = {tests for path in changed() if (tests := tests_of(path)) and (REPO / tests).exists()}
    print(*sorted(tests for tests in found if not found & set(tests.parents)))


if __name__ == "__main__":
    main()
