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


def render_page(folder: Path, filters: Mapping[str, Callable[..., Any]], values: Mapping[str, Any]) -> str:
    """The page of ``page.html.j2`` and ``page.css`` in the folder. The template also gets ``style`` and ``style_digest``."""
    style = (folder / "page.css").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        finalize=_finalize,
    )  # fmt: skip
    environment.filters.update(filters)
    template = environment.from_string((folder / "page.html.j2").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template.render({**values, "style": Markup(style), "style_digest": digest})


def _finalize(value: object) -> object:
    """Every text on the page is made visible, and then escaped, unless it is markup of this collection."""
    return value if isinstance(value, Markup) else escape_control_chars(value)
