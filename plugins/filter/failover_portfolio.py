# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in failover_portfolio.yml.

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ansible.errors import AnsibleFilterError
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._api.errors import OptionError
from ..plugin_utils._plain import whole
from ..plugin_utils._portfolio.files import make
from ..plugin_utils._portfolio.record import OPTIONS


def failover_portfolio(readiness: Any, /, history: Any = None, *args: Any, **options: Any) -> dict[str, Any]:
    """The files of the portfolio. They are marked as text of others, since names in them may look like templates."""
    unknown = [option for option in options if option not in OPTIONS]
    if args or unknown:
        wrong = f"there is no option {unknown[0]}" if unknown else "each option needs its name"
        raise AnsibleFilterError(f"failover_portfolio: {wrong}. Options are: {', '.join(OPTIONS)}.")
    try:
        return cast("dict[str, Any]", wrap_var(make(whole(readiness), whole(history), options)))
    except OptionError as exc:
        raise AnsibleFilterError(f"failover_portfolio: {exc}") from None


class FilterModule:
    """Filters of this file, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_portfolio": failover_portfolio}
