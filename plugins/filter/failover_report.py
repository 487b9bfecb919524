# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in failover_report.yml.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._api.errors import OptionError
from ..plugin_utils._report.context import CONTEXT
from ..plugin_utils._report.files import make

OPTIONS = ("verdict", "plan", "policy", "manifests", "files", *CONTEXT)


def failover_report(session: Any, /, *args: Any, **options: Any) -> dict[str, Any]:
    """The files of the report. They are marked as text of others, since names in them may look like templates."""
    unknown = [option for option in options if option not in OPTIONS]
    if args or unknown:
        wrong = f"there is no option {unknown[0]}" if unknown else "each option needs its name"
        raise AnsibleFilterError(f"failover_report: {wrong}. Options are: {', '.join(OPTIONS)}.")
    try:
        return cast("dict[str, Any]", wrap_var(make(session, options)))
    except OptionError as exc:
        raise AnsibleFilterError(f"failover_report: {exc}") from None


class FilterModule:
    """Filters of this file, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_report": failover_report}
