# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a service under uvicorn in a thread of this process."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trustme
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import make_app
from .faults import IDLE, TRANSPORT
from .service import Service, Settings

HOST = "127.0.0.1"
_START_SECONDS = 300


class _Protocol(H11Protocol):
    """Tells the application its connection and how long that was idle, so that faults can break it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app = self.app
        idle_since = time.monotonic()

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal idle_since
            scope[TRANSPORT] = transport
            scope[IDLE] = time.monotonic() - idle_since
            await app(scope, receive, send)
            idle_since = time.monotonic()

        self.app = with_transport


class _Server(uvicorn.Server):
    """A server that stops at once when told to, whatever its connections are doing.

    uvicorn looks for the wish to stop ten times a second and then waits for busy connections; both would cost every
    test that starts a server.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.running = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._own_thread: threading.Thread | None = None
        self._wish = asyncio.Event()
        self._waiting: asyncio.TimerHandle | None = None
        self._resuming: asyncio.Task[None] | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        # Coverage is measured of the collection. Tracing this thread as well would cost the tests a seventh of their time.
        sys.settrace(None)
        super().run(sockets=sockets)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._own_thread = threading.current_thread()
        self.running.set()
        await self._wish.wait()
        if self._waiting is not None:
            self._waiting.cancel()
        for server in self.servers:
            server.close()
        self._abort_connections()

    def pause(self, listen: Callable[[], socket.socket], seconds: float) -> None:
        """Stop listening for so many seconds; from any thread. Nothing listens any more when this returns.

        :param listen: makes the socket to go on with.
        """
        assert self._loop is not None
        if threading.current_thread() is self._own_thread:
            # Whoever asks over HTTP gets the reply first.
            self._pause(listen, seconds, grace=0.1)
        else:
            closed = threading.Event()
            self._loop.call_soon_threadsafe(self._pause, listen, seconds, 0.0)
            self._loop.call_soon_threadsafe(closed.set)
            closed.wait(_START_SECONDS)

    def _pause(self, listen: Callable[[], socket.socket], seconds: float, grace: float) -> None:
        assert self._loop is not None
        loop = self._loop
        for server in self.servers:
            server.close()
        self.servers = []
        loop.call_later(grace, self._abort_connections)
        if self._waiting is not None:
            self._waiting.cancel()

        def resume() -> None:
            self._resuming = loop.create_task(self.startup(sockets=[listen()]))

        self._waiting = loop.call_later(seconds, resume)

    def _abort_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def stop(self) -> None:
        """Ask the server to stop; from any thread."""
        self.force_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wish.set)


def _listener(port: int) -> socket.socket:
    """A socket that listens. Raises OSError when the port is taken."""
    # The protocol must be named: asyncio switches Nagle's delay (40 ms a reply) off only for sockets that say TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


class Emulator(Service):
    """A running Enterprise Manager stand-in, as a context manager; everything of ``Service`` plus its address.

    :param sessions: how many sessions are generated, with their plans, beside the documented ones.
    :param tasks: how many tasks each of them has.
    :param seed: same seed, same sessions (relative to the time of start, or to ``now``).
    :param running: how many of them are still running; default 3, in small worlds a quarter.
    :param em_version: 12 or 13.
    :param tls: True for HTTPS with a throw-away CA; a directory gets its ``ca.pem``.
    :param latency_ms: waited before each request is handled; can be changed while running.
    :param idle_seconds: idle time-out of logons.
    :param behaviour: the switches to start with.
    :param users: list of ``User``; default admin, reader, operator, both and restricted with ``Passw0rd!``.
    :param documented: whether the five sessions of the reference pages and their plans are there too.
    :param now: what the clock shows at the start (aware datetime); default real time.
    :param faults: fault rules in force from the start and again after ``reset()``, as dicts.
    :param clock_rate: how many times faster than real time the clock runs.
    :param drill: whether there are two plans to try out: "ABC Company DR drill" of eight VMs, and "ABC Company small site".
    :param port: TCP port on 127.0.0.1, 0 for any free one.
    """

    def __init__(self, *, tls: bool | str | Path = False, port: int = 0, **settings: Any) -> None:
        super().__init__(Settings(**settings))
        self._tls = tls
        self._port = port
        self._own_directory: str | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.url = ""
        self.ca_path: str | None = None

    def start(self) -> Emulator:
        """Listen and serve. Raises OSError when the port is taken."""
        listener = _listener(self._port)
        try:
            context = self._make_certificates() if self._tls else None
        except BaseException:
            listener.close()
            raise
        config = uvicorn.Config(
            make_app(self),
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=120,
            timeout_graceful_shutdown=1,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="emulator", daemon=True
        )
        self._thread.start()
        if not self._server.running.wait(_START_SECONDS):
            raise RuntimeError("the emulator did not start")
        port = listener.getsockname()[1]
        self.url = f"https://localhost:{port}" if context else f"http://{HOST}:{port}"
        return self

    def _stop_listening(self, seconds: float) -> None:
        if self._server is not None:
            port = int(self.url.rpartition(":")[2])
            self._outage = ("drop", time.monotonic() + seconds)  # for connections that are still open
            self._server.pause(lambda: _listener(port), seconds)

    def stop(self) -> None:
        """Stop serving and close all connections; does nothing when not running."""
        if self._server is not None and self._thread is not None:
            self._server.stop()
            self._thread.join(5)
        self._server = self._thread = None
        if self._own_directory is not None:
            shutil.rmtree(self._own_directory, ignore_errors=True)
            self._own_directory = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _make_certificates(self) -> ssl.SSLContext:
        """A throw-away CA, written to ``ca.pem``, and a server certificate of it."""
        if self._tls is True:
            self._own_directory = tempfile.mkdtemp(prefix="emulator-ca-")
            directory = Path(self._own_directory)
        else:
            directory = Path(str(self._tls))
            directory.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", HOST).configure_cert(context)
        authority.cert_pem.write_to_path(str(directory / "ca.pem"))
        self.ca_path = str(directory / "ca.pem")
        return context
