# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time and memory of the collection, compared with what one would do without it, all in one run: ``make bench``.

This file says what is measured (``STAGES``) and measures it; tools/bench has what is run. All figures go to
.cache/bench/results.json, from which tools/bench/report.py makes docs/quality.md. With --quick a small version runs,
which is only printed.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

# Nothing large may be imported here: the peak memory of a program that this process starts is at least that of this process.

REPO = Path(__file__).resolve().parents[1]
BENCH = REPO / "tools" / "bench"
RESULTS = REPO / ".cache" / "bench"
BIN = Path(sys.executable).parent
PASSWORD = "Passw0rd!"  # of the emulator's default users
TASKS = 10
"""VMs of each session."""
RUNS = 100
"""Runs of one plan that are read from a history."""
LONG = 5.0
"""Seconds; a peer that takes longer is measured in fewer rounds."""


# What is measured


@dataclass(frozen=True)
class Peer:
    """A command; ``{sessions}`` in it is the number of sessions.

    :param rounds: maximum number, however short it is.
    :param counts: whether it prints what it found, and its seconds after imports.
    """

    name: str
    command: tuple[str, ...]
    rounds: int = 5
    counts: bool = False


def playbook(name: str, file: str, *variables: str, rounds: int = 5) -> Peer:
    given = " ".join(("expected={sessions}", *variables))
    return Peer(name, (str(BIN / "ansible-playbook"), str(BENCH / "playbooks" / file), "-e", given), rounds)


def script(name: str, *arguments: str) -> Peer:
    return Peer(name, (sys.executable, str(BENCH / arguments[0]), *arguments[1:]), counts=True)


def inventory(name: str, file: str) -> Peer:
    return Peer(name, (str(BIN / "ansible-inventory"), "--list", "-i", str(BENCH / "inventory" / file)))


PING = playbook("ping", "ping.yml")
MODULE = playbook("module", "module.yml")
QUERY = playbook("query", "query.yml")
LOOP = playbook("loop", "loop.yml", rounds=1)
FIELDS = playbook("fields", "fields.yml")
LOOK = playbook("look", "look.yml")
RECORDED = playbook("recorded", "recorded.yml")
HANDED_OVER = playbook("handed over", "ready.yml")
FLOOR = script("floor", "floor.py")
CLIENT = script("client", "client.py", "list")
EACH = script("each", "client.py", "each")
IN_TURN = script("in turn", "client.py", "one-page-at-a-time")
SAVE = script("save", "client.py", "save")
PLAIN = inventory("plain", "plain.veeam_em.yml")
CACHED = inventory("cached", "cached.veeam_em.yml")
READY = inventory("ready", "ready.sh")


@dataclass(frozen=True)
class Stage:
    """Peers that are measured in turn on one server.

    :param before: what runs once unmeasured, so that the server has rendered what it sends.
    :param rounds: maximum number.
    """

    sessions: int
    peers: tuple[Peer, ...]
    latency_ms: int = 0
    before: tuple[Peer, ...] = (FLOOR,)
    rounds: int = 5


_ALL = (PING, MODULE, QUERY, LOOP, FLOOR, CLIENT, EACH)
STAGES = (
    Stage(1, _ALL, before=_ALL),
    Stage(200, (*_ALL, FIELDS, HANDED_OVER, LOOK), before=(FLOOR, QUERY, SAVE, LOOK)),
    Stage(200, (MODULE, QUERY, FLOOR, CLIENT), latency_ms=50, before=(FLOOR, QUERY)),
    Stage(200, (MODULE, QUERY, FLOOR, CLIENT), latency_ms=200, before=(FLOOR, QUERY)),
    Stage(400, (EACH,)),
    Stage(4_000, (PING, FIELDS, HANDED_OVER, MODULE, FLOOR, CLIENT, EACH), before=(FLOOR, SAVE)),
    Stage(4_000, (MODULE, FLOOR, CLIENT, IN_TURN), latency_ms=50),
    Stage(4_000, (MODULE, FLOOR, CLIENT, IN_TURN), latency_ms=200),
    Stage(20_000, (FIELDS, MODULE, FLOOR, CLIENT, EACH), rounds=1),
    Stage(1_000, (PLAIN, CACHED, READY), before=(FLOOR, CACHED)),
)
QUICK = (
    Stage(1, _ALL, before=_ALL, rounds=1),
    Stage(
        200,
        (PING, FIELDS, HANDED_OVER, LOOK, MODULE, QUERY, FLOOR, CLIENT),
        before=(FLOOR, QUERY, SAVE, LOOK),
        rounds=1,
    ),
    Stage(1_000, (FLOOR, CLIENT, EACH, IN_TURN), latency_ms=50, rounds=1),
    Stage(100, (PLAIN, CACHED, READY), before=(FLOOR, CACHED), rounds=1),
)


