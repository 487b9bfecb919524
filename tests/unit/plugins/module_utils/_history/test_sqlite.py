# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history import sqlite
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.errors import HistoryError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.verify import verify


def refused(location, **options):
    """The sentence with which a history cannot be opened, which names it."""
    with pytest.raises(HistoryError) as caught:
        open_store(str(location), **options)
    sentence = str(caught.value)
    assert sentence.endswith(f" ({location})") and "\n" not in sentence
    return sentence


@pytest.fixture
def public():
    """A folder that every user of the machine can get to."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_its_user_may_read_the_file(file, umask, make):
    before = os.umask(umask)
    try:
        with open_store(file, create=True) as store:
            store.append([make.session(1)])
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert os.listdir(os.path.dirname(file)) == ["history.db"]


def test_what_is_missing_is_only_created_where_that_is_asked_for(file, tmp_path):
    for options in ({}, {"read_only": True}):
        assert refused(file, **options).startswith("There is no history yet. Record with failover_history first.")
        assert os.listdir(tmp_path) == []
    Path(file).touch()  # as a process leaves it that is killed right after it has created the file
    assert refused(file).startswith("There is no history yet.")
    with open_store(file, create=True):
        pass


def test_a_path_may_have_a_tilde_and_characters_of_urls(tmp_path, monkeypatch, make):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NAME", "a?b#c%41&mode=ro")
    with open_store("~/$NAME é.db", create=True) as store:
        store.append([make.session(1)])
        assert store.location == str(tmp_path / "a?b#c%41&mode=ro é.db")
    assert os.listdir(tmp_path) == ["a?b#c%41&mode=ro é.db"]


@pytest.mark.parametrize("create", [True, False])
def test_a_folder(tmp_path, create):
    assert refused(tmp_path, create=create).startswith("The history is a folder. Give a file as store")
    missing = tmp_path / "none" / "history.db"
    assert refused(missing, create=create).startswith(f"The folder {tmp_path}/none of the history does not exist.")
    assert os.listdir(tmp_path) == []


def test_a_python_without_sqlite(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    assert f"needs the Python module sqlite3, which {sys.executable} does not have. Install" in refused(
        file, create=True
    )
    assert not os.path.exists(file)


@pytest.mark.parametrize("location", ["", "  "])
def test_no_store(location):
    with pytest.raises(HistoryError, match="^No store is given. Give a file, or postgresql:"):
        open_store(location, create=True)


@pytest.mark.parametrize("location", ["mysql://user:geheim@host/db", "sqlite:////tmp/geheim", "https://geheim@host"])
def test_another_scheme(location):
    with pytest.raises(
        HistoryError, match="^A history cannot be kept in .*Give the path of a file, or postg"
    ) as caught:
        open_store(location, create=True)
    assert "geheim" not in str(caught.value)


# What is in the file


@pytest.mark.parametrize(
    "content", [b"x", b"hosts: all\n", b"text\n" * 999, b"\0" * 4096, b"PK\x03\x04" + b"\xff" * 5000]
)
@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database(file, content, create):
    Path(file).write_bytes(content)
    assert "is not a SQLite database. Give another file" in refused(file, create=create)
    assert Path(file).read_bytes() == content


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE hosts (name)",
        "CREATE TABLE store (key, value)",
        "CREATE TABLE record (id); CREATE TABLE store (key, value); CREATE TABLE session_index (x)",
    ],
)
def test_a_database_of_another_application(file, sql):
    with sqlite3.connect(file) as other:
        other.executescript(sql)
    before = Path(file).read_bytes()
    for create in (True, False):
        assert "belongs to another application. Give another file" in refused(file, create=create)
    assert Path(file).read_bytes() == before


def test_a_newer_schema(file, make):
    with open_store(file, create=True) as store:
        store.append([make.session(1)])
        store.query("INSERT INTO store VALUES ('schema_2', 'later')")
    for create in (True, False):
        assert "newer release of this collection (schema 2, here 1). Update the collection." in refused(
            file, create=create
        )


def test_a_damaged_file(file, make):
    with open_store(file, create=True) as store:
        store.append([make.session(number, text="x" * 500) for number in range(200)])
    whole = Path(file).read_bytes()
    seen = set()
    for at in range(0, len(whole), 4096):
        Path(file).write_bytes(whole[:at] + os.urandom(4096) + whole[at + 4096 :])
        try:
            with open_store(file, create=True) as store:
                problems = verify(store)
                # A page that nothing but an index of SQLite needs may go unnoticed here.
                seen.add(bool(problems))
        except HistoryError as exc:
            seen.add(str(exc).partition(". ")[0])
    assert {"The history is damaged", "The history is not a SQLite database"} <= seen
    Path(file).write_bytes(whole[: len(whole) // 2])
    with (
        pytest.raises(HistoryError, match="The history is damaged. Nothing was recorded. Restore"),
        open_store(file) as store,
    ):
        verify(store)


# What the machine does


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 300 KiB, or None where this user cannot mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", folder], capture_output=True, check=False
    )
    yield None if mount.returncode else folder
    if not mount.returncode:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk(file, small_disk, make):
    with open_store(str(small_disk / "history.db") if small_disk else file, create=True) as store:
        if not small_disk:
            store.query("PRAGMA max_page_count = 60")
        store.append([make.session(1)])
        head = store.head()
        with pytest.raises(
            HistoryError, match="could not be written: the disk is full. Nothing was recorded. Free some space"
        ):
            store.append(make.session(number, text="x" * 1000) for number in range(2, 500))
        assert store.head() == head
        assert verify(store) == []
        assert store.append([make.session(2)]) == {"session": 1}


def test_no_space_for_a_new_history(small_disk):
    if small_disk:
        (small_disk / "rest").write_bytes(b"x" * (300 * 1024 - 4096))
        with pytest.raises(HistoryError, match="the disk is full"):
            open_store(str(small_disk / "history.db"), create=True)
        (small_disk / "rest").unlink()
        with open_store(str(small_disk / "history.db"), create=True) as store:
            assert verify(store) == []


def test_a_file_that_may_only_be_read(public, unprivileged, make):
    file = public / "history.db"
    with open_store(str(file), create=True) as store:
        store.append([make.session(1)])
        head = store.head()
    file.chmod(0o444)
    with unprivileged():
        with open_store(str(file), read_only=True) as store:
            assert store.head() == head and verify(store) == []
        with (
            open_store(str(file), create=True) as store,
            pytest.raises(HistoryError, match="cannot be written: the file or"),
        ):
            store.check_writable()
    file.chmod(0o000)
    with unprivileged():
        assert "cannot be opened by this user" in refused(file, create=True)


def test_a_folder_that_may_only_be_read(public, unprivileged, make):
    with unprivileged():
        if os.geteuid() != os.stat(public).st_uid:
            assert "cannot be created (Permission denied). Check owner" in refused(public / "history.db", create=True)
    file = public / "history.db"
    with open_store(str(file), create=True):
        pass
    file.chmod(0o666)
    public.chmod(0o555)
    with unprivileged(), open_store(str(file), create=True) as store:
        with pytest.raises(HistoryError, match="Check owner and permissions"):
            store.check_writable()
        with pytest.raises(HistoryError, match="Check owner and permissions"):
            store.append([make.session(1)])
        assert store.head()["sequence"] == 0


def test_another_process_that_does_not_let_go(file, make, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    with open_store(file, create=True) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            HistoryError, match="another process has locked it for more than .* seconds. Nothing was recorded. Try"
        ):
            store.append([make.session(1)])
        assert store.head()["sequence"] == 0  # reading goes on
        other.execute("COMMIT")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(HistoryError, match="another process has locked it"):
            store.head()
        other.close()
        assert store.append([make.session(1)]) == {"session": 1}


def test_killed_at_any_step(file, start_writer):
    """The journal of a writer that was killed is still there, and whoever comes next has to roll it back, also to read."""
    whole, journals = {0}, 0
    for steps in range(50, 60_000, 8_191):
        writer = start_writer(file, steps, 50, steps)
        told = [int(line) for line in writer.communicate()[0].split()]
        assert writer.returncode == -9
        journals += os.path.exists(f"{file}-journal")
        with open_store(file, read_only=True) as store:
            assert verify(store) == []
            assert store.head()["sequence"] in {
                told[-1] if told else max(whole),
                (told[-1] if told else max(whole)) + 41,
            }
            whole.add(store.head()["sequence"])
    assert journals > 2 and all(sequence % 41 == 0 for sequence in whole)
    assert start_writer(file, "last", 1).wait() == 0


def test_who_reads_cannot_write(file, make):
    with open_store(file, create=True):
        pass
    with open_store(file, read_only=True) as store, pytest.raises(HistoryError, match="cannot be written"):
        store.append([make.session(1)])


# Network file systems

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:1 / / rw,relatime shared:1 - {root} /dev/vda1 rw
40 27 0:40 / {point} rw,nosuid shared:2 master:3 - {kind} server:/export rw,vers=4.2
"""


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    def mount(point, kind, root="ext4"):
        text = MOUNTS.format(point=str(point).replace(" ", "\\040"), kind=kind, root=root)
        path = tmp_path / "mountinfo"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(sqlite, "MOUNTS", str(path))

    return mount


