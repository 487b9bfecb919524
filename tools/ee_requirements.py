# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write what pip installs into the execution environment: ee_requirements.py COLLECTIONS FOLDER

ansible-builder makes the build context of execution-environment.yml in FOLDER/context and collects what the collection
installed under COLLECTIONS asks for. FOLDER/requirements.txt gets both: ansible-core and ansible-runner from the first,
libraries from the second. Fails if the context lacks the collection, or if the lists are not those of meta/.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
BUILDER = Path(sys.executable).with_name("ansible-builder")


def lines_of(path: Path) -> list[str]:
    """The requirements of a file, without comments."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line for line in (line.partition("#")[0].strip() for line in lines) if line]


def main(collections: Path, folder: Path) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    context, python, system = folder / "context", folder / "python.txt", folder / "system.txt"
    definition = REPO / "execution-environment.yml"
    containerfile = context / "Containerfile"
    create = ["create", f"--file={definition}", f"--context={context}", f"--output-filename={containerfile.name}"]
    collect = ["introspect", str(collections), f"--write-pip={python}", f"--write-bindep={system}"]
    for command in (create, collect):
        subprocess.run([BUILDER, *command], check=True, stdout=subprocess.DEVNULL)

    wanted = re.search(r"name: (\S+)", (context / "_build" / "requirements.yml").read_text(encoding="utf-8"))[1]
    if not (context / "_build" / wanted).is_file():
        print(
            f"The build context has no {wanted}: run make build, and see that {definition.name} has the right version."
        )
        return 1
    for collected, declared in ((python, "ee-requirements.txt"), (system, "ee-bindep.txt")):
        if lines_of(collected) != lines_of(REPO / "meta" / declared):
            print(f"ansible-builder collects {lines_of(collected)}, and not what meta/{declared} says.")
            return 1
    if lines_of(system):
        print(f"Nothing here tries the system packages {lines_of(system)}.")
        return 1

    base = re.search(
        r'ARG PYCMD.*?ARG ANSIBLE_INSTALL_REFS="(.*?)"', containerfile.read_text(encoding="utf-8"), re.DOTALL
    )[1]
    requirements = [*base.split(), *lines_of(python)]
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    print(f"An execution environment has {', '.join(requirements)} and no system packages of ours.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
