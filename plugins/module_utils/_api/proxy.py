# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proxy that the environment names for a URL, and what to do when it is in the way."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import unquote

from .errors import OptionError
from .options import split_url

with suppress(ImportError):  # transport.py reports it
    import requests

_VARIABLES = "the environment variables https_proxy, http_proxy and all_proxy"
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")


class Proxy(NamedTuple):
    """A proxy.

    :ivar address: as requests takes it, always with a scheme; it may hold a password.
    :ivar name: host and port, without user and password.
    :ivar secrets: what of its address must not be shown.
    :ivar bypass: a sentence that says where it comes from, and how to do without it.
    """

    address: str
    name: str
    secrets: frozenset[str]
    bypass: str

    def hint(self, status: int) -> str:
        """What to do if there was no connection through it.

        :arg status: with which it answered, or 0 if it did not.
        """
        if status == 407:
            return f"Give the right user and password in the proxy's address (http://USER:PASSWORD@{self.name}). {self.bypass}"
        if status and status < 500:
            return f"Have the proxy allow this host and port. {self.bypass}"
        if status:
            return f"The proxy does not reach Enterprise Manager: check host and port of url. {self.bypass}"
        return f"Check the proxy's address, and that it can be reached from this machine. {self.bypass}"


def find_proxy(url: str) -> Proxy | None:
    """The proxy for this URL, or None.

    :raises OptionError: it cannot be used: its address, or a library is missing. User and password are not shown.
    """
    address = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if not address:
        return None
    if "://" not in address:  # requests would take what stands before a colon for the scheme
        address = f"http://{address}"
    parts = split_url(address)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    bypass = f"if {split_url(url).hostname} can be reached without a proxy, set no_proxy={split_url(url).hostname}."
    known = parts.scheme in ("http", "https", *_SOCKS)
    if not (known and host) or any(char.isspace() for char in address):  # such as the line break at the end of a file
        form = f"a scheme of http, https, {', '.join(_SOCKS)}, host and port"
        raise OptionError("proxy", "...", f"Check its address in {_VARIABLES}: {form}; {bypass}")
    name = f"[{host}]" if ":" in host else host
    name += "" if port is None else f":{port}"
    if parts.scheme in _SOCKS and find_spec("socks") is None:
        command = f"{sys.executable} -m pip install PySocks"
        accepted = f"It comes from {_VARIABLES}, and needs the Python library PySocks: {command}; {bypass}"
        raise OptionError("proxy", f"{parts.scheme}://{name}", accepted)
    password = parts.password or ""
    secrets = frozenset(secret for secret in (password, unquote(password)) if secret)
    return Proxy(address, name, secrets, f"The proxy comes from {_VARIABLES}; {bypass}")
