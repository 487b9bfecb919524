# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a connection, checked before the first request."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .errors import OptionError

MAX_TIMEOUT = 3600
REQUIRED = ("url", "username", "password")
HIDDEN = "..."
"""Replaces a value that may be a secret in a sentence."""


class MissingOptionError(OptionError):
    """Required options are not set."""

    def __init__(self, names: Sequence[str], where: str) -> None:
        variables = ", ".join(map(variable_of, names))
        where = where.format(variables=variables.lower(), environment=variables)
        super().__init__(names[0], None, where)
        self.args = (f"Not set: {', '.join(names)}. {where}",)


def variable_of(name: str) -> str:
    """The environment variable of a connection option."""
    return f"VEEAM_EM_{name.upper()}"


def is_set(value: object) -> bool:
    """Whether this is the value of a connection option. An empty text is none: AWX makes it of a field that was not filled in."""
    return value is not None and not (isinstance(value, str) and not value.strip())


def from_environment(name: str) -> str | None:
    """The value of a connection option in the environment, or None if it is not set there."""
    value = os.environ.get(variable_of(name))
    return value if is_set(value) else None


def check_required(option: Callable[[str], Any], where: str) -> None:
    """Refuse connection options that are not set.

    :arg where: where they can be given, with ``{variables}`` and ``{environment}``.
    :raises MissingOptionError: names all of them.
    """
    missing = [name for name in REQUIRED if not is_set(option(name))]
    if missing:
        raise MissingOptionError(missing, where)


def check_text(name: str, value: object) -> None:
    """Refuse what YAML makes of a text that is not in quotes, and bytes that are not UTF-8.

    :raises OptionError: the value is no text.
    """
    shown = HIDDEN if name.endswith("password") else str(value) if isinstance(value, date) else value
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            accepted = "It has bytes that are not UTF-8. Check the file or variable that it comes from."
            raise OptionError(name, shown, accepted)
        return
    if isinstance(value, (Mapping, Sequence)):
        raise OptionError(name, shown, "Give a text, not a list or a dictionary.")
    raise OptionError(
        name,
        shown,
        "It is not a text. YAML changes what is not in quotes: 007 becomes 7, 12:30 becomes 750, no becomes false. "
        "So quote it where it is written ('007'), also if a template passes it on.",
    )


def check_characters(name: str, value: str) -> None:
    """Refuse a value with characters that nobody types, such as a line break.

    :raises OptionError: the value has one. A password is not shown.
    """
    if any(char == "\ufeff" or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in value):
        raise OptionError(
            name,
            HIDDEN if name == "password" else value,
            "It contains a line break, another control character or bytes that are not UTF-8. Check the file, variable or secret "
            "that it comes from: echo, cat and editors end a file with a line break, and a Kubernetes secret keeps it. Write it with "
            "printf %s, or read it with lookup('ansible.builtin.file', ...), which strips it.",
        )


def check_options(username: str, password: str, timeout: float, retries: int, api_version: str) -> None:
    """Refuse what no server can be asked with.

    :raises OptionError: for the first option that cannot be used.
    """
    if ":" in username:
        hint = "Give a user name without a colon, such as DOMAIN\\user or user@domain."
        raise OptionError("username", username.partition(":")[0], hint)
    for name, value in (("username", username), ("password", password), ("api_version", api_version)):
        check_characters(name, value)
    if not 0 < timeout <= MAX_TIMEOUT:
        raise OptionError("timeout", timeout, f"Give a number of seconds from 1 to {MAX_TIMEOUT}.")
    if retries < 0:
        raise OptionError("retries", retries, "Give a whole number, 0 or more.")
    if not re.fullmatch(r"latest|v\d+_\d+", api_version):
        raise OptionError("api_version", api_version, "Give latest or a version such as v1_7.")


def base_url_of(url: str) -> str:
    """Scheme, host and port of the ``url`` option, without a trailing ``/`` or ``/api``."""
    accepted = (
        "Give scheme, host and port of Enterprise Manager and nothing else, such as https://em.example.com:9398. An IPv6 "
        "address needs brackets."
    )
    if "@" in url:
        # Shown without what stands before "@", which may be a password, however odd the rest is.
        shown = re.sub(r"^([a-z]+://)?.*@", r"\1...@", url, flags=re.IGNORECASE | re.DOTALL)
        raise OptionError("url", shown, f"Give user name and password as username and password, not in url. {accepted}")
    check_characters("url", url)  # urlsplit() would drop a line break
    url = url.strip()
    parts = split_url(url)
    try:
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        raise OptionError("url", url, accepted) from None
    unusable = not url.isprintable() or re.search(r"[\s\\]", parts.netloc) or parts.query or parts.fragment
    if unusable or parts.scheme not in ("http", "https") or not host or parts.path.rstrip("/") not in ("", "/api"):
        raise OptionError("url", url, accepted)
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")


def verification_of(validate_certs: bool, ca_path: str | None) -> bool | str:
    """What requests takes as ``verify``: true, false, or the path of CA certificates."""
    accepted = "Give a readable file with the CA's certificate in PEM format, or a folder prepared with c_rehash."
    # As Ansible's type path does it, but an empty variable means that there is none.
    ca_path = os.path.expanduser(os.path.expandvars(ca_path)) if ca_path else None
    if ca_path and not os.path.isdir(ca_path):
        import ssl  # takes long, and what reads a history does not need it

        try:
            ssl.create_default_context(cafile=ca_path)
        except OSError:  # an ssl.SSLError, too
            raise OptionError("ca_path", os.path.abspath(ca_path), accepted) from None
    return (ca_path or True) if validate_certs else False


def split_url(link: str) -> SplitResult:
    """The parts of a URL; of one that cannot be read, none."""
    try:
        return urlsplit(link)
    except ValueError:
        return SplitResult("", "", "", "", "")
