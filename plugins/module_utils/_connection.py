# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of EM from connection options. What reads a history alone does not load it, nor the libraries that it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from ansible.module_utils.basic import missing_required_lib

from ._api import transport, xml
from ._api.client import EnterpriseManager
from ._api.errors import MissingLibraryError
from ._api.options import check_required
from ._argspec import CONNECTION_SPEC
from ._module import Module, check_texts

WHERE_TO_GIVE = (
    "Give each as an option, with module_defaults for the group dr_runbook.veeam_em.all, or in the environment ({environment}) "
    "of the machine where the task runs. become (sudo) clears the environment: set become: false for this task."
)


def client_from_options(option: Callable[[str], Any], warn: Callable[[str], Any]) -> EnterpriseManager:
    """The client for these connection options, not yet logged on.

    :arg option: gives the value of the option with that name.
    :raises MissingLibraryError: a Python library cannot be imported.
    :raises OptionError: one of them cannot be used.
    """
    problems = {"requests": transport.REQUESTS_IMPORT_ERROR, "xmltodict": xml.XMLTODICT_IMPORT_ERROR}
    missing = {library: str(problem) for library, problem in problems.items() if problem}
    if missing:
        sentence = missing_required_lib(" and ".join(missing))
        install = f"{sys.executable} -m pip install {' '.join(missing)}"
        raise MissingLibraryError(f"{sentence} ({install})", next(iter(missing.values())))
    return EnterpriseManager(**{name: option(name) for name in CONNECTION_SPEC}, warn=warn)


def client_from_module(module: Module) -> EnterpriseManager:
    """The client for the module's connection options, not yet logged on.

    :raises MissingLibraryError: a Python library cannot be imported.
    :raises OptionError: one of them cannot be used.
    """
    check_required(module.params.get, WHERE_TO_GIVE)
    check_texts(module, CONNECTION_SPEC)
    # Each sentence once: a wait polls, and may meet the same problem each time.
    return client_from_options(module.params.get, cache(module.warn))
