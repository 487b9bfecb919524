# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command line: ``python -m emulator --port 9398 --tls DIR --sessions 200`` (with tests/ on PYTHONPATH)."""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import threading
from pathlib import Path

try:
    from . import Behaviour, Emulator, User
except ImportError as exc:
    sys.exit(
        f"The emulator needs the libraries of tests/emulator/requirements.txt, and the first one missing is: {exc.name}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m emulator",
        description="A stand-in for Veeam Backup Enterprise Manager's REST API, on 127.0.0.1 only.",
        epilog="Default users, all with password Passw0rd!: admin, reader, operator, both, restricted. Switches: see README.md.",
    )
    add = parser.add_argument
    add("--port", type=int, default=9398, help="TCP port, 0 picks a free one (default %(default)s)")
    add("--tls", metavar="DIR", help="serve HTTPS with a throw-away CA; its ca.pem goes to DIR")
    add("--sessions", type=int, default=40, metavar="N", help="generated sessions (default %(default)s)")
    add("--tasks", type=int, default=3, metavar="K", help="tasks of each generated session (default %(default)s)")
    add("--running", type=int, metavar="R", help="how many sessions are still running (default 3)")
    add("--seed", type=int, default=1, metavar="S", help="same seed, same sessions (default %(default)s)")
    add(
        "--drill",
        action="store_true",
        help="with the plans ABC Company DR drill (8 VMs) and ABC Company small site (2)",
    )
    add("--clock-rate", type=float, default=1, metavar="X", help="so many times faster than real time (default 1)")
    add("--no-documented", action="store_true", help="leave the sessions and plans of the reference pages out")
    add("--em-version", type=int, choices=(12, 13), default=12, help="server release (default %(default)s)")
    add("--latency-ms", type=float, default=0, metavar="MS", help="wait before each reply")
    add("--idle-seconds", type=float, default=900, metavar="S", help="idle time-out of logons (default %(default)s)")
    add("--user", action="append", type=User.parse, metavar="NAME:PASSWORD:ROLE", help="instead of the default users")
    add("--fault", action="append", type=json.loads, default=[], metavar="JSON", help="a fault rule, repeatable")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="a behaviour switch, repeatable")
    add("--ready-file", type=Path, metavar="FILE", help="write JSON with url, ca_path and pid once listening")
    add("--stop-after", type=float, metavar="SECONDS", help="stop by itself")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT or ``--stop-after``. Returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    # Large worlds are many small objects that live as long as the process: looking through them again and again for
    # garbage would double the time of start and replies.
    gc.disable()
    try:
        behaviour = Behaviour()
        for assignment in options.set:
            behaviour.set_text(assignment)
        emulator = Emulator(
            port=options.port,
            tls=options.tls or False,
            sessions=options.sessions,
            tasks=options.tasks,
            running=options.running,
            seed=options.seed,
            documented=not options.no_documented,
            drill=options.drill,
            clock_rate=options.clock_rate,
            em_version=options.em_version,
            latency_ms=options.latency_ms,
            idle_seconds=options.idle_seconds,
            users=options.user,
            behaviour=behaviour,
            faults=options.fault,
        )
    except (ValueError, TypeError, AttributeError) as error:
        parser.error(str(error))
    gc.freeze()
    gc.enable()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        emulator.start()
    except OSError as error:
        print(
            f"cannot listen on port {options.port}: {error.strerror}. Give another one: --port 9500, or make emulator PORT=9500",
            file=sys.stderr,
        )
        return 1
    try:
        ready = {"url": emulator.url, "ca_path": emulator.ca_path, "pid": os.getpid()}
        print(f"Enterprise Manager emulator at {ready['url']} (CA {ready['ca_path']}, pid {ready['pid']})", flush=True)
        if options.ready_file is not None:
            _write_atomically(options.ready_file, json.dumps(ready))
        stop.wait(options.stop_after)
    finally:
        emulator.stop()
    return 0


def _write_atomically(path: Path, text: str) -> None:
    """Readers see nothing or everything."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main())