@pytest.mark.parametrize(
    "kind", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "fuse.glusterfs", "afs"]
)
def test_a_network_file_system(tmp_path, mounted, kind):
    folder = tmp_path / "a b"
    folder.mkdir()
    mounted(folder, kind)
    for create in (True, False):
        sentence = refused(folder / "history.db", create=create)
        assert f"cannot be on a network file system ({kind})" in sentence and "locks" in sentence
        assert "Give a file on a local disk, or PostgreSQL (postgresql://" in sentence
    assert list(folder.iterdir()) == []
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(HistoryError, match="network"):
        open_store(str(link / "history.db"), create=True)
    mounted(tmp_path / "history.db", kind)  # as a container has it
    assert f"network file system ({kind})" in refused(tmp_path / "history.db", create=True)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "fuse.fuse-overlayfs"])
def test_a_local_file_system(file, tmp_path, mounted, kind):
    mounted(tmp_path, kind, root="nfs4")  # the machine started over the network; the mount nearest to the file counts
    with open_store(file, create=True):
        pass


def test_a_neighbour_of_a_network_file_system(file, tmp_path, mounted):
    mounted(f"{str(tmp_path)[:-1]}", "nfs")
    with open_store(file, create=True):
        pass


def test_a_platform_that_does_not_say_what_is_mounted(file, monkeypatch):
    monkeypatch.setattr(sqlite, "MOUNTS", "/nowhere/mountinfo")
    with open_store(file, create=True):
        pass