# How it is measured


@dataclass
class Row:
    """The figures of one peer in one stage, one for each round.

    :ivar inside: seconds after imports, of peers that print them.
    :ivar processor: seconds of processor time of the process and all that it started.
    :ivar memory: MiB, peak of the process or of the largest one that it started.
    :ivar in_flight: maximum number of requests that the server worked on at the same time.
    :ivar requests: number of requests that the server got.
    """

    sessions: int
    latency_ms: int
    peer: str
    seconds: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)


class Server:
    """The emulator, in a process of its own, and the environment of its clients."""

    def __init__(self, folder: Path, where: dict[str, str]) -> None:
        self.folder = folder
        self._url = where["url"]
        self._tls = ssl.create_default_context(cafile=where["ca_path"])
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(REPO / ".ansible" / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
            "ANSIBLE_INVENTORY_CACHE_CONNECTION": str(folder / "cache"),
            "BENCH_READY_FACTS": str(folder / "facts.json"),
            "BENCH_READY_HOSTS": str(folder / "hosts.json"),
            "VEEAM_EM_URL": where["url"],
            "VEEAM_EM_CA_PATH": where["ca_path"],
            "VEEAM_EM_USERNAME": "reader",
            "VEEAM_EM_PASSWORD": PASSWORD,
            "VEEAM_EM_STORE": str(folder / "history.db"),
        }

    def counters(self) -> dict[str, Any]:
        with urlopen(f"{self._url}/emulator/counters", context=self._tls) as reply:
            counters: dict[str, Any] = json.load(reply)
            return counters

    def reset(self) -> None:
        urlopen(Request(f"{self._url}/emulator/reset", method="POST"), context=self._tls).close()


@contextmanager
def serving(stage: Stage) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="veeam-em-bench-") as name:
        folder = Path(name)
        ready = folder / "ready.json"
        options = ["--port", "0", "--tls", name, "--ready-file", str(ready), "--no-documented", "--running", "0"]
        size = ["--sessions", str(stage.sessions), "--tasks", str(TASKS), "--latency-ms", str(stage.latency_ms)]
        server = subprocess.Popen(
            [sys.executable, str(BENCH / "server.py"), *options, *size], stdout=subprocess.DEVNULL
        )
        try:
            while not ready.exists():
                if server.poll() is not None:
                    sys.exit("The emulator did not start")
                time.sleep(0.02)
            yield Server(folder, json.loads(ready.read_text(encoding="utf-8")))
        finally:
            server.terminate()
            server.wait()


