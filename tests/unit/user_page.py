# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The code blocks of the pages that users read, and the shell of a user who runs them, with stand-ins for what no test can reach."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pty
import re
import shutil
import sys
import tarfile
import textwrap
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import programs

REPO = Path(__file__).resolve().parents[2]
COLLECTION = Path(programs.COLLECTIONS, "ansible_collections", "dr_runbook", "veeam_em").resolve()
PASSWORD = "Passw0rd!"
USERS = ("DOMAIN\\user", "DOMAIN\\robot", "DR\\robot")
_BLOCK = re.compile(r"^( *)```(?P<language>\w*)\n(?P<code>.*?)^\1```$", re.MULTILINE | re.DOTALL)
_RST_BLOCK = re.compile(r"^\.\. code-block:: (?P<language>\S+)\n(?P<code>(?:\n|   .*\n)+)", re.MULTILINE)
_NAME = re.compile(r"# (\S+\.(?:yml|py))(?=[\s:])")
_ROOTS = re.compile(r"(?<![\w.~*-])/(?=(?:srv|var/lib|etc/dr|etc/ssl|path/to)/)")
_STAND_IN = """#!/bin/sh
# A stand-in of a test: it keeps its arguments, one a line.
{{ echo {name}; printf '%s\\n' "$@"; echo; }} >>"$CALLS"
{then}
"""
STAND_INS = {
    "git": 'test "$1" = clone && cp -R --preserve=mode,timestamps,links "$CHECKOUT" "$(basename "$2")"',
    "pip": "",
    "podman": "",
    "ansible-builder": "",
    "chromium": "",
}
HOW = ("run", "checked", "stand-in")


def pages() -> list[str]:
    """All that users read, but the evidence, which is about Enterprise Manager."""
    found = ["README.md", *(path.relative_to(REPO).as_posix() for path in REPO.glob("docs/*.md"))]
    found += [
        path.relative_to(REPO).as_posix()
        for path in (*REPO.glob("roles/*/README.md"), *REPO.glob("docs/docsite/rst/*"))
    ]
    return sorted(set(found) - {"docs/evidence.md"})


@dataclass
class Block:
    """
    :ivar how: one of HOW when a test has taken it.
    """

    language: str
    text: str
    how: str = ""

    @property
    def name(self) -> str:
        """That of the file, which its first line gives."""
        found = _NAME.match(self.text)
        return found[1] if found else ""


def blocks(page: str) -> list[Block]:
    text = (REPO / page).read_text(encoding="utf-8")
    pattern = _RST_BLOCK if page.endswith(".rst") else _BLOCK
    return [Block(found["language"], textwrap.dedent(found["code"]).lstrip("\n")) for found in pattern.finditer(text)]


