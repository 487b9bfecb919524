# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTML pages of a template and a style sheet. They load nothing, run nothing, and forbid both to the browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .text import escape_control_chars

_COLOURS = Path(__file__).parent / "colours.css"


def render_page(
    folder: Path,
    filters: Mapping[str, Callable[..., Any]],
    values: Mapping[str, Any],
    margins: Mapping[str, str | None] | None = None,
    paper: str = "A4",
) -> str:
    """The page of ``page.html.j2`` and ``page.css`` in the folder, in the colours of all pages.

    The template also gets ``style`` and ``style_digest``.

    :arg margins: texts in the margins of each printed page, by their place in CSS (``top-left``). The page numbers are at
        ``bottom-right``.
    :arg paper: what it is printed on, in the words of CSS.
    """
    sheets = [path.read_text(encoding="utf-8") for path in (_COLOURS, folder / "page.css")]
    style = "".join([*sheets, _page_rule(margins or {}, paper)])
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        finalize=_finalize,
    )  # fmt: skip
    environment.filters.update(filters)
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template.render({**values, "style": Markup(style), "style_digest": digest})


def _page_rule(margins: Mapping[str, str | None], paper: str) -> str:
    contents = {place: _css_text(text) for place, text in margins.items() if text}
    contents["bottom-right"] = '"Page " counter(page) " of " counter(pages)'
    look = "font: 7.5pt system-ui, sans-serif; color: #55606e;"
    boxes = "".join(f"  @{place} {{ content: {content}; {look} }}\n" for place, content in contents.items())
    return f"@page {{\n  size: {paper}; margin: 17mm 14mm;\n{boxes}}}\n"


def _css_text(text: str) -> str:
    """A text in a style sheet. Whatever could end the text or the style sheet is written as its code."""
    visible = escape_control_chars(text).replace("\n", " ")
    return '"' + "".join(char if char.isalnum() or char in " -.:," else f"\\{ord(char):x} " for char in visible) + '"'


def _finalize(value: object) -> object:
    """Every text on the page is made visible, and then escaped, unless it is markup of this collection."""
    return value if isinstance(value, Markup) else escape_control_chars(value)
