"""How long what nothing reaches is kept."""

from __future__ import annotations

from dataclasses import dataclass

from filiera.core.asset import DAY_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Rules of `filiera gc`; `[keep]` in filiera.toml."""

    generations: int = 10  #: of every environment but prod, the newest first
    prod_generations: int | None = None  #: of prod; None = all
    age_us: int = 7 * DAY_US  #: nothing younger is freed
    trash_us: int = 30 * DAY_US  #: what was freed can be put back for so long

    def of(self, environment: str) -> int | None:
        """So many generations of an environment are kept; None = all."""
        return self.prod_generations if environment == "prod" else self.generations
