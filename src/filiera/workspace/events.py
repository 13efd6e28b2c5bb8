"""What runs by itself."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from filiera.cost.prices import load_prices
from filiera.errors import FilieraError
from filiera.govern.policy import Policy
from filiera.lake.access import LakeReader
from filiera.settings import load
from filiera.workspace.base import Base, declared_classes, refuse_other_currency

if TYPE_CHECKING:
    from filiera.automation.turn import Turn


class Events(Base):
    """What runs by itself."""

    def automate(self, *, up_since_us: int | None = None) -> Turn:
        """One turn of `filiera up`: look for events, decide about them, do what may be done by itself.

        Settings that were changed and have a mistake are told; what was read before holds until they are mended.

        Args:
            up_since_us: when `up` began; None = it did not.
        """
        from filiera.automation.turn import turn
        from filiera.automation.watch import Memory

        self._memory = self._memory or Memory()
        mistake: FilieraError | None = None
        try:
            self._reload()
        except FilieraError as error:
            mistake = error
        self._renew_engine()
        self._context.waited_for = False
        worker = f"{socket.gethostname()}:{os.getpid()}"
        found = turn(self._context, worker, self._lock(), up_since_us=up_since_us, memory=self._memory)
        found.failure = mistake or found.failure
        return found

    def _reload(self) -> None:
        """Take over what was changed in `filiera.toml`."""
        fresh = load(self.settings.root)
        if fresh.digest == self.settings.digest:
            return
        refuse_other_currency(fresh, self.ledger)
        self._policy = Policy(fresh.project.purposes)
        context = self._context
        context.reader = LakeReader(self.lake, masked=self._policy.masked, declared=declared_classes(fresh))
        context.prices = load_prices(fresh.project.currency, fresh.prices)
        context.purpose = fresh.project.purposes[0]
        context.settings = fresh

    def events(self, limit: int = 50) -> dict[str, Any]:
        """The newest events, what came of each, and what waits for a person: `filiera.events/1`."""
        from filiera.automation.report import events_report

        return events_report(self._context, limit)

    def add_event(self, reason: str, *, cause: int | None = None) -> int:
        """Mark the project as due by hand; gives the number of the event.

        Args:
            reason: for the log.
            cause: number of the intent whose run brought it about; its environment does not act on it.

        Raises:
            NotFoundError: no such intent.
        """
        from filiera.automation.by_hand import add_event

        return add_event(self._context, reason, cause)

    def approve(self, number: int) -> None:
        """Let an intent run that waits for a person.

        Raises:
            NotFoundError: there is no such intent.
            ConflictError: it does not wait.
        """
        from filiera.automation.by_hand import approve

        approve(self._context, number)
