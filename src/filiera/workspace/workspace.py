"""The workspace: every operation of a project, in one place; the CLI, the server and notebooks call these methods.

with Workspace.open(root) as wind:
    print(wind.plan().to_json())
    wind.apply()
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.clock import Clock, SystemClock, rfc3339
from filiera.core.money import Money
from filiera.cost.prices import load_prices
from filiera.dimensions.context import Context
from filiera.govern import keys
from filiera.govern.policy import Policy
from filiera.lake.access import LakeReader
from filiera.lake.objects import LocalObjects
from filiera.lake.table import Lake
from filiera.ledger import environments
from filiera.ledger.chain import ChainReport
from filiera.ledger.journal import Ledger
from filiera.ledger.named import any_object
from filiera.settings import load
from filiera.workspace.base import declared_classes, refuse_other_currency
from filiera.workspace.branches import Branches
from filiera.workspace.events import Events
from filiera.workspace.keeping import Keeping
from filiera.workspace.models import Models

if TYPE_CHECKING:
    from filiera.engine.process import ProcessEngine


class Workspace(Models, Events, Branches, Keeping):
    """An open project. `open` and `create` make one; `close` gives everything back."""

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        principal: str | None = None,
        engine: ProcessEngine | None = None,
    ) -> Workspace:
        """Open the project in `root`; an engine that was launched before is taken over.

        Raises:
            SettingsError: `filiera.toml` has a mistake; with file and line.
            NotFoundError: no settings, no ledger, or no key file.
        """
        environ = os.environ if environ is None else environ
        clock = clock or SystemClock()
        settings = load(root.resolve())
        ledger = Ledger.open(settings.state / "ledger.db", clock=clock)
        refuse_other_currency(settings, ledger)
        key_path = key_file(environ, ledger.project)
        key = keys.load(key_path)
        lake = Lake(ledger, LocalObjects(settings.state / "lake", key))
        policy = Policy(settings.project.purposes)
        context = Context(
            settings=settings,
            ledger=ledger,
            lake=lake,
            reader=LakeReader(lake, masked=policy.masked, declared=declared_classes(settings)),
            prices=load_prices(settings.project.currency, settings.prices),
            clock=clock,
            principal=principal or local_principal(),
            purpose=settings.project.purposes[0],
            _engine=engine,
            fingerprint=key.fingerprint,
            environ=environ,
        )
        return cls(context, policy, key_path)

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        clock: Clock | None = None,
        environ: Mapping[str, str] | None = None,
        principal: str | None = None,
    ) -> tuple[Workspace, list[str]]:
        """Make ledger, lake and key file for the settings in `root`; gives the recovery shares of the key.

        Raises:
            ConflictError: there is a ledger already.
        """
        environ = os.environ if environ is None else environ
        clock = clock or SystemClock()
        settings = load(root.resolve())
        settings.state.mkdir(mode=0o700, exist_ok=True)
        settings.state.chmod(0o700)
        principal = principal or local_principal()
        project = settings.project
        ledger = Ledger.create(
            settings.state / "ledger.db", name=project.name, currency=project.currency, clock=clock, actor=principal
        )
        key = keys.create(key_file(environ, ledger.project))
        ledger.close()
        return cls.open(root, clock=clock, environ=environ, principal=principal), key.shares()

    @staticmethod
    def restore_key(root: Path, first: str, second: str, *, environ: Mapping[str, str] | None = None) -> Path:
        """Write the key file again from two recovery shares; gives its place.

        Raises:
            IntegrityError: a share was mistyped, or the key opens nothing of this project.
            ConflictError: there is a key file; it is never overwritten.
        """
        key = keys.restore(first, second)
        state = load(root).state
        ledger = Ledger.open(state / "ledger.db", clock=SystemClock())
        try:
            with ledger.reading() as connection:
                record = any_object(connection)
            if record is not None:
                LocalObjects(state / "lake", key).get(record)
            path = key_file(os.environ if environ is None else environ, ledger.project)
            key.save(path)
            with ledger.commit(actor=local_principal(), action="key.restore", object=str(path)):
                pass
        finally:
            ledger.close()
        return path

    def close(self) -> None:
        """End child processes and close the ledger."""
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()
        self._context.close()
        self._context.ledger.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def status(self) -> dict[str, Any]:
        """Sources, tables, models and environments as they are: `filiera.status/1`."""
        from filiera.overview import status

        return status(self._context)

    def spend(self) -> Money:
        """Money spent since the project began."""
        with self.ledger.reading() as connection:
            return Money(environments.total_spend(connection), self._context.prices.currency)

    def doctor(self) -> list[Any]:
        """Findings about this machine and project, and what to do about each."""
        from filiera.doctor import examine

        return list(examine(self.settings, self.ledger, self._key_path))

    def verify_audit(self, checkpoint: tuple[int, str] | None = None) -> ChainReport:
        """Check the audit chain."""
        return self.ledger.verify(checkpoint)

    def audit_entries(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest audit entries, newest first."""
        from filiera.ledger.chain import list_entries

        with self.ledger.reading() as connection:
            return [row | {"created": rfc3339(row.pop("created_us"))} for row in list_entries(connection, limit)]


def key_file(environ: Mapping[str, str], ledger_id: str) -> Path:
    """Where the root key of a ledger lies: outside the data directory."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".config")
    return Path(base) / "filiera" / "keys" / ledger_id


def local_principal() -> str:
    """The person at the keyboard, by the operating system's account."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"local:{name}"
