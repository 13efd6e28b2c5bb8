"""Environments as branches, and why things are as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filiera.core.generation import DEV, Generation
from filiera.workspace.plans import Plans

if TYPE_CHECKING:
    pass


class Branches(Plans):
    """Environments as branches, and why things are as they are."""

    def new_environment(self, name: str, *, origin: str = DEV) -> Generation:
        """A branch: a new environment where another stands; nothing is copied, and work done in one is found in all.

        Raises:
            UsageError: the name cannot be one.
            ConflictError: it is there already.
            NotFoundError: nothing stands in `origin`.
        """
        from filiera.branch import branch

        return branch(self._context, name, origin)

    def delete_environment(self, name: str) -> Generation:
        """Close an environment; what only it could reach may be cleaned up later.

        Raises:
            GateError: dev and prod stay.
            NotFoundError: there is no such environment.
        """
        from filiera.branch import close

        self._refuse_unknown(name)
        return close(self._context, name)

    def why(self, asset: str, environment: str = DEV) -> dict[str, Any]:
        """What the plan does with an asset and why, and what stands for it: `filiera.why/1`."""
        from filiera.explain import why

        return why(self._context, self.plan(environment), asset)

    def graph(self, environment: str = DEV) -> dict[str, Any]:
        """Every asset, what it reads, and what the plan would do to it: `filiera.graph_view/1`."""
        from filiera.core.graph_view import graph_view

        self._refuse_unknown(environment)
        definitions = self.definitions()
        return graph_view(definitions.graph, self._plan(definitions, environment))

    def log(self, environment: str = DEV, limit: int = 20) -> dict[str, Any]:
        """The generations of an environment, newest first: `filiera.log/1`."""
        from filiera.explain import log

        if self.head(environment) is None:  # a closed one has its history
            self._refuse_unknown(environment)
        return log(self._context, environment, limit)

    def diff(self, one: str, other: str = DEV) -> dict[str, Any]:
        """Two environments side by side: `filiera.diff/1`."""
        from filiera.explain import diff

        self._refuse_unknown(one)
        self._refuse_unknown(other)
        return diff(self._context, one, other)
