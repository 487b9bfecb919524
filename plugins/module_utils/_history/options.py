# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the documentation fragment ``_history``: which history, and of which EM."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .._api.errors import OptionError
from .._api.options import HIDDEN, base_url_of, check_characters, split_url
from .store import Store, open_store

_WITH_PASSWORD = re.compile(r"postgres(?:ql)?://(?:[^@]*?:.*@|.*[?&](ssl)?password=)", re.IGNORECASE)


def open_history(option: Callable[[str], Any], create: bool = False, read_only: bool = False) -> Store:
    """The store that the options name, open; ``with`` closes it.

    :arg option: gives the value of the option with that name.
    :arg create: and ``read_only``, as :func:`open_store` takes them.
    :raises OptionError: none is given.
    :raises HistoryError: it cannot be opened.
    """
    return open_store(*store_location(option), create=create, read_only=read_only)


def store_location(option: Callable[[str], Any]) -> tuple[str, str | None]:
    """The options ``store`` and ``store_password``, as :func:`open_store` takes them.

    :raises OptionError: none is given, or it contains a password.
    """
    if not option("store"):
        accepted = (
            "Give a file, or postgresql://user@host/database, as option store or in the environment as VEEAM_EM_STORE; "
            "to a lookup or an inventory also as variable veeam_em_store."
        )
        raise OptionError("store", "", accepted)
    found = _WITH_PASSWORD.match(option("store"))
    if found:
        cure = (
            "Give sslkey a key without a password, in a file that only its user can read."
            if found[1]
            else "Give that as store_password."
        )
        raise OptionError("store", HIDDEN, f"It contains a password, which logs would show. {cure}")
    check_characters("store", option("store"))
    return option("store"), option("store_password") or None


def name_of_em(em_name: str | None, url: str | None) -> str:
    """What the history calls an EM: the name given, or the host of its URL.

    :raises OptionError: neither is given, or the name cannot be used.
    """
    if not em_name:
        if not url:
            raise OptionError(
                "em_name", em_name, "Give a name for this Enterprise Manager, or url, whose host is the default."
            )
        return split_url(base_url_of(url)).hostname or ""
    if "/" in em_name or not em_name.isprintable() or em_name != em_name.strip():
        raise OptionError(
            "em_name", em_name, "Give a name without slashes and control characters, such as the host of url."
        )
    return em_name
