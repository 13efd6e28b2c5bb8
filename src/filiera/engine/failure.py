"""Errors that came out of a child, as errors again."""

from __future__ import annotations

from filiera import errors
from filiera.engine.task import Result
from filiera.errors import FilieraError, WorkError


def raise_failure(result: Result, what: str) -> None:
    """Raise what went wrong in a task; nothing when it went well.

    Raises:
        FilieraError: the error that the child's code raised, or WorkError for any other exception or a dead child.
    """
    if result.lost:
        raise WorkError(
            "work.lost", f"the process of {what} died", next="often too little memory; run again, or with less data"
        )
    if result.error is None:
        return
    found = result.error
    parts = {name: found.get(name, "") for name in ("expected", "found", "next", "where")}
    kind = getattr(errors, found.get("kind", ""), WorkError)
    if kind is WorkError or not issubclass(kind, FilieraError):
        raise WorkError(found["code"], f"{what}: {found['message']}", details=found.get("details", ""), **parts)
    raise kind(found["code"], found["message"], **parts)
