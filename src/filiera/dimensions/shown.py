"""Plans that a person was shown, so that `apply --plan KEY` does that plan or says how the world moved since."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filiera.errors import ConflictError, NotFoundError

KEPT = 20  #: newest plans
LEAST_DIGITS = 6


def remember_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Keep a plan's JSON by its key; the oldest beyond twenty go."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{_digits(plan['key'])}.json"
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(plan), encoding="utf-8")
    fresh.rename(path)
    plans = sorted(folder.glob("*.json"), key=lambda item: item.stat().st_mtime_ns, reverse=True)
    for old in plans[KEPT:]:
        old.unlink(missing_ok=True)


def refuse_stale(folder: Path, asked: str, now: Mapping[str, Any]) -> None:
    """Let the plan of now pass only if it is the one that was asked for.

    Args:
        folder: of `remember_plan`.
        asked: the plan's key, or its first digits.
        now: the plan as it would be made now.

    Raises:
        ConflictError: the plan is stale; says what differs.
        NotFoundError: no such plan was shown here.
    """
    digits = _digits(asked)
    if len(digits) >= LEAST_DIGITS and _digits(now["key"]).startswith(digits):
        return
    found = sorted(folder.glob(f"{digits}*.json")) if len(digits) >= LEAST_DIGITS and digits.isalnum() else []
    if not found:
        raise NotFoundError(
            "plan.unknown",
            f"no plan {asked} was shown here",
            expected=f"the key that `filiera plan` ends with, {LEAST_DIGITS} digits at least",
            next="run `filiera plan` again",
        )
    then = json.loads(found[-1].read_text(encoding="utf-8"))
    raise ConflictError(
        "plan.stale",
        f"plan {digits[:8]} is stale",
        expected="the world as it was when the plan was made",
        found="; ".join(differences(then, now)) or "another environment",
        next=f"look at `filiera plan` again; now it is {_digits(now['key'])[:8]}",
    )


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two plans differ, one sentence an asset."""
    before = {step["asset"]: step for step in then["steps"]}
    after = {step["asset"]: step for step in now["steps"]}
    texts = [f"{name} is gone" for name in before.keys() - after.keys()]
    for name, step in after.items():
        old = before.get(name)
        if old is None:
            texts.append(f"{name} is new")
        elif old["action"] != step["action"]:
            texts.append(f"{name} was to {old['action']}, now {step['action']}{_because(step)}")
        elif (old["key"], old["definition"], old["reasons"]) != (step["key"], step["definition"], step["reasons"]):
            texts.append(f"{name} moved{_because(step)}")
    return texts


def _because(step: Mapping[str, Any]) -> str:
    reasons = "; ".join(reason["text"] for reason in step["reasons"][:3])
    return f" because {reasons}" if reasons else ""


def _digits(key: str) -> str:
    return key.removeprefix("sha256:")
