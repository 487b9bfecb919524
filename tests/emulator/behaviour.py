# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Switches: how the emulated server behaves where docs/evidence.md leaves a question open.

Marks as there: [doc] in the vendor's reference, [seen] in replies of real servers, [assumed] neither.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any


def _switch(default: Any, *choices: Any, types: tuple[type, ...] = (str,)) -> Any:
    """A field that takes only the given choices, or without choices any value of the given types."""
    return field(default=default, metadata={"choices": choices, "types": types})  # pylint: disable=invalid-field-call


@dataclass
class Behaviour:
    """All switches with their defaults. Assigning an unknown name or value raises: a typo cannot pass a test."""

    # Query service (docs/evidence.md, "Query service")
    refuse_result_none: bool = _switch(False, False, True)  # [assumed] 400 for a filter Result==None
    refuse_quoted_quote: bool = _switch(False, False, True)  # [assumed] 400 for a doubled quote inside a quoted value
    refuse_query_type: int | None = _switch(None, None, 400, 404, 500, 501)  # [assumed] no query here
    refuse_uid_filter: bool = _switch(False, False, True)  # [assumed] 400 for any filter on UID
    uid_filter: str = _switch("both", "both", "urn", "guid")  # [seen] both; the form not named matches nothing
    sort: str = _switch("honour", "honour", "ignore")  # [doc] honoured
    case_sensitive: bool = _switch(False, False, True)  # [assumed] depends on the database's collation
    and_binds_tighter: bool = _switch(True, True, False)  # [assumed] ";" before ","
    none_order: str = _switch("first", "first", "last")  # [assumed] where Result None stands in the order
    max_page_size: int | None = _switch(None, types=(int, type(None)))  # [assumed] largest pageSize, None: unlimited
    over_page_size: str = _switch("cap", "cap", "refuse")  # [assumed] what happens above it
    omit_paging_info: bool = _switch(False, False, True)  # [assumed] no PagingInfo in a QueryResult
    pages_count_of_empty: int = _switch(1, 1, 0)  # [seen] 1, [assumed] 0

    # Logon (docs/evidence.md, "Logon")
    logon_location: str = _switch("served", "served", "left out")  # [doc] header Location: the URL of the logon
    # [seen] 415 for a form, by 13; [assumed] 12 does not mind
    form_logon: str = _switch("refuse", "refuse", "accept")
    unknown_logon_id: int = _switch(500, 500, 404)  # [seen] 500 with a text, [doc] 404 by the table of codes

    # What is listed and found (docs/evidence.md, "Requests in general", "The cloud failover session", "Cloud failover
    # plans", "Errors")
    # [doc] Roles by resource; no lower role's list names the query, so either is [assumed]. Refused: to all but
    # administrators.
    role_query: str = _switch("as resource", "as resource", "refused")
    collection_days: int | None = _switch(30, types=(int, type(None)))  # [doc] 30; None: everything
    ignore_format: bool = _switch(False, False, True)  # [assumed] references whatever format= says
    finished_tasks: str = _switch("keep", "keep", "drop")  # [assumed] keep; [doc] samples of ended ones: none
    plan_vms: str = _switch("served", "served", "left out")  # [doc] and [seen] served in lists, [assumed] left out
    unknown_id: int = _switch(404, 404, 500, 400)  # [doc] 404, [assumed] 500 or 400 with "There is no ... with id [..]"
    malformed_id: int = _switch(400, 400, 404, 500)  # [assumed] an id that is no GUID

    # Plans in action (docs/evidence.md, "Actions of plans", "Tasks of EM"). Seconds are of the emulator's clock.
    task_seconds: float = _switch(4.0, types=(int, float))  # [assumed] how long a start, test or refusal is Running
    refresh_seconds: float = _switch(4.0, types=(int, float))  # [assumed] then OperationFinished
    undo_seconds: float = _switch(60.0, types=(int, float))  # [assumed] how long an undo is Running
    operation_finished: bool = _switch(True, True, False)  # [doc] a state since about 11, not in 9.x
    early_result: bool = _switch(True, True, False)  # [doc] OperationFinished may have a Result already
    task_message: str = _switch("Ok")  # [seen] Ok, Success or empty
    true_word: str = _switch("true", "true", "True", "1")  # [assumed] how Success is spelt; false goes with it
    session_link: str = _switch("served", "served", "left out")  # [doc] finished start and test tasks have it
    link_delay_seconds: float = _switch(0, types=(int, float))  # [assumed] the link comes so long after Finished
    hidden_task_reads: int = _switch(0, types=(int,))  # [seen] a new task may not be found at first, so many times
    second_start: str = _switch("accept", "accept", "refuse")  # [assumed] start of a running plan: a second session
    undo_while_running: str = _switch("refuse", "refuse", "accept")  # [assumed] accept: its sessions end with the undo
    undo_of_nothing: str = _switch("refuse", "refuse", "accept")  # [assumed] where no VM is in failover
    undo_session: str = _switch("none", "none", "unlinked", "linked")  # [doc] start or undo in 9.x, only start later
    # [doc] A test does not switch to the replicas; [assumed, strongly] so their points stay Ready. The other: as a start.
    points_after_test: str = _switch("ready", "ready", "failover")
    point_states: str = _switch("known", "known", "unknown")  # [doc] Unknown is one of the words
    point_times: str = _switch("served", "served", "left out")  # [doc] CreationTimeUTC is there
    # [assumed] Stopped comes before the Result: from its end on a session that starts here shows None for so long.
    result_lag_seconds: float = _switch(0, types=(int, float))
    parallel_vms: int = _switch(10, types=(int,))  # [doc] so many VMs of a plan at once
    waiting_vms: str = _switch("absent", "absent", "starting")  # [doc] tasks may wait; [assumed] how they look then
    stop_on_failure: bool = _switch(False, False, True)  # [assumed] no further VMs begin after one has failed
    failing_vms: str = _switch("")  # names or patterns, parted by commas
    warning_vms: str = _switch("")
    partial_result: str = _switch("Warning", "Warning", "Failed")  # [assumed] result when some VMs failed
    list_delay: float = _switch(0, types=(int, float))  # [doc] EM's data are up to 15 minutes old: sessions list later

    # EM's copy (docs/evidence.md, "Age of EM's data")
    copy: str = _switch("live", "live", "collected")  # [doc] sessions and points are as of the last collection
    collect_interval: float | None = _switch(900, types=(int, float, type(None)))  # [doc] 15 minutes, or manually
    collect_days: int = _switch(30, types=(int,))  # [doc] 30: how far back they reach when the emulator starts
    collect_seconds: float | None = _switch(18.0, types=(int, float, type(None)))  # [doc: sample]; None: for ever
    collect_state: str = _switch("CompletedSuccessfully")  # [doc] a word of the list; of jobs that begin from now on
    collect_start_seconds: float = _switch(2.0, types=(int, float))  # [assumed] from the request to the job
    # A second request while a job runs is not documented, so all are [assumed]: a job of its own, none, or the task fails
    second_collect: str = _switch("new", "new", "join", "refuse")
    # [assumed] No lower role's list names them; absent: 404
    system_sessions: str = _switch("administrators", "administrators", "all", "absent")
    # [doc] The sample repeats the state in the inner Result, the table has Success, Warning, Failed.
    system_result: str = _switch("as state", "as state", "as table")
    # [assumed] What is older is gone everywhere; None: for ever. EM's default is 13 weeks [doc].
    retention_weeks: int | None = _switch(None, types=(int, type(None)))

    # Representation (docs/evidence.md, "Representations", "Errors")
    error_body: str = _switch("follow accept", "follow accept", "xml", "json", "html", "text", "empty")  # [seen] varies
    href_base: str = _switch("https://em-internal:9398")  # [doc] Hrefs carry the server's own idea of its address
    bom: bool = _switch(False, False, True)  # [seen] UTF-8 byte order mark before the body
    # [assumed] What XML does not allow, such as &#x1F;: .NET's XmlWriter writes references if it does not check characters.
    odd_characters: str = _switch("reference", "reference", "raw")
    plan_references: str = _switch("cloud", "cloud", "as printed")  # [doc] as printed, with another type and Href
    xml_prefix: str = _switch("")  # [assumed] elements as <v:Name> instead of a default namespace
    indent: bool = _switch(False, False, True)  # [doc] and [seen]: both occur
    empty_containers: str = _switch("element", "element", "omit")  # [doc] both occur

    # Transport
    length_required: bool = _switch(False, False, True)  # [assumed] 411 for a POST without Content-Length
    date_offset: float | None = _switch(
        0, types=(int, float, type(None))
    )  # [assumed] Date is wrong by so many s; or none
    # [assumed] A connection that was idle for more seconds of real time has been forgotten by what stands between.
    dead_after_idle: float | None = _switch(None, types=(int, float, type(None)))

    def __setattr__(self, name: str, value: Any) -> None:
        switch = _SWITCHES.get(name)
        if switch is None:
            raise AttributeError(f"no such switch: {name}")
        choices, types = switch.metadata["choices"], switch.metadata["types"]
        # Types are compared too: 1 is no True here.
        if choices and not any(value == choice and type(value) is type(choice) for choice in choices):
            raise ValueError(f"{name} takes one of {choices}, not {value!r}")
        if not choices and type(value) not in types:
            raise ValueError(f"{name} does not take {value!r}")
        super().__setattr__(name, value)

    def set_text(self, assignment: str) -> None:
        """Apply ``name=value`` from a command line: JSON where it is JSON (``true``, ``404``, ``null``), else text."""
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"not name=value: {assignment}")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        setattr(self, name, value)

    def copy_from(self, other: Behaviour) -> None:
        """Take over every switch of another one; the object itself stays the same for those who hold it."""
        for switch in fields(self):
            setattr(self, switch.name, getattr(other, switch.name))


_SWITCHES = {switch.name: switch for switch in fields(Behaviour)}
