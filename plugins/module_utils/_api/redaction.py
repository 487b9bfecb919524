# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text from outside as it can stand in a sentence: on one line, short, without secrets."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html.entities import codepoint2name
from typing import Any

MAX_MESSAGE = 300
"""Characters of a server's own words that are shown in a sentence."""
MAX_SCANNED = 16 * 1024
"""Characters of a server's own words that are read at all."""

MAX_TOKENS = 16
"""Tokens of a client that are masked, the newest."""

_PLAIN = re.compile(r"[\w.~-]", re.ASCII)


def single_line(text: str) -> str:
    """The text on one line, with a space for whatever does not print: control characters, marks of direction."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def describe(value: Any, length: int = 80) -> str:
    """A value in a sentence. Lists and dictionaries, which may be large, are only called what they are."""
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"a list of {len(value)}"
    return "null" if value is None else truncate(single_line(repr(value)), length)


def truncate(text: str, length: int) -> str:
    """The text, or its beginning and three dots where it is longer."""
    return text if len(text) <= length else text[: length - 3] + "..."


def some_of(items: Sequence[str], most: int) -> str:
    """The items in a sentence: the first few, and how many more there are."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


class Redactor:
    """Masks secrets in texts from outside, also where a server or proxy has escaped them for a URL, HTML, XML or JSON."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._tokens: deque[str] = deque(maxlen=MAX_TOKENS)
        self._pattern: re.Pattern[str] | None = None

    def add(self, *secrets: str) -> None:
        self._secrets.update(filter(None, secrets))
        self._pattern = None

    def add_token(self, token: str) -> None:
        """A secret that expires. Only the newest are masked, so that a client that runs for months does not slow down."""
        self._tokens.append(token)
        self._pattern = None

    def mask_secrets(self, text: str) -> str:
        if self._pattern is None:  # made when first needed: most runs show no text from outside
            secrets = self._secrets.union(self._tokens)
            if not secrets:
                return text
            longest_first = sorted(secrets, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(_spelling, longest_first)))
        return self._pattern.sub("********", text)

    def redact(self, text: str) -> str:
        """The text as one short line without control characters and secrets.

        Secrets go before the line is made, which may change a secret so that it is not recognized, and after it, since
        it may also put one together.
        """
        return truncate(self.mask_secrets(single_line(self.mask_secrets(text)[:MAX_SCANNED])), MAX_MESSAGE)


def _spelling(secret: str) -> str:
    """A pattern for a secret as it is or escaped, also twice: as HTML in JSON, for example.

    What no format needs to escape may be escaped once.
    """
    return "".join(_spellings(char, 1 if _PLAIN.match(char) else 2) for char in secret)


@lru_cache(maxsize=256)
def _spellings(char: str, times: int) -> str:
    """A pattern for one character: as it is, or escaped in JSON, in HTML or XML, or for a URL, up to so many times."""
    if not times:
        return re.escape(char)
    backslash, ampersand, number_sign, semicolon, percent, plus = (_spellings(mark, times - 1) for mark in "\\&#;%+")
    utf16 = char.encode("utf-16-be", "surrogatepass").hex()
    in_json = [backslash.join(f"u{utf16[start : start + 4]}" for start in range(0, len(utf16), 4))]
    short = r"\/" if char == "/" else json.dumps(char, ensure_ascii=False)[1:-1]
    if len(short) == 2:
        in_json.append(_spellings(short[1], times - 1))
    in_html = [f"{number_sign}(?:0*{ord(char)}|x0*{ord(char):x})"]
    name = "apos" if char == "'" else codepoint2name.get(ord(char))
    if name:
        in_html.append(name)
    in_url = ["".join(f"{percent}{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))]
    if char == " ":
        in_url.append(plus)
    escaped = f"{backslash}(?:{'|'.join(in_json)})|{ampersand}(?:{'|'.join(in_html)}){semicolon}|{'|'.join(in_url)}"
    return f"(?:(?i:{escaped})|{re.escape(char)})"
