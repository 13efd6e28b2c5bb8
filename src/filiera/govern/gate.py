"""The conditions of a release, as values with their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from filiera.errors import GateError


@dataclass(frozen=True, slots=True)
class Check:
    """One condition and what was found."""

    name: str
    passed: bool
    evidence: str  #: figures a person can follow

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {"name": self.name, "passed": self.passed, "evidence": self.evidence}


def judge(subject: str, checks: Sequence[Check]) -> None:
    """Let a release pass when every check does.

    Raises:
        GateError: a check failed; names each with its evidence. No check at all is refused too: an empty gate is
            a mistake, not a permission.
    """
    failed = [check for check in checks if not check.passed]
    if checks and not failed:
        return
    lines = "; ".join(f"{check.name}: {check.evidence}" for check in failed) or "no check was made"
    raise GateError(
        "gate.refused",
        f"{subject} is not released",
        checks=checks,
        expected="every check passes",
        found=lines,
        next="nothing changed; what runs keeps running",
    )
