"""Every event and what came of it, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten
from typing import Any

from filiera.clock import rfc3339
from filiera.core.event import Decision, Event, EventKind, Intent
from filiera.core.money import Money
from filiera.core.text_table import text_table
from filiera.dimensions.context import Context
from filiera.ledger import events, intents

#: Letters of a line about what came of an event; --json has all.
LINE = 110


def events_report(context: Context, limit: int) -> dict[str, Any]:
    """The newest events with what was decided in each environment, and every intent that waits: `filiera.events/1`."""
    with context.ledger.reading() as connection:
        newest = events.newest(connection, limit)
        decided = events.decisions(connection, since=newest[-1].number - 1 if newest else 0)
        numbers = sorted({item.intent for item in decided if item.intent is not None})
        found = {n: intent for n in numbers if (intent := intents.get(connection, n)) is not None}
        waiting = intents.in_state(connection, "waiting")
        looped = {e.number: events.cause_chain(connection, e) for e in newest if e.cause is not None}
    return {
        "schema": "filiera.events/1",
        "automated": context.settings.automation.on,
        "waiting": [_intent(item) for item in waiting],
        "events": [_event(event, decided, found, looped.get(event.number, set())) for event in newest],
    }


def _event(event: Event, decided: list[Decision], found: Mapping[int, Intent], looped: set[str]) -> dict[str, Any]:
    own = [item for item in decided if item.after < event.number <= item.through]
    return {
        "number": event.number,
        "kind": event.kind.value,
        "source": event.source,
        "source_id": event.source_id,
        "text": _text(event),
        "cause": event.cause,
        "created": rfc3339(event.created_us),
        "came_of_it": [_came(item, found, looped) for item in reversed(own)],
    }


def _text(event: Event) -> str:
    """What a person wants to know of an event."""
    body = event.body
    if event.kind is EventKind.DATA and "files" in body:
        more = f" and {body['count'] - 1} more" if body["count"] > 1 else ""
        return f"{body['files'][0]}{more}"
    if event.kind is EventKind.DATA:
        return f"snapshot {body['snapshot']} is newer than what {body['environment']} stands on"
    if event.kind in (EventKind.CODE, EventKind.SETTINGS):
        return f"is now {event.source_id.removeprefix('sha256:')[:12]}"
    if event.kind is EventKind.REST:
        return f"what {event.source_id} left"
    if event.kind is EventKind.START:
        return "began, and looks at everything once"
    return str(body.get("reason") or event.source_id)


def _came(item: Decision, found: Mapping[int, Intent], looped: set[str]) -> dict[str, Any]:
    intent = found.get(item.intent or 0)
    own_doing = item.environment in looped and item.code != "loop"
    return {
        "environment": item.environment,
        "outcome": "skipped" if own_doing else item.outcome.value,
        "code": "loop" if own_doing else item.code,
        "reason": f"{item.environment} brought this about by itself" if own_doing else item.reason,
        "decided": rfc3339(item.created_us),
        "intent": _intent(intent) if intent and not own_doing else None,
    }


def _intent(intent: Intent) -> dict[str, Any]:
    return {
        "number": intent.number,
        "environment": intent.environment,
        "state": intent.state,
        "reason": intent.reason,
        "left_out": list(intent.left_out),
        "approved_by": intent.approved_by,
        "generation": intent.generation,
        "result": dict(intent.result) if intent.result else None,
        "worst_cost": intent.plan["worst_cost"],
        "expected_s": intent.plan["expected_s"],
        "work": [
            {"operation": step["operation"], "asset": step["asset"], "reasons": [r["text"] for r in step["reasons"]]}
            for step in intent.plan["steps"]
            if step["action"] in ("run", "maybe")
        ],
        "created": rfc3339(intent.created_us),
        "ended": rfc3339(intent.ended_us) if intent.ended_us is not None else None,
    }


def outcome_text(came: Mapping[str, Any]) -> str:
    """One line about what came of an event in one environment."""
    intent = came["intent"]
    if intent is None:
        return f"{came['outcome']}: {came['reason']}"
    text = f"intent {intent['number']} {intent['state']}"
    if intent["state"] == "waiting":
        return f"{text}: {intent['reason']}"
    said = intent["result"]["text"] if intent["result"] else came["reason"]
    made = f" (generation {intent['generation']})" if intent["generation"] else ""
    return f"{text}{made}: {said}"


def events_text(report: Mapping[str, Any]) -> str:
    """What waits for a person, then a line for each event and environment, newest first."""
    lines = []
    for intent in report["waiting"]:
        lines.append(f"intent {intent['number']} of {intent['environment']} waits: {intent['reason']}")
        lines += [f"  {s['operation']:8} {s['asset']:16} {'; '.join(s['reasons'])}" for s in intent["work"]]
        worst = Money.of(f"{intent['worst_cost']['amount']} {intent['worst_cost']['currency']}")
        lines.append(f"  at most {worst}, nobody waits for it; `filiera events approve {intent['number']}` lets it run")
    rows: list[tuple[str, ...]] = []
    for event in report["events"]:
        head = (str(event["number"]), event["created"][:19], event["kind"], event["source"], _short(event["text"], 60))
        lines_of = [(item["environment"], _short(outcome_text(item), LINE)) for item in event["came_of_it"]] or [
            ("", "not decided yet")
        ]
        rows += [(*(head if place == 0 else ("",) * 5), *line) for place, line in enumerate(lines_of)]
    if not rows:
        return "no event yet; `filiera up` looks for them"
    return "\n".join([*lines, text_table(rows, ("event", "at", "kind", "source", "what", "environment", "came of it"))])


def _short(text: str, most: int) -> str:
    return shorten(text, most, placeholder=" ...")
