"""What every group of operations works with: the open project."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.core.contract import OPEN
from filiera.core.generation import DEV, PROD, Generation
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.dimensions.apply import apply_lock
from filiera.dimensions.context import Context, Definitions, working_bundle
from filiera.dimensions.describe import describe, installation
from filiera.errors import NotFoundError, SettingsError, nearest
from filiera.govern.policy import Policy
from filiera.lake.table import Lake
from filiera.ledger import environments, snapshots, studies, traces
from filiera.ledger.journal import Ledger
from filiera.settings import Settings

if TYPE_CHECKING:
    from filiera.automation.watch import Memory


class Base:
    """What every group of operations works with: the open project."""

    def __init__(self, context: Context, policy: Policy, key_path: Path) -> None:
        self._context = context
        self._policy = policy
        self._key_path = key_path
        self._endpoints: dict[str, Any] = {}
        self._memory: Memory | None = None  #: of what was looked at for events
        self._installed: list[str] | None = None  #: libraries that the engine's processes may have loaded

    @property
    def settings(self) -> Settings:
        """The settings as they were read."""
        return self._context.settings

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self._context.ledger

    @property
    def lake(self) -> Lake:
        """The lake."""
        return self._context.lake

    @property
    def principal(self) -> str:
        """Whose work this is."""
        return self._context.principal

    @property
    def key_path(self) -> Path:
        """Where the root key lies."""
        return self._key_path

    def definitions(self) -> Definitions:
        """The graph of the code in the folder."""
        return describe(self._context, working_bundle(self.settings))

    def _lock(self, *, wait_s: float = 0.0) -> AbstractContextManager[None]:
        return apply_lock(self.settings.state / "apply.lock", wait_s=wait_s)

    def _refuse_unknown(self, environment: str) -> None:
        with self.ledger.reading() as connection:
            names = {DEV, PROD, *self.settings.environments, *environments.names(connection)}
        if environment not in names:
            raise NotFoundError(
                "environment.unknown",
                f"no environment {environment}",
                expected=", ".join(sorted(names)),
                next=f"`filiera env new {environment} --from dev` makes it",
            )

    def snapshot(self, table: str, *, at: int | str | None = None, environment: str = DEV) -> Snapshot:
        """A snapshot by number or time, or what stands in the environment.

        Raises:
            NotFoundError: no such table, or no such snapshot.
        """
        if isinstance(at, str) and at.isascii() and at.isdecimal():
            at = int(at)
        if isinstance(at, int):
            return self.lake.snapshot(table, number=at)
        if at is not None:
            from filiera.query import instant

            return self.lake.snapshot(table, at_us=instant(at))
        if table in self.settings.sources:
            return self.lake.snapshot(table)
        with self.ledger.reading() as connection:
            head = environments.head(connection, environment)
            trace = traces.get(connection, head.assets[table]) if head and table in head.assets else None
            found = snapshots.get(connection, trace.output) if trace and trace.kind == "table" else None
        if found is None:
            names = {*self.settings.sources, *(head.assets if head else ())}
            raise NotFoundError("table.unknown", f"no table {table} in {environment}", next=nearest(table, names))
        return found

    def models(self, name: str | None = None) -> list[ModelVersion]:
        """Model versions, newest first."""
        with self.ledger.reading() as connection:
            return studies.list_versions(connection, name)

    def version(self, label: str) -> ModelVersion:
        """`power` = the newest, `power@2` = that one.

        Raises:
            NotFoundError: no such model or version.
        """
        name, _, number = label.partition("@")
        versions = self.models(name)
        found = [version for version in versions if not number or str(version.number) == number]
        if not found:
            known = [version.label for version in versions] or sorted({v.name for v in self.models()})
            raise NotFoundError("model.unknown", f"no model version {label}", next=nearest(label, known))
        return found[0]

    def _renew_engine(self) -> None:
        """End an engine whose interpreter or libraries are others by now: it would go on with what it has loaded."""
        installed = installation(Path(self._python() or sys.executable))
        if self._installed not in (None, installed):
            self._context.close()
        self._installed = installed

    def head(self, environment: str = PROD) -> Generation | None:
        """The newest generation of an environment."""
        with self.ledger.reading() as connection:
            return environments.head(connection, environment)

    def _python(self) -> str | None:
        python = self.settings.project.python
        return str(self.settings.root / python) if python else None


def declared_classes(settings: Settings) -> Callable[[str], Mapping[str, str]]:
    """Column classes as they are declared now: of a source its own, of a derived table those of every source.

    A column of a derived table that has the name of a personal column is taken for it.
    """
    own = {
        name: {column.name: column.column_class for column in source.contract.columns}
        for name, source in settings.sources.items()
    }
    merged = {column: name for classes in own.values() for column, name in sorted(classes.items()) if name != OPEN}
    return lambda table: own.get(table, merged)


def refuse_other_currency(settings: Settings, ledger: Ledger) -> None:
    """The currency of a ledger stays.

    Raises:
        SettingsError: the settings name another one.
    """
    if settings.project.currency != ledger.currency:
        raise SettingsError(
            "settings.currency_changed",
            "the currency of a ledger is fixed when it is made",
            expected=ledger.currency,
            found=settings.project.currency,
            where="filiera.toml [project] currency",
            next=f'write currency = "{ledger.currency}"',
        )
