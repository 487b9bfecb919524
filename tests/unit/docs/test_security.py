# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docs/security.md says of several Enterprise Managers, in real runs with one of them down."""

from __future__ import annotations

import programs
import pytest

SECRET = "S3cret-of-em2"
DOWN = "http://127.0.0.1:1"
LOOPS = f"""
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    password_of_em2: {SECRET}
    managers: [{{name: em2, url: "{DOWN}", password: "{{{{ password_of_em2 }}}}"}}]
  module_defaults:
    group/dr_runbook.veeam_em.all: {{username: reader, retries: 0}}
  tasks:
"""
READ = """
    - dr_runbook.veeam_em.failover_session_info: {{url: "{{{{ item.url }}}}", password: "{password}"}}
      loop: "{loop}"
      ignore_errors: true
"""


@pytest.fixture
def play(tmp_path):
    def call(*arguments):
        environment = programs.ansible_environment(tmp_path / "home")
        return programs.run(["ansible-playbook", *arguments], cwd=tmp_path, env=environment)

    return call


@pytest.mark.parametrize(
    ("password", "loop", "more", "shown"),
    [
        ("{{ item.password }}", "{{ managers }}", "", True),
        ("{{ item.password }}", "{{ managers }}", "      loop_control: {label: '{{ item.name }}'}", True),
        ("{{ item.password }}", "{{ managers }}", "      no_log: true", False),
        (
            "{{ lookup('ansible.builtin.vars', 'password_of_' ~ item.name) }}",
            "{{ [{'name': 'em2', 'url': managers[0].url}] }}",
            "",
            False,
        ),
    ],
    ids=["a loop", "with a label", "with no_log", "over names"],
)
def test_what_a_loop_over_ems_shows(play, tmp_path, password, loop, more, shown):
    (tmp_path / "loop.yml").write_text(LOOPS + READ.format(password=password, loop=loop) + more)
    done = play("loop.yml")
    assert done.returncode == 0, done.output
    assert (SECRET in done.output) is shown
