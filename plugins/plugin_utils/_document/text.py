# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts that people, programs and terminals read: nothing in them hides or runs, and the same facts give the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from datetime import timezone
from typing import Any
from zoneinfo import ZoneInfo

from ...module_utils._failover.times import parse_time

# What does not print, or changes how its neighbours print: control characters, marks of direction, characters without width,
# halves of surrogate pairs. Given as ranges, since the tables of Python differ between versions.
_CONTROL_CHARS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)


def canonical_json(value: Any) -> str:
    """Sorted keys, two spaces, UTF-8, newline at the end. What does not print is escaped, as it may be shown in a terminal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=2)
    return _CONTROL_CHARS.sub(lambda char: json.dumps(char.group())[1:-1], text) + "\n"


def escape_control_chars(value: object) -> str:
    """The text, with the code of each character that does not print or that changes how its neighbours do."""
    return _CONTROL_CHARS.sub(lambda char: f"[U+{ord(char.group()):04X}]", str(value))


def display_time(value: str | None, time_zone: str | None = None) -> str:
    """A time of the facts for people: ``2015-12-07 17:38:16 UTC``, with the time in a zone ``(18:38:16 +01:00)``.

    :arg time_zone: IANA name of a zone that this machine knows.
    """
    time = parse_time(value)
    if time is None:
        return "not known"
    text = f"{time:%Y-%m-%d %H:%M:%S} UTC"
    if time_zone is None:
        return text
    local = time.replace(tzinfo=timezone.utc).astimezone(ZoneInfo(time_zone)).isoformat(" ", timespec="seconds")
    day, clock, offset = local[:10], local[11:19], local[19:]
    return f"{text} ({'' if text.startswith(day) else f'{day} '}{clock} {offset})"


def count_of(count: int, word: str) -> str:
    """``1 VM``, ``2 VMs``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def stamp(value: str | None) -> str:
    """A time at the start of a file's name, which sorts by it: ``20151207T173816Z``."""
    time = parse_time(value)
    return f"{time:%Y%m%dT%H%M%SZ}" if time else "undated"


def slug(name: object, otherwise: str) -> str:
    """What is left of a name in that of a file: lower-case letters and digits of ASCII, and hyphens."""
    ascii_only = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower())[:40].strip("-") or otherwise
