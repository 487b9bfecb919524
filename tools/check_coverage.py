# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fail unless each file of a coverage report (JSON) has the lines and the branches that pyproject.toml demands of all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tomllib

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def main(path: str) -> int:
    needed = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["coverage"]["report"]["fail_under"]
    files = json.loads(Path(path).read_text(encoding="utf-8"))["files"]
    too_low = 0
    for name, entry in sorted(files.items()):
        summary = entry["summary"]
        branches = 100.0 * summary["covered_branches"] / summary["num_branches"] if summary["num_branches"] else 100.0
        lines = 100.0 * summary["covered_lines"] / max(1, summary["num_statements"])
        if min(branches, lines) < needed:
            print(f"{name}: {branches:.1f} % of branches, {lines:.1f} % of lines; {needed} % are needed")
            too_low += 1
    return 1 if too_low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
