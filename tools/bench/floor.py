# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The floor for wire and parser: each page with requests, page after page, read by bare xmltodict and thrown away.

Prints JSON: seconds after imports, and how many sessions and VMs came.
"""

from __future__ import annotations

import json
import os
import time

import requests
import xmltodict

PAGES = "/api/query?type=CloudFailoverSession&format=Entities&sortAsc=CreationTime&pageSize=100&page={}"  # the client's


def main() -> None:
    began = time.perf_counter()
    url = os.environ["VEEAM_EM_URL"]
    sessions = vms = 0
    with requests.Session() as http:
        http.verify = os.environ["VEEAM_EM_CA_PATH"]
        user = (os.environ["VEEAM_EM_USERNAME"], os.environ["VEEAM_EM_PASSWORD"])
        reply = http.post(f"{url}/api/sessionMngr/?v=latest", auth=user)
        reply.raise_for_status()
        logon = xmltodict.parse(reply.content)["LogonSession"]["SessionId"]
        http.headers["X-RestSvcSessionId"] = reply.headers["X-RestSvcSessionId"]
        page, last = 1, 1
        while page <= last:
            reply = http.get(url + PAGES.format(page))
            reply.raise_for_status()
            result = xmltodict.parse(reply.content, force_list=("CloudFailoverSession",))["QueryResult"]
            last = int(result["PagingInfo"]["@PagesCount"])
            found = result["Entities"]["CloudFailoverSessions"]["CloudFailoverSession"]
            sessions += len(found)
            vms += sum(len(session["CloudFailoverTasks"]["CloudFailoverTasks"]) for session in found)
            page += 1
        http.delete(f"{url}/api/logonSessions/{logon}").raise_for_status()
    print(json.dumps({"seconds": time.perf_counter() - began, "sessions": sessions, "vms": vms}))


if __name__ == "__main__":
    main()