class Page:
    """The blocks of a page, and a folder with all its files in which its commands run, in bash, one after the other.

    A block is taken by a part of its text, and a file also by a command that names it. Host, port and paths of the machine are replaced.

    :ivar calls: of the stand-ins.
    """

    def __init__(self, name: str, folder: Path, em: Any, **environment: str) -> None:
        self.name = name
        self.folder = folder
        self.blocks = blocks(name)
        self.replaced = {
            "https://localhost:9398": em.url,
            "https://em.example.com:9398": em.url,
            "em.example.com:9398": em.url.removeprefix("https://"),
            "em.example.com": "localhost",
        }
        home, programs_folder, link = (
            folder / part
            for part in ("home", "bin", "home/.ansible/collections/ansible_collections/dr_runbook/veeam_em")
        )
        link.parent.mkdir(parents=True)
        link.symlink_to(COLLECTION, target_is_directory=True)
        programs_folder.mkdir()
        for program, then in STAND_INS.items():
            path = programs_folder / program
            path.write_text(_STAND_IN.format(name=program, then=then), encoding="utf-8")
            path.chmod(0o755)
        inherited = programs.ansible_environment(home)
        unwanted = ("ANSIBLE_", "MAKE", "MFLAGS", "PYTEST_", "COV_")
        self.environment = {
            **{name: value for name, value in inherited.items() if not name.startswith(unwanted)},
            "HOME": str(home),
            "PATH": f"{programs_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "true",
            "PIP_NO_INDEX": "1",
            "CALLS": str(folder / "calls"),
            "VEEAM_EM_URL": em.url,
            "VEEAM_EM_CA_PATH": em.ca_path,
            "VEEAM_EM_USERNAME": "admin",
            "VEEAM_EM_PASSWORD": PASSWORD,
            **environment,
        }
        for unset in ("VENV", "PYTHON", "GROUP", "REQUIREMENTS"):
            self.environment.pop(unset, None)
        self.cwd = folder
        shutil.copy(em.ca_path, folder / "em.pem")
        for block in self.blocks:
            if block.name:
                self.write(block.name, block.text)

    def path(self, name: str) -> Path:
        """Of a file of the page; those of the whole machine are in the folder, too."""
        return self.folder / name.lstrip("/")

    def write(self, name: str, text: str) -> Path:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.here(text), encoding="utf-8")
        return path

    def here(self, text: str) -> str:
        """A text of the page for this machine."""
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return _ROOTS.sub(f"{self.folder}/", text)

    def take(self, part: str, how: str = "run") -> str:
        """The text of the one block that starts with this part, or has it."""
        assert how in HOW
        found = [block for block in self.blocks if block.text.startswith(part)]
        found = found or [block for block in self.blocks if part in block.text]
        assert len(found) == 1, f"{self.name} has {len(found)} blocks with: {part}"
        found[0].how = found[0].how or how
        return found[0].text

    def save(self, part: str, name: str, more: str = "") -> str:
        """Write the block with this part to a file."""
        self.write(name, self.take(part) + more)
        return name

    def play(self, name: str, before: str, *parts: str) -> str:
        """Write a playbook that runs these tasks, and then the blocks of tasks with these parts, as they are."""
        play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n" + textwrap.indent(before, "    ")
        for number, part in enumerate(parts):
            file = self.save(part, f"{name}-{number}.yml")
            play += f"    - ansible.builtin.include_tasks: {file}\n"
        self.write(name, play)
        return name

    def run(self, part: str, status: int = 0, typed: str = "", piped: str | None = None, **replaced: str) -> str:
        """Run a shell block; returns the output."""
        text = self.take(part)
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        return self.bash(text, status, typed, piped)

    def bash(self, text: str, status: int = 0, typed: str = "", piped: str | None = None) -> str:
        """Run commands; variables and folder stay for the next ones.

        :arg typed: on a terminal, before anybody asks.
        :arg piped: the input without one, for what forgets what was typed before it asks, as psql does.
        """
        self._take_named(text)
        state = self.folder / "state"
        script = f'set -eo pipefail\n{self.here(text)}\npwd >"{state}"; env -0 >>"{state}"\n'
        master, terminal = pty.openpty() if typed else (None, None)
        try:
            if master is not None:
                os.write(master, typed.encode())
            done = programs.run(
                ["bash", "-c", script],
                piped,
                cwd=self.cwd,
                env=self.environment,
                stdin=programs.subprocess.DEVNULL if terminal is None else terminal,
            )
        finally:
            for descriptor in (master, terminal):
                if descriptor is not None:
                    os.close(descriptor)
        assert done.returncode == status, f"{text}\n{done.output}"
        if state.exists():
            folder, variables = state.read_text(encoding="utf-8").split("\n", 1)
            self.cwd = Path(folder)
            self.environment = dict(item.split("=", 1) for item in variables.split("\0") if item)
            state.unlink()
        return done.output

    def _take_named(self, command: str) -> None:
        for block in self.blocks:
            if block.name and re.search(rf"(?<![\w.-]){re.escape(block.name)}(?![\w.-])", command):
                block.how = block.how or "run"

    @property
    def calls(self) -> list[list[str]]:
        path = self.folder / "calls"
        return (
            [call.splitlines() for call in path.read_text(encoding="utf-8").split("\n\n") if call]
            if path.exists()
            else []
        )

    def left(self) -> list[str]:
        """The blocks that no test took."""
        return [block.text for block in self.blocks if not block.how]

    def counts(self) -> dict[str, int]:
        found = Counter(block.how for block in self.blocks)
        return {how: found[how] for how in HOW}


