# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the artifact as Galaxy does on upload, and take no complaint: import_check.py VENV FOLDER

Runs galaxy-importer of VENV on the one artifact in FOLDER. Fails on each warning and error that it prints, if it
read no documentation or linted nothing (which it passes over with a warning at most), and if the artifact has files that
users do not need.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

DOCUMENTED = {"filter", "inventory", "lookup", "module"}
# What users need, or may want to look up. The tests come along, with the emulator, as in most collections; .ansible-lint too, since Galaxy
# lints by it, and has no modules of awx.awx.
TOP = {
    *(
        ".ansible-lint",
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "COPYING",
        "FILES.json",
        "MANIFEST.json",
        "README.md",
        "SECURITY.md",
    ),
    *("changelogs", "docs", "extensions", "meta", "playbooks", "plugins", "roles", "tests"),
}


def main(venv: Path, folder: Path) -> int:
    (artifact,) = folder.resolve().glob("*.tar.gz")
    result = folder.resolve() / "importer_result.json"
    result.unlink(missing_ok=True)
    # It looks for ansible-doc and ansible-lint on PATH.
    path = os.pathsep.join([str(venv.resolve() / "bin"), os.environ["PATH"]])
    process = subprocess.run(
        [venv.resolve() / "bin" / "python", "-m", "galaxy_importer.main", artifact],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(process.stdout, end="")
    problems = [line for line in process.stdout.splitlines() if line.startswith(("WARNING", "ERROR", "CRITICAL"))]
    if process.returncode or not result.is_file():
        problems.append(f"galaxy-importer ended with status {process.returncode}")
    if "...ansible-lint run complete" not in process.stdout:
        problems.append("ansible-lint has not run")
    contents = json.loads(result.read_text(encoding="utf-8"))["docs_blob"]["contents"] if result.is_file() else []
    kinds = {content["content_type"] for content in contents if content["doc_strings"]}
    if kinds != DOCUMENTED:
        problems.append(f"documentation was read of {sorted(kinds)}, and not of {sorted(DOCUMENTED)}")
    with tarfile.open(artifact) as archive:
        others = {name.partition("/")[0] for name in archive.getnames()} - TOP
    if others:
        problems.append(f"the artifact has {sorted(others)}: add them to build_ignore in galaxy.yml, or to TOP here")
    if problems:
        print("The import check has failed:", *problems, sep="\n  ")
        return 1
    print(f"Galaxy would import {artifact.name} ({artifact.stat().st_size // 1024} KiB) without a complaint.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
