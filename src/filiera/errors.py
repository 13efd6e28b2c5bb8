"""Every error of filiera.

    FilieraError                 exit  HTTP   meaning
    ├── UsageError                 2    400   the request itself is wrong; says which field and what is allowed
    │   ├── SettingsError          2    400   unknown key, bad value; names file and line
    │   └── CodeError              2    422   the user's pipeline cannot be described; names file and line
    ├── DeniedError                3    403   who you are or what you may do; names the rule
    ├── ConflictError              4    409   the world moved; reading again and retrying is right
    ├── IntegrityError             5    503   bytes are not what was recorded (422 when the caller brought them)
    ├── UnavailableError           6    503   a dependency is down; `retryable` says whether waiting helps
    │   └── NoSpaceError           6    507   the disk is full; nothing was committed
    ├── GateError                  7    422   a gate, a contract or a budget said no; carries every failing check
    │   └── ContractError          7    422   data does not fit its contract as a whole (a column is missing)
    ├── NotFoundError              8    404   names what was looked for and the nearest names
    └── WorkError                  1    422   work ran and failed; a failed trial does not fail its study

One place in the CLI and one in the server turn an error into a status. Nothing else does.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar


class FilieraError(Exception):
    """Something a person can act on: what was expected, what was found, what to do next.

    Args:
        code: stable dotted name, such as `contract.column_missing`; never reused for another meaning.
        message: one sentence that says what is wrong.
        expected: what would have been right.
        found: what was there instead; never a secret, never a raw personal value.
        next: what the reader can do now.
        where: file and line, route, or asset the error is about.
    """

    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 422

    def __init__(
        self, code: str, message: str, *, expected: str = "", found: str = "", next: str = "", where: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = expected
        self.found = found
        self.next = next
        self.where = where

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way between processes: keyword arguments are not part of `args`."""
        return (_rebuild, (type(self), self.__dict__))

    def __str__(self) -> str:
        """All parts as lines for a terminal; empty parts are left out."""
        head = f"{self.where}: {self.message}" if self.where else self.message
        parts = [("expected", self.expected), ("found", self.found), ("next", self.next)]
        return "\n".join([head, *(f"  {name}: {text}" for name, text in parts if text)])

    def to_json(self) -> dict[str, Any]:
        """The problem document of this error. Source: RFC 9457, section 3."""
        body: dict[str, Any] = {
            "type": f"urn:filiera:{self.code}",
            "title": self.code.replace(".", " ").replace("_", " "),
            "status": self.http_status,
            "detail": self.message,
        }
        extra = {"expected": self.expected, "found": self.found, "next": self.next, "where": self.where}
        return body | {name: text for name, text in extra.items() if text}


def _rebuild(kind: type[FilieraError], fields: dict[str, Any]) -> FilieraError:
    error = kind.__new__(kind)
    Exception.__init__(error, fields["message"])
    error.__dict__.update(fields)
    return error


class UsageError(FilieraError):
    """The request itself is wrong."""

    exit_status = 2
    http_status = 400


class SettingsError(UsageError):
    """A settings file has an unknown key or a bad value; `where` is file and line."""


class CodeError(UsageError):
    """The pipeline cannot be read or described; `where` is file and line."""

    http_status = 422


class DeniedError(FilieraError):
    """You may not do this; the message names the rule."""

    exit_status = 3
    http_status = 403


class ConflictError(FilieraError):
    """The world moved since you looked; look again and retry."""

    exit_status = 4
    http_status = 409


class IntegrityError(FilieraError):
    """Stored bytes are not what was recorded."""

    exit_status = 5
    http_status = 503


class UnavailableError(FilieraError):
    """Something this work depends on is not there; `retryable` says whether waiting helps."""

    exit_status = 6
    http_status = 503
    retryable: ClassVar[bool] = True


class NoSpaceError(UnavailableError):
    """The disk is full; nothing of this step was committed, and a later run continues."""

    http_status = 507


class GateError(FilieraError):
    """A gate said no; `checks` holds every check with its evidence."""

    exit_status = 7
    http_status = 422

    def __init__(self, code: str, message: str, *, checks: Iterable[Any] = (), **parts: str) -> None:
        super().__init__(code, message, **parts)
        self.checks = tuple(checks)

    def to_json(self) -> dict[str, Any]:
        """The problem document with every check."""
        return super().to_json() | {"checks": [check.to_json() for check in self.checks]}


class ContractError(GateError):
    """Data does not fit its contract as a whole; single bad rows go to quarantine instead."""


class NotFoundError(FilieraError):
    """No such thing; `next` names the nearest names."""

    exit_status = 8
    http_status = 404


class WorkError(FilieraError):
    """Work ran and failed; `details` is the failing code's own traceback, for its author."""

    exit_status = 1

    def __init__(self, code: str, message: str, *, details: str = "", **parts: str) -> None:
        super().__init__(code, message, **parts)
        self.details = details


def nearest(name: str, names: Iterable[str]) -> str:
    """A sentence with the nearest known names, or all of them when none is near.

    >>> nearest("turbin", ["turbine", "at"])
    'did you mean turbine?'
    """
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(known)}" if known else "there is none yet"
