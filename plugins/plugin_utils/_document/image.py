# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images in a page, as data: URIs. As the source of an img element, an SVG neither runs scripts nor loads anything."""

from __future__ import annotations

import base64
import binascii
import re

from ...module_utils._api.errors import OptionError

MAX_IMAGE = 200_000
"""Bytes of an image. Every page carries it."""

_SVG = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<svg[\s>]", re.DOTALL)
_HIDDEN = "..."


def image_text(option: str, text: str | None) -> str | None:
    """The base64 of an image, without white space.

    :raises OptionError: it is not base64, too big, or no PNG, JPEG or SVG.
    """
    if text is None:
        return None
    try:
        image = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise OptionError(option, _HIDDEN, "Give the base64 text of a PNG, JPEG or SVG file.") from None
    if len(image) > MAX_IMAGE:
        raise OptionError(option, _HIDDEN, f"It has {len(image)} bytes. Give an image of {MAX_IMAGE} bytes at most.")
    if _media_type(image) is None:
        raise OptionError(option, _HIDDEN, "It is neither a PNG nor a JPEG nor an SVG file. Give one of these.")
    return base64.b64encode(image).decode()


def data_uri(text: str) -> str:
    """The source of an img element, of what :func:`image_text` returns."""
    return f"data:{_media_type(base64.b64decode(text))};base64,{text}"


def _media_type(image: bytes) -> str | None:
    if image.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if image.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/svg+xml" if _SVG.match(image.removeprefix(b"\xef\xbb\xbf")) else None
