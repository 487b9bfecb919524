# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a template gives to a filter, as plain JSON types."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from jinja2 import Undefined

from ..module_utils._api.errors import OptionError
from ..module_utils._api.options import check_text


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
