# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of the API and their bodies (docs/evidence.md, "Errors")."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from .render import Element, Style, text, to_bytes


class ApiError(Exception):
    """A request that ends with an error reply.

    :param status: HTTP status code.
    :param message: the text for the reply's Message.
    :param headers: extra reply headers.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


def error_body(kind: str, style: Style, status: int, message: str) -> tuple[str, bytes]:
    """Content type and body of an error reply; ``kind`` is a value of the switch ``error_body``."""
    if kind == "empty" or status < 200 or status in (204, 304):
        return "", b""
    if kind == "text":
        return "text/plain; charset=utf-8", message.encode()
    if kind == "html":
        phrase = HTTPStatus(status).phrase
        head = f"<HTML><HEAD><TITLE>{phrase}</TITLE></HEAD>"
        page = f"{head}<BODY><h2>{phrase}</h2><p>{escape(message)}</p></BODY></HTML>"
        return "text/html; charset=us-ascii", page.encode("ascii", "xmlcharrefreplace")
    style = style.with_json({"json": True, "xml": False}.get(kind, style.json))
    return to_bytes(
        Element(
            "Error",
            {"Message": message, "StatusCode": status, "Status": None if style.json else ""},
            [text("FirstChanceExceptionMessage", None), text("StackTrace", None if style.json else "")],
        ),
        style,
    )
