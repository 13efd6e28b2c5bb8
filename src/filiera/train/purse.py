"""How long the next trial may run, so that a hard budget is never passed.

Money is set aside before a trial starts: for every trial in flight all that it may take until it is ended, and for the
final fit what the longest candidate would need. A trial that ends early gives the rest back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: A task is ended at its time limit or up to this much later; that time is paid for too.
LATE_S = 0.25
#: A trial that gets less than so many times what it is expected to need shares the money with fewer others.
AMPLE = 2.0
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """A budget, and what seconds cost."""

    budget: float | None  #: currency units, trials and final fit together; None = no limit
    trial_per_s: float  #: price of a second of a trial, currency units
    final_start: float  #: price of the final fit beside its fits: it loads what packages, and packages
    final_per_s: float  #: price of its fits, per second that the trial took whose settings are fitted

    def allowance_s(
        self, spent: float, best_s: float, running_s: Sequence[float], free: int, expected_s: float
    ) -> float | None:
        """Seconds that a new trial may take; 0 or less = the budget does not cover it. None = no limit.

        Args:
            spent: on all trials that ended, currency units.
            best_s: seconds of the best trial so far; 0 = none.
            running_s: allowance of each trial in flight.
            free: slots that are free, this trial's own among them.
            expected_s: what a trial is expected to need; an allowance below that is none.
        """
        if self.budget is None or self.trial_per_s <= 0:
            return None
        final = self.final_per_s * max([best_s, *running_s])
        promised = self.trial_per_s * sum(seconds + LATE_S for seconds in running_s)
        left = self.budget - spent - promised - self.final_start - final
        for sharing in range(free, 0, -1):
            found = self._each_s(left, final, sharing)
            if found >= AMPLE * expected_s or sharing == 1:
                return found if found >= expected_s * (1 - _ROUNDING) else 0.0
        return 0.0

    def needed(self, spent: float, best_s: float, expected_s: float) -> float:
        """The least budget that covers one more trial of `expected_s`, and the final fit."""
        trial = self.trial_per_s * (expected_s + LATE_S)
        return spent + trial + self.final_start + self.final_per_s * max(best_s, expected_s)

    def _each_s(self, left: float, final: float, sharing: int) -> float:
        """Seconds for each of some equal trials: `left` also pays for a final fit dearer than what is set aside."""
        plain = left / (sharing * self.trial_per_s) - LATE_S
        if self.final_per_s * plain <= final:
            return plain
        late = sharing * self.trial_per_s * LATE_S
        return (left + final - late) / (sharing * self.trial_per_s + self.final_per_s)
