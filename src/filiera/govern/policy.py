"""Who may read what, for which purpose.

Alone on a machine the person at the keyboard may read with a declared purpose. Personal columns are masked for
everybody, because no right to see them has been granted to anybody yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from filiera.core.contract import OPEN
from filiera.errors import DeniedError, nearest


@dataclass(frozen=True, slots=True)
class Policy:
    """The access rules of one project."""

    purposes: tuple[str, ...]

    def purpose(self, stated: str | None) -> str:
        """The purpose of a read: the stated one, or the only one there is.

        Raises:
            DeniedError: none stated where several are declared, or an undeclared one.
        """
        if stated is None and len(self.purposes) == 1:
            return self.purposes[0]
        if stated not in self.purposes:
            raise DeniedError(
                "purpose.undeclared",
                "every read has a declared purpose" if stated is None else f"`{stated}` is not a declared purpose",
                expected=", ".join(self.purposes),
                next=nearest(stated or "", self.purposes) if stated else "name one with --purpose",
            )
        return stated

    def masked(self, column_class: str) -> bool:
        """Whether columns of this class are shown as null."""
        return column_class != OPEN
