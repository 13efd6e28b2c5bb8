"""How long does a plan of 10,000 and of 100,000 steps take, and how much memory, over a real ledger?

The graph is random and layered (one to five inputs each); every step has a trace in the ledger, as after an apply. The
plan reads them through the same facts as `filiera plan`. Asked: nothing changed; five steps changed near the roots; a
new generation of graph after a change of the source. Describing code is not part of it: a project has that many steps
when they are parts of tables, not functions. The limit is the same plan with dictionaries instead of a ledger: hash of
each key and one look-up.

Each size runs in a process of its own, so that the peak of memory is its own.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import record

QUESTION = "seconds and memory of a plan of many steps over a real ledger"
SIZES = (10_000, 100_000)
SETTINGS = """
[project]
name = "large"
owner = "bench"
purposes = ["bench"]

[source.readings]
from = "readings.csv"
device = "device"
time = "at"

[source.readings.columns]
device = { type = "category" }
at     = { type = "time" }
load   = { type = "float" }
"""


def make_graph(count: int) -> Any:
    """A layered graph of tables over one source; each reads one to five earlier ones."""
    from filiera.core.asset import Code, Frame, Graph, Port, Table
    from filiera.core.key import with_digests

    rng = random.Random(0)
    tables = []
    for number in range(count):
        if number < count // 20:
            names = {"readings"}
        else:
            low = max(0, number - count // 8)
            names = {f"t{rng.randrange(low, number)}" for _ in range(rng.choice((1, 2, 2, 3, 5)))}
        code = Code(module="pipeline", name=f"t{number}", digest=f"code-{number}", manifest={})
        ports = tuple(Port(name, Frame.PANDAS) for name in sorted(names))
        tables.append(
            Table(name=f"t{number}", inputs=ports, settings={}, partition=None, lookback_us=0, key=None, code=code)
        )
    manifest = {"python": "3.11", "platform": "bench", "libraries": {}}
    return with_digests(
        Graph(sources=("readings",), tables=tuple(tables), models=(), runtime="r", runtime_manifest=manifest)
    )


def edited(graph: Any, count: int) -> Any:
    """The graph with other code in `count` steps of its first half."""
    from filiera.core.key import with_digests

    chosen = set(random.Random(1).sample(range(len(graph.tables) // 2), count))
    tables = tuple(
        replace(table, code=replace(table.code, digest=f"{table.code.digest}-edited")) if place in chosen else table
        for place, table in enumerate(graph.tables)
    )
    return with_digests(replace(graph, tables=tables))


def fill(workspace: Any, graph: Any) -> None:
    """A trace and a snapshot of every step, and a generation that names them, in one commit."""
    import sqlalchemy as sa

    from filiera.core.generation import Generation
    from filiera.core.key import interpreter, settings_of, step_key
    from filiera.ledger import environments, traces
    from filiera.ledger import tables as t

    semantics = {"readings": workspace.snapshot("readings").semantic}
    snapshots, rows, canon = [], [], []
    with workspace.ledger.commit(actor="bench", action="bench.fill", object="large") as tx:
        record_of = {"code": {}, "settings": settings_of(graph.tables[0]), "interpreter": interpreter(graph)}
        manifest = traces.put_manifest(tx, record_of)
        for number, table in enumerate(graph.ordered()):
            inputs = {port.asset: semantics[port.asset] for port in table.inputs}
            key = step_key(table, inputs, graph)
            output = f"sem1:{hashlib.sha256(key.encode()).hexdigest()}"
            semantics[table.name] = output
            common = {"project": tx.project, "asset": table.name, "created_us": tx.now_us}
            snapshots.append(common | {
                "id": f"snp_{number}", "number": 1, "rows": 10, "schema": "[]", "key": "[]", "semantic": output,
                "totals": "{}", "classes": "",
            })  # fmt: skip
            rows.append(common | {
                "id": f"trc_{number}", "kind": "table", "key": key, "run": "run", "inputs": json.dumps(inputs),
                "input_snapshots": "{}", "code_digest": table.code.digest, "manifest_digest": manifest,
                "output": f"snp_{number}", "output_semantic": output, "seconds": 1.0, "cpu_seconds": 1.0,
                "cost_nano": 1, "input_rows": 10, "parts": "{}", "dynamic": "{}",
                "definition": graph.digests[table.name],
            })  # fmt: skip
            canon.append({"asset": table.name, "key": key, "trace": f"trc_{number}"})
        for target, values in ((t.snapshot, snapshots), (t.trace, rows), (t.canon, canon)):
            tx.connection.execute(sa.insert(target), values)
        head = environments.head(tx.connection, "dev")
        assets = dict(head.assets) | {row["asset"]: row["id"] for row in rows}
        generation = Generation(
            id=tx.new_id("gen"),
            environment="dev",
            number=head.number + 1,
            kind="apply",
            assets=assets,
            bundle=head.bundle,
            cause={},
            actor="bench",
            created_us=tx.now_us,
        )
        environments.advance(tx, generation, head.number)


def limit(graph: Any, source: str) -> float:
    """Seconds of the same plan with dictionaries for the ledger."""

    def key(table: Any, known: dict[str, str]) -> str:
        parts = [table.name, graph.digests[table.name], *(known[port.asset] for port in table.inputs)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    order = list(graph.ordered())
    known, answers = {"readings": source}, {}
    for table in order:
        answers[key(table, known)] = known[table.name] = f"out-{table.name}"
    began = time.perf_counter()
    known = {"readings": source}
    for table in order:
        known[table.name] = answers[key(table, known)]
    return time.perf_counter() - began


def prepare(count: int, folder: Path) -> None:
    """A project whose ledger has a trace of every step."""
    from filiera.workspace import Workspace

    folder.mkdir()
    (folder / "filiera.toml").write_text(SETTINGS)
    (folder / "pipeline.py").write_text("")
    (folder / "readings.csv").write_text("device,at,load\na,2024-01-01T00:00:00Z,1\n")
    workspace, _ = Workspace.create(folder)
    workspace.apply()
    fill(workspace, make_graph(count))
    workspace.close()


def measure(count: int, folder: Path) -> dict[str, Any]:
    """Two plans in this process; the peak of memory has interpreter, libraries and the graph in it."""
    from filiera.core.plan_text import plan_text
    from filiera.dimensions.facts import LedgerFacts
    from filiera.dimensions.plan import make_plan
    from filiera.workspace import Workspace

    workspace, graph = Workspace.open(folder), make_graph(count)
    found: dict[str, Any] = {"steps": count, "edges": sum(len(table.inputs) for table in graph.tables)}
    found["before_mib"] = peak_mib()
    for name, asked in (("unchanged", graph), ("five edits", edited(graph, 5))):
        fresh = replace(asked)  # nothing remembered from an earlier plan
        began = time.perf_counter()
        facts = LedgerFacts(workspace._context, "dev")
        plan = make_plan(fresh, facts, environment="dev", currency="EUR", now_us=0)
        text, key = plan_text(plan), plan.key
        found[f"{name}_s"] = time.perf_counter() - began
        actions = [step.action.value for step in plan.steps]
        found[f"{name} steps"] = {word: actions.count(word) for word in sorted(set(actions))}
        assert key
        assert ("nothing to do" in text) == (name == "unchanged")
        found[f"{name}_peak_mib"] = peak_mib()
    found["limit_s"] = limit(graph, workspace.snapshot("readings").semantic)
    workspace.close()
    return found


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(step: str, count: int, folder: Path) -> str:
    words = [sys.executable, __file__, step, str(count), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def main() -> None:
    figures = []
    with record.scratch() as folder:
        for count in SIZES:
            run("prepare", count, folder / f"p{count}")
            found = json.loads(run("measure", count, folder / f"p{count}"))
            figures.append(found)
            print(
                f"  {count:>7,} steps, {found['edges']:,} edges: unchanged {found['unchanged_s']:.2f} s, five edits"
                f" {found['five edits_s']:.2f} s {found['five edits steps']}, limit {found['limit_s']:.2f} s,"
                f" peak {found['unchanged_peak_mib']:.0f} and {found['five edits_peak_mib']:.0f} MiB,"
                f" {found['before_mib']:.0f} of them before the plan"
            )
    headline = {f"{f['steps']:,} steps unchanged, s": f["unchanged_s"] for f in figures}
    headline |= {f"{f['steps']:,} steps, five edits, s": f["five edits_s"] for f in figures}
    headline |= {f"{f['steps']:,} steps, times the limit": f["unchanged_s"] / f["limit_s"] for f in figures}
    headline |= {f"{f['steps']:,} steps, peak MiB": f["five edits_peak_mib"] for f in figures}
    record.write("large_plan", QUESTION, {"sizes": figures}, headline)


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        prepare(int(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main()
