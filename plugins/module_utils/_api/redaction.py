# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text from outside as it can stand in a sentence: on one line, short, without secrets."""

from __future__ import annotations

MAX_MESSAGE = 300
"""Characters of a server's own words that are shown in a sentence."""


def single_line(text: str) -> str:
    """The text on one line, with a space for whatever does not print: control characters, marks of direction."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def truncate(text: str, length: int) -> str:
    """The text, or its beginning and three dots where it is longer."""
    return text if len(text) <= length else text[: length - 3] + "..."