def run_once(peer: Peer, stage: Stage, server: Server, row: Row) -> None:
    """One run of a peer, whose figures are added to the row. A run that does not find all sessions ends the benchmark."""
    command = [part.format(sessions=stage.sessions) for part in peer.command]
    printed = server.folder / "printed"
    server.reset()
    with printed.open("wb") as output, (server.folder / "errors").open("wb") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=server.environment,
            cwd=server.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if peer in (PLAIN, CACHED, READY) else output,
            stderr=errors,
        )
        _pid, status, used = os.wait4(process.pid, 0)
        row.seconds.append(time.perf_counter() - start)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        output_text = printed.read_text(encoding="utf-8") + (server.folder / "errors").read_text(encoding="utf-8")
        sys.exit(f"{' '.join(command)} failed:\n{output_text}")
    counters = server.counters()
    row.processor.append(used.ru_utime + used.ru_stime)
    row.memory.append(used.ru_maxrss / 1024)
    row.in_flight.append(counters["max_in_flight"])
    row.requests.append(counters["requests"])
    if peer.counts:
        found = json.loads(printed.read_text(encoding="utf-8"))
        if (found["sessions"], found["vms"]) != (stage.sessions, stage.sessions * TASKS):
            sys.exit(f"{' '.join(command)} found {found}")
        row.inside.append(found["seconds"])


def make_ready_hosts(stage: Stage, server: Server) -> None:
    """Write what the script inventory prints: the hosts and variables of the plugin."""
    with (server.folder / "hosts.json").open("wb") as output:
        listing = subprocess.Popen(PLAIN.command, env=server.environment, cwd=server.folder, stdout=subprocess.PIPE)
        maker = [sys.executable, str(BENCH / "ready_hosts.py"), str(stage.sessions * TASKS)]
        subprocess.run(maker, stdin=listing.stdout, stdout=output, check=True)
        if listing.wait():
            sys.exit("The inventory cannot be read")


def measure(stage: Stage) -> list[Row]:
    rows = {peer.name: Row(stage.sessions, stage.latency_ms, peer.name) for peer in stage.peers}
    with serving(stage) as server:
        for peer in stage.before:
            run_once(peer, stage, server, Row(stage.sessions, stage.latency_ms, peer.name))
        if READY in stage.peers:
            make_ready_hosts(stage, server)
        for done in range(stage.rounds):
            for peer in stage.peers:
                row = rows[peer.name]
                if done < min(peer.rounds, 3 if done and row.seconds[0] > LONG else 5):
                    run_once(peer, stage, server, row)
    return list(rows.values())


def measure_history(sessions: int, more: int) -> dict[str, Any]:
    """The figures of history.py, and the seconds of a playbook that reads runs from its history beside one that does nothing."""
    stage = Stage(RUNS, (PING, RECORDED))
    rows = {peer: Row(RUNS, 0, peer.name) for peer in stage.peers}
    with serving(stage) as server:
        figures = measure_script("history.py", server.environment["VEEAM_EM_STORE"], sessions, more)
        for _round in range(stage.rounds + 1):
            for peer, row in rows.items():
                run_once(peer, stage, server, row)
    # The first round only warms up.
    return {**figures, "reading": rows[RECORDED].seconds[1:], "ping": rows[PING].seconds[1:]}


def measure_script(name: str, *arguments: str | int) -> dict[str, Any]:
    """The figures of a script in tools/bench that prints them as JSON."""
    command = [sys.executable, str(BENCH / name), *map(str, arguments)]
    figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return figures


def main(arguments: list[str]) -> int:
    quick = "--quick" in arguments
    start = time.monotonic()
    load = os.getloadavg()[0]
    rows: list[Row] = []
    for stage in QUICK if quick else STAGES:
        print(f"{time.monotonic() - start:4.0f} s: {stage.sessions:,} sessions, {stage.latency_ms} ms", flush=True)
        rows += measure(stage)
    print(f"{time.monotonic() - start:4.0f} s: history", flush=True)
    history = measure_history(*((2_000, 4_000) if quick else (20_000, 100_000)))
    print(f"{time.monotonic() - start:4.0f} s: portfolio", flush=True)
    portfolio = measure_script("portfolio.py", *((50, 20, 20) if quick else (500, 20, 60)))
    results = {
        "quick": quick,
        "load": load,
        "seconds": time.monotonic() - start,
        "rows": list(map(asdict, rows)),
        "history": history,
        "portfolio": portfolio,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / ("quick.json" if quick else "results.json")
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return subprocess.run([sys.executable, str(BENCH / "report.py"), str(path)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
