# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The documentation is in failover_verdict.yml.

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.unsafe_proxy import wrap_var
from jinja2 import Undefined

from ..module_utils._api.errors import OptionError
from ..module_utils._verdict.evaluate import evaluate


def failover_verdict(session: Any, /, *args: Any, **targets: Any) -> dict[str, Any]:
    """The verdict on a session: plain data in which texts of the server are marked as no templates."""
    if args:
        raise AnsibleFilterError("failover_verdict: Give each target with its name, such as rto='1h'.")
    try:
        given = {name: _from_template(name, value) for name, value in targets.items()}
        source = given.pop("session_source", None)
        return wrap_var(evaluate(_from_template("session", session), given, source))
    except OptionError as exc:
        raise AnsibleFilterError(f"failover_verdict: {exc}") from None


def _from_template(name: str, value: Any) -> Any:
    """A value as :func:`evaluate` takes it: Jinja gives generators, and extra variables are texts."""
    if isinstance(value, Iterator):
        value = list(value)
    _check_defined(name, value)
    if name == "allow_warnings" and isinstance(value, str):
        try:
            return boolean(value, strict=True)
        except TypeError:
            return value
    return value


def _check_defined(name: str, value: Any) -> None:
    # ansible-core 2.16 hands undefined variables over, and later ones those inside of a list or dictionary.
    if isinstance(value, Undefined):
        raise OptionError(name, "...", "It is undefined. Check the variable that holds it.")
    items: Any = value.items() if isinstance(value, Mapping) else ()
    for key, item in enumerate(value) if isinstance(value, (list, tuple)) else items:
        _check_defined(f"{name}[{key!r}]", item)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"failover_verdict": failover_verdict}
