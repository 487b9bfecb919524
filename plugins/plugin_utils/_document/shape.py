# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How what is given has to look, so that a mistake is a sentence about its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...module_utils._api.errors import OptionError


def check_shape(option: str, value: Any, shape: Mapping[str, Any], accepted: str) -> None:
    """
    :arg shape: of a dictionary, see :func:`_fits`; its keys are named in the sentence.
    :raises OptionError: the value has another shape.
    """
    if not isinstance(value, dict):
        raise OptionError(option, value, accepted)
    for key, part in shape.items():
        if not _fits(value, {key: part}):
            name = key.rstrip("?")
            raise OptionError(f"{option}.{name}", value.get(name), accepted)


def _fits(value: Any, shape: Any) -> bool:
    """Whether a value has a shape: a type, a list of one kind of item, or a dictionary. A key with ``?`` may be missing or null."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(item, shape[0]) for item in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape)
    return isinstance(value, dict) and all(
        (key.endswith("?") and value.get(key[:-1]) is None) or _fits(value.get(key.rstrip("?"), ...), part)
        for key, part in shape.items()
    )
