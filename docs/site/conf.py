# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation as a site (make docs): the Markdown files of the repository, and the plugin pages that antsibull-docs makes.

Sphinx reads build/docs/src, where the pages lie as in the repository, so that a link works in both.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx import addnodes

REPO = Path(__file__).resolve().parents[2]
GALAXY = yaml.safe_load((REPO / "galaxy.yml").read_text(encoding="utf-8"))

project = f"{GALAXY['namespace']}.{GALAXY['name']}"
release = GALAXY["version"]
copyright = "dr_runbook contributors"

extensions = ["myst_parser", "sphinx_antsibull_ext", "sphinx_copybutton"]
exclude_patterns = ["README.md", "docs/site", "docs/docsite"]  # index.md begins like the README
myst_heading_anchors = 4  # anchors as in the repository
pygments_style = "default"
highlight_language = "text"

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
antsibull_ext_color_scheme = "none"  # site.css takes the colours of the theme, which has a dark mode


# What the plugin pages refer to outside of the collection, without an inventory from the network.
ANSIBLE = "https://docs.ansible.com/ansible/latest"
LABELS = {
    "action_plugins": "plugins/action.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "query": "plugins/lookup.html#query",
}


def link_to_ansible(_app, _env, node, contnode):
    """References to Ansible's own documentation; others that lead nowhere stay errors."""
    target = node["reftarget"]
    builtin = re.fullmatch(r"ansible_collections\.ansible\.builtin\.(\w+_(?:module|lookup|filter))", target)
    if node["reftype"] == "ref" and builtin:
        page = f"collections/ansible/builtin/{builtin[1]}.html"
    elif node["reftype"] == "ref" and target in LABELS:
        page = LABELS[target]
    elif node["reftype"] == "envvar" and target.startswith("ANSIBLE_"):
        page = f"reference_appendices/config.html#envvar-{target}"
    else:
        return None
    return nodes.reference("", "", contnode, refuri=f"{ANSIBLE}/{page}", internal=False)


def link_to_repository(app, doctree):
    """Links from a page to a file that is no page of the site, such as a playbook, lead to the repository.

    What is there neither stays as it is, and is an error when references are resolved.
    """
    page = app.env.doc2path(app.env.docname, base=False)
    for node in list(doctree.findall(addnodes.pending_xref)):
        path, sharp, anchor = node["reftarget"].partition("#")
        if node["reftype"] != "myst" or node.get("refdomain") or not re.search("[./]", path):
            continue  # not a file
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
        found = REPO / path
        if path.startswith("..") or not found.exists():
            continue
        url = f"{GALAXY['repository']}/{'tree' if found.is_dir() else 'blob'}/main/{path}{sharp}{anchor}"
        node.replace_self(nodes.reference("", "", *node.children, refuri=url, internal=False))


def tidy_plugin_page(app, doctree):
    """Pages of antsibull-docs have a list of contents, which the theme has too, titles that are too long for a sidebar, and
    links to guides in the repository, which are pages of the site."""
    page = app.env.docname
    if not page.startswith("plugins/"):
        return
    for topic in list(doctree.findall(nodes.topic)):
        if "contents" in topic["classes"]:
            topic.parent.remove(topic)
    for title in doctree.findall(nodes.title):
        title.attributes.pop("refid", None)  # back to that list
    for link in doctree.findall(nodes.reference):
        guide = link.get("refuri", "").removeprefix(f"{GALAXY['repository']}/blob/main/").removesuffix(".md")
        if guide in app.env.found_docs:
            link["refuri"] = app.builder.get_relative_uri(page, guide)
    title = next(doctree.findall(nodes.title))
    if page == "plugins/index":
        name, description = "Modules, plugins and roles", []
    else:
        name, *description = re.split(" -- | – ", title.astext().removeprefix(f"{project}."))
    title.children = []
    title += nodes.Text(name)
    for text in description:
        title.parent.insert(title.parent.index(title) + 1, nodes.paragraph("", text))


def setup(app):
    app.connect("doctree-read", link_to_repository)
    app.connect("doctree-read", tidy_plugin_page, priority=400)  # before Sphinx takes the title
    app.connect("missing-reference", link_to_ansible)
