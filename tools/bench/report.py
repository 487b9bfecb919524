# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the figures of tools/bench.py to tables on the screen and in build/performance.md: report.py RESULTS

The targets and the plot are in docs/quality.md, too. A small run (--quick) only gets the tables on the screen.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

REPO = Path(__file__).resolve().parents[2]
PAGE = REPO / "docs" / "quality.md"
TABLES = REPO / "build" / "performance.md"
PLOT = REPO / "docs" / "images" / "performance.png"
BEGIN = "<!-- figures, written by make bench -->\n"
END = "<!-- end of figures -->\n"

Row = dict[str, Any]

NAMES = {
    "module": "the module",
    "ping": "`ping` only",
    "query": "one `uri` query by hand",
    "loop": "`uri` for each session",
    "fields": "the module, `fields` of six names",
    "look": "a look of `failover_history` with nothing new (target ≤ 1.3)",
    "handed over": "floor: a module that returns ready facts",
    "floor": "floor: `requests` and `xmltodict`",
    "client": "client, list of facts",
    "each": "client, facts one by one",
    "in turn": "client, list, one page at a time",
    "ready": "script inventory",
    "plain": "inventory plugin",
    "cached": "inventory plugin, from its cache",
}


class Figures:
    """Medians of what was measured; KeyError for what was not."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = {(row["sessions"], row["latency_ms"], row["peer"]): row for row in rows}

    def of(self, peer: str, sessions: int, latency_ms: int = 0, kind: str = "seconds") -> float:
        return float(median(self.rows[sessions, latency_ms, peer][kind]))

    def inside(self, peer: str, sessions: int) -> float:
        return self.of(peer, sessions, kind="inside")

    def memory(self, peer: str, sessions: int) -> float:
        return self.of(peer, sessions, kind="memory")


# Targets


@dataclass(frozen=True)
class Target:
    """A ratio of two medians, and its bound.

    :param bound: None for what is only compared.
    :param values: gives dividend and divisor; the divisor is 1 for what is not a ratio.
    """

    what: str
    bound: float | None
    values: Callable[[Figures], tuple[float, float]]
    at_least: bool = False
    unit: str = "s"

    def cells(self, figures: Figures) -> list[str]:
        wanted = "none" if self.bound is None else f"{'≥' if self.at_least else '≤'} {self.bound:g}"
        try:
            above, below = self.values(figures)
        except KeyError:
            return [self.what, wanted, "not measured", "", ""]
        ratio = above / below
        outcome = "for comparison"
        if self.bound is not None:
            reached = ratio >= self.bound if self.at_least else ratio <= self.bound
            outcome = "reached" if reached else "**not reached**"
        measured, medians = f"**{ratio:.3f}**", f"{above:.2f} / {below:.2f} {self.unit}"
        if below == 1:
            measured, medians = f"**{above:g}**", ""
        return [self.what, wanted, measured, medians, outcome]


def most_at_once(figures: Figures) -> tuple[float, float]:
    return max(figures.rows[4_000, 200, "client"]["in_flight"]), 1


TARGETS = (
    Target(
        "200 sessions: `uri` for each session / module",
        *(40, lambda f: (f.of("loop", 200), f.of("module", 200))),
        at_least=True,
    ),
    Target(
        "200 sessions: one `uri` query by hand / module",
        *(1.5, lambda f: (f.of("query", 200), f.of("module", 200))),
        at_least=True,
    ),
    Target(
        "4,000 sessions: playbook with `fields` of six names / playbook with `ping` only",
        *(3.2, lambda f: (f.of("fields", 4_000), f.of("ping", 4_000))),
    ),
    Target(
        "4,000 sessions: playbook with `fields` of six names / playbook with all facts",
        *(0.55, lambda f: (f.of("fields", 4_000), f.of("module", 4_000))),
    ),
    Target(
        "4,000 sessions: client with the list of all facts / floor, both after imports",
        *(1.3, lambda f: (f.inside("client", 4_000), f.inside("floor", 4_000))),
    ),
    Target(
        "40 pages, EM takes 200 ms: client one page at a time / client",
        *(2.5, lambda f: (f.of("in turn", 4_000, 200), f.of("client", 4_000, 200))),
        at_least=True,
    ),
    Target("The same: maximum number of requests that EM had at once", 4, most_at_once),
    Target(
        "10,000 VMs: inventory plugin / script inventory",
        *(1.2, lambda f: (f.of("plain", 1_000), f.of("ready", 1_000))),
    ),
    Target(
        "10,000 VMs: inventory plugin from its cache / script inventory",
        *(1.2, lambda f: (f.of("cached", 1_000), f.of("ready", 1_000))),
    ),
    Target(
        "Client with facts one by one, peak memory: 4,000 sessions / 400 sessions",
        *(1.1, lambda f: (f.memory("each", 4_000), f.memory("each", 400))),
        unit="MiB",
    ),
    Target(
        "Client with facts one by one, peak memory: 20,000 sessions / 400 sessions",
        *(1.1, lambda f: (f.memory("each", 20_000), f.memory("each", 400))),
        unit="MiB",
    ),
    Target(
        "200 sessions: playbook with the module / playbook with `ping` only",
        *(None, lambda f: (f.of("module", 200), f.of("ping", 200))),
    ),
    Target(
        "200 sessions: playbook with the module / (floor for the answer + floor for wire and parser)",
        *(None, lambda f: (f.of("module", 200), f.of("handed over", 200) + f.of("floor", 200))),
    ),
    Target(
        "4,000 sessions: playbook with the module / playbook with `ping` only",
        *(None, lambda f: (f.of("module", 4_000), f.of("ping", 4_000))),
    ),
    Target(
        "4,000 sessions: playbook with the module / (floor for the answer + floor for wire and parser)",
        *(None, lambda f: (f.of("module", 4_000), f.of("handed over", 4_000) + f.of("floor", 4_000))),
    ),
)


# Tables


def table(head: str, rows: list[list[str]]) -> str:
    columns = head.count("|") + 1
    lines = [f"| {head} |", "|---" * columns + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def spread(values: list[float]) -> str:
    middle = f"{median(values):.2f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.2f} - {max(values):.2f})"


def compared(figures: Figures, peers: tuple[str, ...], base: str, kind: str) -> Iterator[tuple[Row, str]]:
    """The rows of these peers, by stage, each with its ratio to the base of its stage."""
    stages = dict.fromkeys((sessions, latency) for sessions, latency, _peer in figures.rows)
    for sessions, latency in sorted(stages):
        for peer in peers:
            row = figures.rows.get((sessions, latency, peer))
            if row:
                against = figures.rows.get((sessions, latency, base))
                ratio = f"{median(row[kind]) / median(against[kind]):.2f}" if against else "-"
                yield row, ratio


def server_cells(row: Row) -> list[str]:
    return [f"{row['sessions']:,}", f"{row['latency_ms']} ms", NAMES[row["peer"]]]


def last_cells(row: Row) -> list[str]:
    return [f"{median(row['processor']):.2f}", f"{median(row['memory']):.0f}", str(len(row["seconds"]))]


def playbooks(figures: Figures) -> str:
    rows = [
        [*server_cells(row), ratio, spread(row["seconds"]), *last_cells(row)]
        for row, ratio in compared(
            figures, ("ping", "fields", "handed over", "look", "module", "query", "loop"), "module", "seconds"
        )
    ]
    return table("Sessions | EM takes | Playbook with | Against module | Seconds | Processor | MiB | Rounds", rows)


def clients(figures: Figures) -> str:
    rows = [
        [*server_cells(row), ratio, spread(row["inside"]), spread(row["seconds"])]
        + [*last_cells(row), str(max(row["in_flight"]))]
        for row, ratio in compared(figures, ("floor", "client", "each", "in turn"), "floor", "inside")
    ]
    head = "Sessions | EM takes | What | Against floor | Seconds after imports | Seconds in all | Processor | MiB | Rounds | At once"
    return table(head, rows)


def inventories(figures: Figures) -> str:
    rows = [
        [f"{row['sessions'] * 10:,}", NAMES[row["peer"]], ratio, spread(row["seconds"]), *last_cells(row)]
        for row, ratio in compared(figures, ("ready", "plain", "cached"), "ready", "seconds")
    ]
    return table("VMs | What | Against script | Seconds | Processor | MiB | Rounds", rows)


def history(figures: Row) -> str:
    size = figures["sessions"]
    reading = median(figures["reading"])
    rows = [
        [
            f"{size:,} new sessions recorded in one look, sessions a second (target ≥ 1,000)",
            f"{size / figures['recorded']:,.0f}",
        ],
        [
            f"100 runs of one plan read out of {figures['of']:,} sessions and a year of hourly looks, against `ping` (target ≤ 1.5)",
            f"{reading / median(figures['ping']):.2f}",
        ],
        ["Size on disk of 1,000 sessions of 10 VMs, with their restore points", f"{figures['size'] / 1e6:.1f} MB"],
    ]
    return table("The store of the history, SQLite | Figure", rows)


def portfolio(figures: Row) -> str:
    size = f"{figures['plans']:,} plans of {figures['vms']} VMs and {figures['runs']} runs each"
    rows = [
        [f"Judge {size}, seconds of processor time (target ≤ 2)", spread(figures["judged"])],
        ["Make page, CSV and JSON of them, seconds of processor time (target ≤ 5)", spread(figures["made"])],
        ["Size of the page (target ≤ 3 MB)", f"{figures['page'] / 1e6:.1f} MB"],
    ]
    return table("Readiness and its page | Figure", rows)


# Growth


def points(figures: Figures, peer: str, kind: str) -> tuple[list[int], list[float]]:
    sizes = sorted(sessions for sessions, latency, name in figures.rows if name == peer and latency == 0)
    return sizes, [figures.of(peer, size, kind=kind) for size in sizes]


def growth(figures: Figures) -> str:
    rows = []
    for peer in ("module", "fields", "client", "each", "floor"):
        cells = [NAMES[peer]]
        for kind, digits, unit in (("seconds", 3, "s"), ("memory", 2, "MiB")):
            sizes, values = points(figures, peer, kind)
            line = linear_regression(sizes, values)
            off = max(
                abs(value - line.intercept - line.slope * size) for size, value in zip(sizes, values, strict=True)
            )
            cells += [f"**{line.slope * 1000:.{digits}f} {unit}**", f"{line.intercept:.2f} {unit}", f"{off:.2f} {unit}"]
        rows.append(cells)
    return table(
        "What | For each 1,000 sessions more | Beside that | Farthest point | Memory for each 1,000 more | Beside that | Farthest point",
        rows,
    )


def draw(figures: Figures) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update({"font.size": 11})
    drawing, axes = pyplot.subplots(1, 2, figsize=(10.5, 4.4), layout="constrained")
    for axis, kind, label in zip(axes, ("seconds", "memory"), ("seconds", "peak memory, MiB"), strict=True):
        for peer, mark in (("module", "o"), ("fields", "v"), ("client", "s"), ("each", "^"), ("floor", "D")):
            sizes, values = points(figures, peer, kind)
            line = linear_regression(sizes, values)
            (drawn,) = axis.plot(sizes, values, mark, markersize=6, label=NAMES[peer].replace("`", ""))
            fitted = [line.intercept + line.slope * size for size in sizes]
            axis.plot(sizes, fitted, "-", linewidth=1, color=drawn.get_color())
        axis.set_xlabel("sessions, with 10 VMs each")
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.set_xticks(range(0, 20_001, 5_000))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.grid(alpha=0.3)
    axes[0].legend()
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(PLOT, dpi=100, metadata={"Software": None})


# The page


def processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def machine(results: dict[str, Any]) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ("ansible-core", "requests", "urllib3", "xmltodict", "ansible")
    rows = [
        ["Date", f"{datetime.now(timezone.utc):%Y-%m-%d}; the run took {results['seconds'] / 60:.0f} minutes"],
        ["Machine", f"{processor() or platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory"],
        ["Load before the run", f"{results['load']:.2f}"],
        ["System", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"],
        ["Libraries", ", ".join(f"{name} {version(name)}" for name in libraries) + " (for ansible.utils)"],
    ]
    return table(" | ", rows)


def targets_text(results: dict[str, Any]) -> str:
    figures = Figures(results["rows"])
    rows = [target.cells(figures) for target in TARGETS]
    return machine(results) + "\n" + table("Ratio | Target | Measured | Medians | Outcome", rows)


def figures_text(results: dict[str, Any]) -> str:
    figures = Figures(results["rows"])
    parts = [
        targets_text(results),
        "### Playbooks\n",
        playbooks(figures),
        "### The client without Ansible\n",
        clients(figures),
        "### Inventory\n",
        inventories(figures),
        "### History\n",
        history(results["history"]),
        "### Readiness\n",
        portfolio(results["portfolio"]),
    ]
    if not results["quick"]:
        parts += ["### Growth\n", growth(figures)]
    return "\n".join(parts)


def main(path: str) -> int:
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    text = figures_text(results)
    print(text)
    if results["quick"]:
        print("A small run: nothing was written")
        return 0
    before, _begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not end:
        print(f"{PAGE} has no place for the figures")
        return 1
    PAGE.write_text(f"{before}{BEGIN}\n{targets_text(results)}\n{END}{after}", encoding="utf-8")
    TABLES.parent.mkdir(exist_ok=True)
    TABLES.write_text(f"# Performance\n\n{text}", encoding="utf-8")
    draw(Figures(results["rows"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
