# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a connection, checked before the first request."""

from __future__ import annotations

import os
import re
import ssl
from urllib.parse import SplitResult, urlsplit

from .errors import OptionError

MAX_TIMEOUT = 3600


def check_options(username: str, password: str, timeout: float, retries: int, api_version: str) -> None:
    """Refuse what no server can be asked with.

    :raises OptionError: for the first option that cannot be used.
    """
    if not username or ":" in username:
        hint = "Give a user name without a colon, such as DOMAIN\\user or user@domain."
        raise OptionError("username", username.partition(":")[0], hint)
    if not password:
        hint = "It is empty. Give the password of the user, or check the variable that holds it."
        raise OptionError("password", "", hint)
    if not 0 < timeout <= MAX_TIMEOUT:
        raise OptionError("timeout", timeout, f"Give a number of seconds from 1 to {MAX_TIMEOUT}.")
    if retries < 0:
        raise OptionError("retries", retries, "Give a whole number, 0 or more.")
    if not re.fullmatch(r"latest|v\d+_\d+", api_version):
        raise OptionError("api_version", api_version, "Give latest or a version such as v1_7.")


def base_url_of(url: str) -> str:
    """Scheme, host and port of the ``url`` option, without a trailing ``/`` or ``/api``."""
    accepted = "Give scheme, host and port of Enterprise Manager, such as https://em.example.com:9398."
    url = url.strip()
    if "@" in url:
        # Shown without what stands before "@", which may be a password, however odd the rest is.
        shown = re.sub(r"^([a-z]+://)?.*@", r"\1...@", url, flags=re.IGNORECASE | re.DOTALL)
        raise OptionError("url", shown, f"Give user name and password as username and password, not in url. {accepted}")
    if "://" not in url:
        raise OptionError("url", url, f"It has no scheme. {accepted}")
    if re.match(r"\w+://[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*(?:[/%]|$)", url, re.IGNORECASE):
        raise OptionError("url", url, "Give an IPv6 address in brackets, such as https://[2001:db8::1]:9398.")
    parts = split_url(url)
    try:
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        raise OptionError("url", url, accepted) from None
    if parts.scheme not in ("http", "https") or not host or not url.isprintable() or re.search(r"[\s\\]", parts.netloc):
        raise OptionError("url", url, accepted)
    if parts.path.rstrip("/") not in ("", "/api") or parts.query or parts.fragment:
        raise OptionError("url", url, f"Leave out what follows host and port. {accepted}")
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")


def verification_of(validate_certs: bool, ca_path: str | None) -> bool | str:
    """What requests takes as ``verify``: true, false, or the path of CA certificates."""
    accepted = "Give a readable file with the CA's certificate in PEM format, or a folder prepared with c_rehash."
    # As Ansible's type path does it, but an empty variable means that there is none.
    ca_path = os.path.expanduser(os.path.expandvars(ca_path)) if ca_path else None
    if ca_path and not os.path.isdir(ca_path):
        if not os.path.isfile(ca_path):
            raise OptionError("ca_path", ca_path, f"There is no such file as {os.path.abspath(ca_path)}. {accepted}")
        try:
            ssl.create_default_context(cafile=ca_path)
        except (ssl.SSLError, OSError):
            raise OptionError("ca_path", ca_path, accepted) from None
    return (ca_path or True) if validate_certs else False


def split_url(link: str) -> SplitResult:
    """The parts of a URL; of one that cannot be read, none."""
    try:
        return urlsplit(link)
    except ValueError:
        return SplitResult("", "", "", "", "")
