# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a command while the emulator runs: with_emulator.py [--login USER] [EMULATOR OPTIONS] -- COMMAND [ARG ...]

The emulator listens on a free port with a throw-away CA. The command finds it through the collection's environment
variables (VEEAM_EM_URL and so on). It logs on as both, who may read sessions, plans and
restore points and run plans; --login takes another of the emulator's users.
The emulator is stopped when the command ends; its exit status is passed on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
PASSWORD = "Passw0rd!"  # of the emulator's default users


def main() -> int:
    split = sys.argv.index("--")
    options, command = sys.argv[1:split], sys.argv[split + 1 :]
    login = "both"
    if "--login" in options:
        place = options.index("--login")
        login = options[place + 1]
        del options[place : place + 2]
    with tempfile.TemporaryDirectory(prefix="veeam-em-emulator-") as folder:
        ready = Path(folder, "ready.json")
        log = Path(folder, "emulator.log")
        with log.open("w", encoding="utf-8") as output:
            emulator = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "emulator",
                    "--port",
                    "0",
                    "--tls",
                    folder,
                    "--ready-file",
                    str(ready),
                    *options,
                ],
                env={**os.environ, "PYTHONPATH": str(TESTS)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            while not ready.exists():
                if emulator.poll() is not None:
                    print(log.read_text(encoding="utf-8"), file=sys.stderr)
                    return 1
                time.sleep(0.02)
            where = json.loads(ready.read_text(encoding="utf-8"))
            connection = {
                "VEEAM_EM_URL": where["url"],
                "VEEAM_EM_CA_PATH": where["ca_path"],
                "VEEAM_EM_USERNAME": login,
                "VEEAM_EM_PASSWORD": PASSWORD,
            }
            return subprocess.run(command, env={**os.environ, **connection}, check=False).returncode
        finally:
            emulator.terminate()
            emulator.wait()


if __name__ == "__main__":
    sys.exit(main())
