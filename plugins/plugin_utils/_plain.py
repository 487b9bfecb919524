# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What filters share: what a template gives them, as plain JSON types, and their errors."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from ansible.errors import AnsibleFilterError
from jinja2 import Undefined

from ..module_utils._api.errors import OptionError
from ..module_utils._api.options import check_text


@contextmanager
def fail_as_filter(name: str) -> Iterator[None]:
    """Turns an option that cannot be used into an error of the filter with this name."""
    try:
        yield
    except OptionError as exc:
        raise AnsibleFilterError(f"{name}: {exc}") from None


def check_named(name: str, args: Collection[Any], options: Collection[str], known: Collection[str]) -> None:
    """Refuse options of a filter without a name, and those that it does not have."""
    unknown = [option for option in options if option not in known]
    if args or unknown:
        wrong = f"there is no option {unknown[0]}" if unknown else "each option needs its name"
        raise AnsibleFilterError(f"{name}: {wrong}. Options are: {', '.join(known)}.")


def plain(option: str, value: Any) -> Any:
    """The value as plain JSON types: ansible-core has types of its own, some of which are filled in only when read.

    :raises OptionError: it, or something in it, is undefined or has no such type. Its place in the option is named.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Undefined):
        raise OptionError(option, "...", "It is undefined. Check the variable that holds it.")
    if isinstance(value, Mapping):
        for key in value:
            check_text(option, key)
        return {str(key): plain(f"{option}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, (Sequence, Iterator)) and not isinstance(value, (str, bytes, bytearray)):
        return [plain(f"{option}[{place}]", item) for place, item in enumerate(value)]
    if isinstance(value, (str, date)):  # YAML makes a date of a time without quotes
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    accepted = "It can hold texts, numbers, true, false, null, lists and dictionaries only."
    raise OptionError(option, str(value), accepted)


def whole(value: Any) -> Any:
    """A dictionary of lists, such as a history, with what is in these as the variable has it: no template in it is rendered.

    ansible-core 2.19 and newer gives a filter lists and dictionaries that render each value when it is read. The result of a
    module holds no templates, and a history has so many values that this takes 40 s (500 plans of 20 VMs with 60 runs each).
    """
    return {key: _as_stored(value[key]) for key in value} if isinstance(value, Mapping) else value


def _as_stored(value: Any) -> Any:
    copy = getattr(value, "_non_lazy_copy", None)
    return copy() if copy else value
