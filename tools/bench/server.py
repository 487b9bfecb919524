# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The emulator for the benchmark: server.py OPTIONS, which are those of ``python -m emulator``.

Two things differ. A page of a query is rendered once and then sent from memory, so that the emulator's XML writer is
not what is measured; its sessions must not change, so ``--running 0`` is needed. And each VM has a name of its own, so
that an inventory has as many hosts as there are VMs.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import emulator.__main__  # noqa: E402
import emulator.app  # noqa: E402


class KeepingHandlers(emulator.app.Handlers):
    """All that comes before (logon, token, latency, log of requests) and after (TLS, HTTP) is done for each request."""

    def __init__(self, service: Any) -> None:
        super().__init__(service)
        self._kept: dict[Any, tuple[bytes, str]] = {}

    async def query(self, request: Request) -> Response:
        key = request.url.query, request.headers.get("accept")
        if key not in self._kept:
            rendered = await super().query(request)
            self._kept[key] = bytes(rendered.body), rendered.headers["Content-Type"]
        body, media_type = self._kept[key]
        return Response(body, headers={"Content-Type": media_type})


class DistinctEmulator(emulator.Emulator):
    def _fill(self, sessions: int, tasks: int) -> None:
        super()._fill(sessions, tasks)
        number = count(1)
        self.world.add(
            [
                replace(
                    session,
                    tasks=tuple(replace(task, vm_name=f"{task.vm_name}-{next(number):06}") for task in session.tasks),
                    memo={},
                )
                for session in self.world.sessions
            ]
        )


if __name__ == "__main__":
    emulator.app.Handlers = KeepingHandlers  # type: ignore[misc]
    emulator.__main__.Emulator = DistinctEmulator  # type: ignore[misc]
    sys.exit(emulator.__main__.main())
