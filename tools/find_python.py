# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the path of the first Python of the versions given (such as 3.13 3.12) that runs here, or nothing."""

from __future__ import annotations

import glob
import os
import subprocess
import sys


def path_of(version: str) -> str | None:
    # pyenv's shims of versions that are not selected are on PATH but do not run, so its folders are looked into too.
    candidates = [
        sys.executable,
        f"python{version}",
        *sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python"))),
    ]
    for candidate in candidates:
        try:
            check = "import sys, ensurepip; print('%d.%d' % sys.version_info[:2], sys.executable)"
            found = subprocess.run([candidate, "-c", check], capture_output=True, text=True, check=True).stdout.split(
                None, 1
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        if found[0] == version:
            return found[1].strip()
    return None


if __name__ == "__main__":
    print(next(filter(None, map(path_of, sys.argv[1:])), ""))
