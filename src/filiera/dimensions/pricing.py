"""The price of a step: seconds from its earlier runs, money from the price list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from filiera.core.money import Money
from filiera.core.plan import Step
from filiera.core.trace import Run
from filiera.cost.forecast import Forecast, forecast_seconds
from filiera.cost.prices import Prices

INGEST_START_S, INGEST_BYTES_PER_S = 0.5, 4_000_000
GUESS_S = {"compute": 5.0, "train": 60.0}


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a second costs here."""

    prices: Prices
    workers: int
    waited_for: bool  #: somebody waits for the result

    def ingest(self, step: Step, size_bytes: int) -> Step:
        """The step with the price of reading so many bytes; reading runs on one core."""
        seconds = INGEST_START_S + size_bytes / INGEST_BYTES_PER_S
        return self._priced(step, Forecast(seconds / 2, seconds, seconds * 2, False), 1)

    def work(self, step: Step, history: Sequence[Run], rows: int | None) -> Step:
        """The step with a price from its history.

        Args:
            step: to compute or train.
            history: earlier runs of the asset, newest first.
            rows: that it will read; None = as many as usual.
        """
        return self._priced(step, forecast_seconds(history, GUESS_S[step.operation], rows), self.workers)

    def nano_per_s(self, cores: int) -> float:
        """Money of a second on so many cores, nano-units."""
        waiting = self.prices.waiting_second if self.waited_for else 0.0
        return (self.prices.core_second * cores + waiting) * 1e9

    def _priced(self, step: Step, found: Forecast, cores: int) -> Step:
        rate, currency = self.nano_per_s(cores), self.prices.currency
        return replace(
            step,
            seconds_p10=found.seconds_p10,
            seconds=found.seconds,
            seconds_p90=found.seconds_p90,
            cost=Money(round(found.seconds * rate), currency),
            cost_p90=Money(round(found.seconds_p90 * rate), currency),
            guess=found.guess,
        )