def copy_of_checkout(folder: Path) -> Path:
    """The checkout as a new clone of it, with the Python of this process as its venv, so that make installs nothing."""
    kept_out = shutil.ignore_patterns(
        ".git", ".venv*", ".ansible", ".cache", ".*_cache", "build", "context", "__pycache__"
    )
    shutil.copytree(REPO, folder, symlinks=True, ignore=kept_out)
    for name in ("pyproject.toml", "tests/emulator/requirements.txt"):
        os.utime(folder / name, (0, 0))
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        if not path.name.startswith("."):
            (folder / ".venv" / path.name).symlink_to(path)
    (folder / ".venv" / ".ready").touch()
    return folder


@contextmanager
def serving(
    handler: type[BaseRequestHandler], kind: type[ThreadingTCPServer] = ThreadingHTTPServer
) -> Iterator[ThreadingTCPServer]:
    """A server of a test in this process, on the web unless another kind is given."""
    with kind(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@contextmanager
def galaxy(*artifacts: Path) -> Iterator[str]:
    """A stand-in for Galaxy that has these collections; gives its address, for ANSIBLE_GALAXY_SERVER."""
    collections: dict[str, Path] = {}
    for artifact in artifacts:
        namespace, name, version = artifact.name.removesuffix(".tar.gz").split("-")
        collections[f"{namespace}/{name}/versions/{version}/"] = artifact

    class Galaxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, dummy, dummy = self.path.partition("?")
            content = json.dumps(self._answer(path)).encode() if "/files/" not in path else self._file(path)
            self.send_response(404 if content == b"null" else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _file(self, path: str) -> bytes:
            return collections[path.partition("/files/")[2].removesuffix("collection.tar.gz")].read_bytes()

        def _answer(self, path: str) -> Mapping[str, Any] | None:
            if path.rstrip("/") == "/api":
                return {"available_versions": {"v3": "v3/"}}
            base, dummy, asked = path.partition("/v3/collections/")
            found = [key for key in collections if key.startswith(asked)]
            if not found or not asked:
                return None
            namespace, name, dummy, version, dummy = found[0].split("/")
            if asked.endswith("/versions/"):
                return {"meta": {"count": 1}, "links": {"next": None}, "data": [{"version": version}]}
            if asked not in collections:
                return {"created_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-01T00:00:00Z"}
            host = f"http://127.0.0.1:{self.server.server_port}"
            return {
                "namespace": {"name": namespace},
                "collection": {"name": name},
                "version": version,
                "href": path,
                "download_url": f"{host}/files/{asked}collection.tar.gz",
                "artifact": {"sha256": hashlib.sha256(collections[asked].read_bytes()).hexdigest()},
                "metadata": {"dependencies": {}},
                "signatures": [],
            }

        def log_message(self, *arguments: Any) -> None:
            pass

    with serving(Galaxy) as server:
        yield f"http://127.0.0.1:{server.server_port}/api/"


def artifact(folder: Path, namespace: str, name: str, version: str, files: Mapping[str, str]) -> Path:
    """The artifact of a collection with these files."""

    def entry(path: str, content: str) -> dict[str, Any]:
        digest = hashlib.sha256(content.encode()).hexdigest()
        return {"name": path, "ftype": "file", "chksum_type": "sha256", "chksum_sha256": digest, "format": 1}

    folders = sorted({str(parent) for path in files for parent in Path(path).parents})
    of_folders = [
        {"name": path, "ftype": "dir", "chksum_type": None, "chksum_sha256": None, "format": 1} for path in folders
    ]
    listed = json.dumps({"files": [*of_folders, *(entry(*item) for item in files.items())], "format": 1})
    info = {"namespace": namespace, "name": name, "version": version, "authors": [], "dependencies": {}, "tags": []}
    manifest = json.dumps({"collection_info": info, "file_manifest_file": entry("FILES.json", listed), "format": 1})
    path = folder / f"{namespace}-{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member in folders:
            directory = tarfile.TarInfo(member)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(directory)
        for member, content in {"MANIFEST.json": manifest, "FILES.json": listed, **files}.items():
            file = tarfile.TarInfo(member)
            file.size, file.mode = len(content.encode()), 0o644
            archive.addfile(file, io.BytesIO(content.encode()))
    return path
