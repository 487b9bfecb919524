# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutation tests of the core files with mutmut: run them, then print the figures of each file (docs/quality.md).

Without arguments, all mutants without a result are run; with "survivors", those that were not killed too; with names or
patterns such as "*_query*", these. "report" only prints. Results are kept in .cache/mutation; remove it to start anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
ROOT = REPO / ".cache" / "mutation"
COLLECTION = "ansible_collections/dr_runbook/veeam_em"
CORE = ("_api", "_failover", "_verdict", "_events")
"""Folders of plugins/module_utils. A mutant is to be killed by the tests of its file or folder, not by chance by those of another one."""
NEEDED = 85.0

UTILS = f"{COLLECTION}/plugins/module_utils"
FOLDER = f"{COLLECTION}/tests/unit/plugins/module_utils"


def core_files() -> list[str]:
    """Such as _api/client."""
    return sorted(
        f"{folder}/{path.stem}" for folder in CORE for path in (REPO / "plugins/module_utils" / folder).glob("*.py")
    )


# mutmut finds the tests of a mutant by the import name of its module, so the tree has the layout of that name.
CONFIG = f"""\
[tool.mutmut]
source_paths = ["{COLLECTION}/plugins"]
only_mutate = {json.dumps([f"{UTILS}/{name}.py" for name in core_files()])}
also_copy = ["{COLLECTION}"]
pytest_add_cli_args_test_selection = {json.dumps([f"{FOLDER}/{name}" for name in CORE])}
pytest_add_cli_args = ["-pmutation"]
# Seconds of a mutant's run: (what its tests took without it + constant) * multiplier.
timeout_constant = 3.0
timeout_multiplier = 4.0
use_git_change_detection = false
on_dependency_change = "ignore"

[tool.pytest.ini_options]
addopts = "-q --strict-markers --import-mode=importlib -p no:cacheprovider"
markers = ["matrix"]
"""


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """As a plugin of pytest: of the tests that reach a mutant, run those of its own folder only, those of its file first."""
    folder, dummy, name = os.environ.get("MUTANT_UNDER_TEST", "").rpartition(".")[0].rpartition(".")
    if not name:
        return
    seconds = json.loads((ROOT / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))["duration_by_test"]
    kept = [item for item in items if item.path.parent.name == folder.rpartition(".")[2]] or list(items)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = sorted(kept, key=lambda item: (item.path.stem != f"test_{name}", seconds.get(item.nodeid, 0)))


SURVIVED = {0, 5, 33}  # 5 and 33: no test at all
TIMEOUTS = {36, 24, -24, 152, 255, -9}
NOT_RUN = {None, 34}


def copy_tree() -> None:
    """Put what git knows or would add in its place; keep the times, by which mutmut sees what has changed."""
    target = ROOT / COLLECTION
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(ROOT / "mutants" / COLLECTION / "tests", ignore_errors=True)
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "plugins", "tests", "galaxy.yml")
    for name in subprocess.run(listed, cwd=REPO, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (REPO / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, target / name)
    (ROOT / "pyproject.toml").write_text(CONFIG, encoding="utf-8")


def meta(name: str) -> Path:
    return ROOT / "mutants" / UTILS / f"{name}.py.meta"


def results(name: str) -> dict[str, int | None]:
    found: dict[str, int | None] = json.loads(meta(name).read_text(encoding="utf-8"))["exit_code_by_key"]
    return found


def forget_survivors() -> None:
    for name in core_files():
        known = json.loads(meta(name).read_text(encoding="utf-8"))
        codes = results(name)
        known["exit_code_by_key"] = {key: code if verdict(code) == "killed" else None for key, code in codes.items()}
        meta(name).write_text(json.dumps(known, indent=4), encoding="utf-8")


def verdict(code: int | None) -> str:
    if code in NOT_RUN:
        return "not run"
    if code in SURVIVED:
        return "survived"
    # All else is a kill: a test that fails, or a signal that the client should have taken and that ended the tests.
    return "timeouts" if code in TIMEOUTS else "killed"


def report() -> float:
    """Print a line for each file, write the changes that survived, and return the score of all files."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    total: Counter[str] = Counter()
    with (ROOT / "survivors.diff").open("w", encoding="utf-8") as survivors:
        for name in core_files():
            codes = results(name)
            counts = Counter(verdict(code) for code in codes.values())
            total += counts
            print(line(name, counts))
            for mutant, code in codes.items():
                if verdict(code) in ("survived", "timeouts"):
                    path = f"{UTILS}/{name}.py"
                    survivors.write(f"# {verdict(code)}: {mutant}\n{get_diff_for_mutant(mutant, path=path)}\n")
    print(line("all", total))
    return score(total)


def score(counts: Counter[str]) -> float:
    return 100.0 * (counts["killed"] + counts["timeouts"]) / max(1, sum(counts.values()) - counts["not run"])


def line(name: str, counts: Counter[str]) -> str:
    figures = "".join(f"  {word} {counts[word]:4}" for word in ("killed", "survived", "timeouts", "not run"))
    return f"{name:22} mutants {sum(counts.values()):4}{figures}  score {score(counts):5.1f} %"


def main(mutants: list[str]) -> int:
    if mutants == ["survivors"]:
        forget_survivors()
        mutants = []
    if mutants != ["report"]:
        copy_tree()
    os.chdir(ROOT)
    status = 0
    if mutants != ["report"]:
        paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        status = subprocess.run(["mutmut", "run", "--max-children=2", *mutants], check=False, env=paths).returncode
    return status or (1 if report() < NEEDED else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
