# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which names may become hosts: tenants choose the names of VMs, and a name can mean something else than the VM.

A name is refused if, as a host, it

* means the controller: tasks for ``localhost``, with their secrets, would run on the VM, or tasks for the VM on the controller;
* begins with ``-``: ssh would take it as an option, and ``-oProxyCommand=...`` runs a command on the controller;
* names a file: Ansible looks for ``host_vars/NAME``, so ``../group_vars/prod`` or ``db01.yml`` gets the variables of others;
* looks like a template: host names lose their mark as text where an inventory is exported, as AWX does, and ansible-core 2.16
  would run it there;
* has a single colon: ``add_host`` and AWX take ``db:22`` for port 22 of the host ``db``;
* has characters that nobody sees: it looks like another name, or like another line of a log;
* begins with ``__ansible_``: in JSON, Ansible takes it for its own mark, and loses the variables of all hosts;
* is longer than a file name may be: fact caches have a file for each host.

Names that are patterns (``!neg``, ``~regex``, ``a,b``, ``web[1:3]``) are fine as hosts, since a pattern is only read where a
play or a limit gives one. So are quotes, blanks inside, and the special characters of shells: nothing here gives a name to a shell.
(ssh does with a ``ProxyCommand`` that has ``%h``. It has refused such names since 9.6, and with the fixes that distributions took over.)
The name of the machine that runs Ansible is fine, too: the answer must not depend on the machine (AWX reads an inventory
in one container and uses it in another), and every name that the provider's DNS knows means a machine of the provider. The cure for
all of them is an ``ansible_host`` in a domain of the tenants.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata

from ansible import constants

CONTROLLER = "their names mean the controller"
MAX_BYTES = 253
"""Longest DNS name; file names of 255 bytes are possible."""

_LOCAL_NAME = re.compile(r"(.+\.)?localhost|(localhost|ip6-localhost|loopback|ip6-loopback)[46]?(\.localdomain[46]?)?")
# Besides what does not print (control and format characters, special blanks): letters, marks and symbols without ink.
_WITHOUT_INK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def reason_against(name: str) -> str | None:
    """Why VMs of this name give no hosts, to follow "because"; None if they may."""
    folded_name = folded(name)
    if means_controller(name):
        return CONTROLLER
    if name.startswith("-"):
        return "ssh takes a name that starts with - as an option"
    endings = tuple(constants.YAML_FILENAME_EXTENSIONS)
    if "/" in name or name in (".", "..") or folded_name.endswith(endings):
        return "Ansible takes their names for files with variables of others"
    if re.search(r"\{[{%#]", name):
        return "their names look like templates"
    if re.fullmatch(r"[^:\[\]]*:[^:\[\]]*|\[.*\]:\d*", name):
        return "AWX and add_host take the end of their names for a port"
    if any(map(_is_unseen, name)) or name != name.strip():
        return "their names have invisible characters or blanks at an end"
    if folded_name.startswith("__ansible_"):
        return "Ansible marks its own data with such names"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return f"their names have more than {MAX_BYTES} bytes"
    return None


def means_controller(address: str) -> bool:
    """Whether a host name or address leads to the machine that runs Ansible, however it is written.

    Ansible treats some names as the controller (``localhost``), programs resolve others to it (``127.1``, ``::``, ``*``, ``root@LOCALHOST.``).
    """
    host = re.split(r"[#?/\\]", folded(address))[0].rpartition("@")[2].strip()
    candidates = {
        host,
        host.rstrip("."),
        re.sub(r":\d*$", "", host).rstrip("."),
        re.sub(r"^\[(.*)\](:\d*)?$", r"\1", host),
    }
    return any(map(_is_local, candidates))


def folded(name: str) -> str:
    """The name as a reader or DNS compares it: without case, Unicode form, and what cannot be seen.

    Letters of several scripts that look alike stay different.
    """
    if name.isascii() and name.isprintable():
        return name.casefold().strip()
    plain = unicodedata.normalize("NFKC", name).replace("\u3002", ".")
    return unicodedata.normalize("NFKC", "".join(c for c in plain if not _is_unseen(c)).casefold()).strip()


def _is_unseen(char: str) -> bool:
    return not char.isprintable() or bool(_WITHOUT_INK.match(char))


def _is_local(host: str) -> bool:
    if host in ("*", *constants.LOCALHOST) or _LOCAL_NAME.fullmatch(host):  # glibc takes "*" for no name, so for itself
        return True
    try:
        # The old spellings, too: 127.1, 0x7f.1, 2130706433.
        old = re.fullmatch(r"[0-9a-fx]+(\.[0-9a-fx]+){0,3}", host)
        ip = ipaddress.ip_address(socket.inet_aton(host) if old else host.partition("%")[0])
    except (OSError, ValueError):
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_unspecified
