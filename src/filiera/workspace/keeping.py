"""Making results again, cleaning, and holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from filiera.core.generation import DEV
from filiera.core.trace import Trace
from filiera.errors import NotFoundError
from filiera.ledger import traces
from filiera.workspace.base import Base

if TYPE_CHECKING:
    from filiera.clean import Cleaner
    from filiera.ledger.holds import Hold


class Keeping(Base):
    """Making results again, cleaning, and holds."""

    def reproduce(
        self, label: str, *, environment: str = DEV, fresh: bool = False, anyway: bool = False
    ) -> dict[str, Any]:
        """Make a model or table again from the ledger alone and compare digests: `filiera.reproduce/1`.

        Args:
            label: `power`, `power@2`, `features` (what stands in the environment) or `features@3`.
            environment: whose version of a table.
            fresh: in an environment of exactly the recorded libraries, made where there is none yet.
            anyway: here, although the interpreter or a library is another than recorded.

        Raises:
            NotFoundError: no such thing, or its code or an input was freed.
            ConflictError: another runtime than recorded, or rows that would be read otherwise now.
            UnavailableError: the recorded libraries could not be installed.
        """
        from filiera.dimensions.recheck import reproduce_in

        return reproduce_in(self._context, self._trace_of(label, environment), fresh=fresh, anyway=anyway).to_json()

    def _trace_of(self, label: str, environment: str) -> Trace:
        """The trace that made a model version or a snapshot."""
        name, _, number = label.partition("@")
        is_model = any(version.name == name for version in self.models(name))
        made = self.version(label) if is_model else self.snapshot(name, at=number or None, environment=environment)
        with self.ledger.reading() as connection:
            trace = traces.of_output(connection, made.id)
        if trace is None:
            raise NotFoundError("reproduce.no_trace", f"no trace made {label}", next="name a table or a model")
        return trace

    def recheck(self, *, share: float = 0.01, seed: int | None = None, fresh: bool = False) -> dict[str, Any]:
        """Make a random share of all standing results again and report every difference: `filiera.recheck/1`."""
        from filiera.dimensions.recheck import recheck

        chosen = int.from_bytes(os.urandom(4), "big") if seed is None else seed
        return recheck(self._context, share=share, seed=chosen, fresh=fresh).to_json()

    def clean(self, *, dry_run: bool = False) -> dict[str, Any]:
        """Free what nothing reaches, and delete what lay in the trash for long enough: `filiera.gc/1`.

        Raises:
            ConflictError: an apply, a release or another clean is running.
        """
        if dry_run:
            return self._cleaner().look().to_json(dry_run=True)
        with self._lock():
            return self._cleaner().clean().to_json(dry_run=False)

    def restore_freed(self) -> dict[str, Any]:
        """Put back everything that was freed and not deleted yet: `filiera.gc/1`."""
        with self._lock():
            return self._cleaner().restore().to_json(dry_run=False)

    def _cleaner(self) -> Cleaner:
        from filiera.clean import Cleaner

        return Cleaner(self.lake, self.settings.keep, self.principal)

    def hold(self, label: str, reason: str) -> Hold:
        """Keep a snapshot (`features@3`) or a model version (`power@2`) whatever environments do.

        Raises:
            NotFoundError: there is none, or it was freed.
            UsageError: no number, or no reason.
        """
        from filiera.holding import hold

        return hold(self._context, label, reason)

    def release_hold(self, label: str) -> int:
        """End the holds of a snapshot or model version; gives their number."""
        from filiera.holding import release_hold

        return release_hold(self._context, label)

    def holds(self) -> list[Hold]:
        """What is held, oldest first."""
        from filiera.ledger import holds

        with self.ledger.reading() as connection:
            return holds.standing(connection)
