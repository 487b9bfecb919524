# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.constants import LOCALHOST
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._host_names import (
    CONTROLLER,
    folded,
    means_controller,
    reason_against,
)

# fmt: off
LOCAL_NAMES = [
    "LOCALHOST", "localhost.", "localhost.localdomain", "localhost4", "localhost6", "localhost4.localdomain4",
    "localhost6.localdomain6", "ip6-localhost", "ip6-loopback", "x.localhost", "localhost:22",
    "root@localhost", "root@localhost:22", "localhost#x", "localhost?x", "localhost/x", "localhost\\x",
    "ｌｏｃａｌｈｏｓｔ", "local\u200bhost", "ſlocal.localhost", "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1",
    "127.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "2130706433", "0", "0.0.0.0", "127.0.0.1:22",
    "１２７.0.0.1", "127。0。0。1", "::1", "::", "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001",
    "::0001", "[::1]", "[::1]:22", "::1%lo", "::ffff:127.0.0.1", "::FFFF:7F00:1", "root@::1",
    "localhost\u00a0",
]
# fmt: on
# fmt: off
OTHER_NAMES = [
    "localhost1", "mylocalhost", "localhost-abc", "localhost.dr.example.com", "locahost", "128.0.0.1",
    "10.0.0.1", "12.7.0.0", "1e3", "127-0-0-1", "127.0.0.1.example.com", "127.0.0.1.2", "::2", "fe80::1",
    "::ffff:10.0.0.1", "[::2]", "db01", "0x", "1271", "all",
]
# fmt: on


@pytest.mark.parametrize("name", [*LOCALHOST, *LOCAL_NAMES, " localhost", "localhost\n", "*"])
def test_names_of_the_controller(name):
    assert means_controller(name)
    assert reason_against(name) == CONTROLLER


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_names_that_only_resemble_those_of_the_controller(name):
    assert not means_controller(name)
    assert reason_against(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "a\u00a0b",
        "a\tb",
        "a\u2028b",
        "a\x85b",
        "a\u3164",
        "a\ufe0f",
        "a\u00ad",
        "a\x00",
        "a\x1b[2J",
        "\ud800",
        " a",
        "a ",
        "\U000e0041",
    ],
)
def test_what_nobody_sees(name):
    assert "invisible" in reason_against(name)


@pytest.mark.parametrize("name", ["/etc", "a/b", "..", ".", "db.YAML", "db.json", "/", "a/../b"])
def test_names_of_files(name):
    assert "files" in reason_against(name)


@pytest.mark.parametrize(
    "name", ["x" * 253, "é" * 126, "web[1:3]", "a,b", "日本 1", "...", "a.yml.example.com", "$(id)", "fe80::2:3", "{}"]
)
def test_names_that_are_fine(name):
    assert reason_against(name) is None


def test_names_are_compared_as_a_reader_does():
    assert folded("Straße\u200b ") == folded("STRASSE") == "strasse"
    assert folded("ＤＢ０１") == "db01"
    assert folded("db01") != folded("dbО1")  # a Cyrillic letter: not told apart by the eye, but by everything else
