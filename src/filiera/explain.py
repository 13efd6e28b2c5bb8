"""Why, since when, and what differs: answers from the ledger about one asset, one environment, or two.

Every answer is data first (`to_json` of the schema named) and text second, so that CLI, HTTP and notebooks agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from filiera.clock import rfc3339
from filiera.code.flags import sentence
from filiera.core.generation import Generation
from filiera.core.money import Money
from filiera.core.plan import Plan, Step
from filiera.core.trace import Trace
from filiera.dimensions.compare import compare
from filiera.dimensions.context import Context
from filiera.engine.reads import ABSENT
from filiera.errors import NotFoundError, nearest
from filiera.ledger import environments, snapshots, studies, traces
from filiera.ledger.journal import Connection

_ACTIONS = {
    "run": "must run",
    "maybe": "may run",
    "hold": "is held",
    "restore": "runs nothing: an earlier result will stand again",
    "reuse": "is up to date",
}


def why(context: Context, plan: Plan, asset: str) -> dict[str, Any]:
    """What the plan does with an asset and why, and what stands for it now: `filiera.why/1`.

    Raises:
        NotFoundError: no such asset; names the nearest.
    """
    steps = {step.asset: step for step in plan.steps}
    if asset not in steps:
        raise NotFoundError("asset.unknown", f"no asset {asset}", next=nearest(asset, steps))
    with context.ledger.reading() as connection:
        head = environments.head(connection, plan.environment)
        trace = traces.get(connection, head.assets[asset]) if head and asset in head.assets else None
        stands = _standing(connection, trace, context) if trace else None
    step: Step = steps[asset]
    return {
        "schema": "filiera.why/1",
        "asset": asset,
        "environment": plan.environment,
        "action": step.action.value,
        "operation": step.operation,
        "reasons": [reason.to_json() for reason in step.reasons],
        "stands": stands,
    }


def _standing(connection: Connection, trace: Trace, context: Context) -> dict[str, Any]:
    manifest = traces.get_manifest(connection, trace.manifest_digest)
    code = manifest.get("code", {})
    return {
        "label": label(connection, trace),
        "trace": trace.id,
        "key": trace.key,
        "run": trace.run,
        "made": rfc3339(trace.created_us),
        "seconds": round(trace.seconds, 3),
        "cost": Money(trace.cost_nano, context.prices.currency).to_json(),
        "inputs": {name: _input(connection, name, trace) for name in trace.inputs},
        "units": sorted(code.get("units", {})),
        "libraries": dict(code.get("libraries", {})),
        "flags": list(code.get("flags", [])),
        "files": sorted(code.get("files", {})),
        "variables": sorted(code.get("declared_variables", {})),
        "undeclared": sorted(name for name, content in trace.dynamic.items() if content != ABSENT),
        "environment": sorted(set(code.get("variables", [])) - set(code.get("declared_variables", {}))),
        "settings": manifest.get("settings", {}),
    }


def _input(connection: Connection, name: str, trace: Trace) -> str:
    """What was read, as people call it."""
    made = trace.input_snapshots.get(name)
    found = (snapshots.get(connection, made) or studies.get_version(connection, made)) if made else None
    return f"{name}@{found.number}" if found else name


def label(connection: Connection, trace: Trace) -> str:
    """An output as people call it: `features@3`, `power@2`."""
    if trace.kind == "model":
        version = studies.get_version(connection, trace.output)
        return version.label if version else trace.asset
    snapshot = snapshots.get(connection, trace.output)
    return f"{trace.asset}@{snapshot.number}" if snapshot else trace.asset


def log(context: Context, environment: str, limit: int) -> dict[str, Any]:
    """The generations of an environment, newest first, each with what it moved: `filiera.log/1`."""
    with context.ledger.reading() as connection:
        past = environments.history(connection, environment, limit=limit + 1)
        earlier: list[Generation | None] = [*past[1:], None]
        entries = [_entry(connection, context, now, before) for now, before in zip(past, earlier, strict=True)]
    return {"schema": "filiera.log/1", "environment": environment, "generations": entries[:limit]}


def _entry(connection: Connection, context: Context, now: Generation, before: Generation | None) -> dict[str, Any]:
    known = before.assets if before else {}
    moved = [name for name, trace_id in now.assets.items() if known.get(name) != trace_id]
    found = [traces.get(connection, now.assets[name]) for name in moved]
    run = now.cause.get("run")
    cost = environments.run_spend(connection, str(run)) if run else 0
    return {
        "generation": now.number,
        "kind": now.kind,
        "actor": now.actor,
        "created": rfc3339(now.created_us),
        "moved": [label(connection, trace) for trace in found if trace],
        "gone": sorted(known.keys() - now.assets.keys()),
        "cause": dict(now.cause),
        "code_changed": before is not None and before.bundle != now.bundle,
        "cost": Money(cost, context.prices.currency).to_json(),
    }


def diff(context: Context, one: str, other: str) -> dict[str, Any]:
    """Two environments side by side, asset by asset: `filiera.diff/1`.

    Raises:
        NotFoundError: an environment has no generation yet.
    """
    with context.ledger.reading() as connection:
        heads = [_head(connection, name) for name in (one, other)]
        names = sorted({name for head in heads for name in head.assets})
        rows = [_difference(connection, name, *heads) for name in names]
    return {
        "schema": "filiera.diff/1",
        "environments": [one, other],
        "generations": [head.number for head in heads],
        "assets": rows,
        "equal": all(row["equal"] for row in rows),
    }


def _head(connection: Connection, environment: str) -> Generation:
    head = environments.head(connection, environment)
    if head is None:
        known = environments.names(connection)
        raise NotFoundError(
            "environment.empty", f"{environment} has no generation yet", next=nearest(environment, known)
        )
    return head


def _difference(connection: Connection, name: str, one: Generation, other: Generation) -> dict[str, Any]:
    pair = [traces.get(connection, head.assets[name]) if name in head.assets else None for head in (one, other)]
    first, second = pair
    equal = first is not None and second is not None and first.output_semantic == second.output_semantic
    reasons = []
    if first is not None and second is not None and first.id != second.id:
        reasons = [r.to_json() for r in compare(second, first, lambda digest: traces.get_manifest(connection, digest))]
    return {
        "asset": name,
        "labels": [label(connection, trace) if trace else None for trace in pair],
        "equal": equal,
        "reasons": reasons,
        "metrics": [_metrics(connection, trace) for trace in pair],
    }


def _metrics(connection: Connection, trace: Trace | None) -> dict[str, Any] | None:
    version = studies.get_version(connection, trace.output) if trace and trace.kind == "model" else None
    if version is None:
        return None
    return {"score": version.metrics["score"], "value": version.metrics["value"], "unit": version.card["unit"]}


def why_text(answer: Mapping[str, Any]) -> str:
    """`filiera.why/1` for people."""
    return "\n".join(_why_lines(answer))


def _why_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"{answer['asset']} {_ACTIONS[answer['action']]} in {answer['environment']}"
    for reason in answer["reasons"]:
        yield f"  {reason['dimension']:8}{reason['text']}"
    stands = answer["stands"]
    if stands is None:
        yield "  nothing stands for it yet"
        return
    money = Money.of(f"{stands['cost']['amount']} {stands['cost']['currency']}")
    made = stands["made"][:16].replace("T", " ")
    took = f" in {stands['seconds']:.3g} s for {money}" if answer["operation"] != "ingest" else ""
    yield f"  stands  {stands['label']}, made {made}{took}"
    if stands["inputs"]:
        yield f"  from    {', '.join(stands['inputs'].values())}"
    if stands["units"]:
        yield f"  code    {', '.join(stands['units'])}"
    if stands["libraries"]:
        yield f"  with    {', '.join(f'{name} {version}' for name, version in sorted(stands['libraries'].items()))}"
    read = [*stands["files"], *(f"variable {name}" for name in stands["variables"])]
    read += [f"{name} (not declared)" for name in stands["undeclared"]]
    if read:
        yield f"  read    {', '.join(read)}"
    if stands["environment"]:
        yield f"  reads   {', '.join(stands['environment'])} of the environment (not declared)"
    yield from (f"  note    it {sentence(flag)}" for flag in stands["flags"])
    yield f"  trace   {stands['trace']}, key {stands['key'].removeprefix('sha256:')[:12]}"


def log_text(answer: Mapping[str, Any]) -> str:
    """`filiera.log/1` for people."""
    return "\n".join(_log_lines(answer))


def _log_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    if not answer["generations"]:
        yield f"{answer['environment']} has no generation yet"
    for entry in answer["generations"]:
        money = Money.of(f"{entry['cost']['amount']} {entry['cost']['currency']}")
        price = f", {money}" if money.nano else ""
        when = entry["created"][:16].replace("T", " ")
        yield f"{entry['generation']:>4}  {when}  {entry['kind']:8} by {entry['actor']}{price}"
        if entry["moved"]:
            yield f"      to {', '.join(entry['moved'])}"
        if entry["gone"]:
            yield f"      without {', '.join(entry['gone'])}"
        if "to" in entry["cause"]:
            yield f"      back to generation {entry['cause']['to']}"
        for place, value in entry["cause"].get("set", {}).items():
            yield f"      with {place} = {value}"
        if entry["code_changed"]:
            yield "      the code changed"


def diff_text(answer: Mapping[str, Any]) -> str:
    """`filiera.diff/1` for people."""
    return "\n".join(_diff_lines(answer))


def _diff_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    one, other = answer["environments"]
    yield f"{one} generation {answer['generations'][0]} against {other} generation {answer['generations'][1]}"
    for row in answer["assets"]:
        left, right = (name or "absent" for name in row["labels"])
        yield f"  {'same' if row['equal'] else 'differ':7} {row['asset']:16} {left} | {right}{_scores(row['metrics'])}"
        for reason in row["reasons"]:
            yield f"          {reason['dimension']:8}{reason['text']}"


def _scores(metrics: list[Mapping[str, Any] | None]) -> str:
    if not any(metrics):
        return ""
    told = [f"{m['score']} {m['value']:.4g} {m['unit'] or ''}".rstrip() if m else "absent" for m in metrics]
    return f"  {told[0]} | {told[1]}"
