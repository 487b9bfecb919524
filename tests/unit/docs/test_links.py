# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Markdown points to is there: files, headings, and tests that it names; also on pages that make docs does not read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
PAGES = sorted(
    path.relative_to(REPO).as_posix()
    for pattern in ("*.md", "docs/*.md", "docs/site/*.md", "roles/*/*.md", "tests/*/*.md")
    for path in REPO.glob(pattern)
)


def prose(page):
    """The text without blocks of code, where nothing is a link or a heading."""
    return re.sub(r"^( *)```.*?^\1```$", "", (REPO / page).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors that a page has on GitHub, and as the site makes them."""
    seen = Counter()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        yield f"{slug}-{seen[slug]}" if seen[slug] else slug
        seen[slug] += 1


def links(page):
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\]\(([^()\s]+)\)", text)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    # The pages of docs/site lie at the root of the site.
    folder = REPO if page.startswith("docs/site/") else (REPO / page).parent
    dead = []
    for link in links(page):
        path, _sharp, anchor = link.partition("#")
        if "://" in path or path.startswith("plugins/"):  # plugins/ is made by antsibull-docs
            continue
        target = (folder / path).resolve() if path else REPO / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert not dead


def test_files_that_plugins_link_to_exist():
    files = [*(REPO / "plugins").glob("*/*.py"), *(REPO / "plugins").glob("*/*.yml")]
    sources = "".join(file.read_text("utf-8") for file in files)
    linked = re.findall(r"github\.com/dr-runbook/veeam_em/blob/main/(\S+)", sources)
    assert linked
    assert [path for path in linked if not (REPO / path).exists()] == []


def test_tests_that_pages_name_exist():
    files = list((REPO / "tests").rglob("test_*.py"))
    known = {file.name for file in files}.union(
        {"test_every"},  # a key of a policy
        *(re.findall(r"def (test_\w+)", file.read_text("utf-8")) for file in files),
    )
    named = {
        (page, name) for page in PAGES for name in re.findall(r"\btest_\w+(?:\.py)?", (REPO / page).read_text("utf-8"))
    }
    assert [(page, name) for page, name in sorted(named) if name not in known] == []


def test_each_picture_is_small_and_on_a_page():
    pictures = {path.name: path.stat().st_size for path in (REPO / "docs" / "images").iterdir()}
    shown = {link.rpartition("/")[2] for page in PAGES for link in links(page) if "images/" in link}
    assert set(pictures) == shown
    assert {name: size for name, size in pictures.items() if size > 150_000} == {}
