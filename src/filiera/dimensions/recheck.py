"""Re-check: make a random share of what stands again. A difference is a result that should not have been reused.

Drawn from are the traces that stand in an environment and those that answer for their key.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from filiera.core.trace import Trace
from filiera.dimensions.context import Context
from filiera.dimensions.likeness import CLOSE, DIFFERENT, EQUAL, UNCHECKED
from filiera.dimensions.reproduce import Reproduced, recorded, reproduce
from filiera.dimensions.runtimes import fresh_context, wanted_runtime
from filiera.errors import ConflictError, FilieraError, IntegrityError, NotFoundError, UnavailableError
from filiera.ledger import environments, traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecked:
    """What a re-check found."""

    seed: int
    population: int  #: traces that were drawn from
    done: tuple[Reproduced, ...]
    unchecked: tuple[tuple[str, str, FilieraError], ...]  #: asset, trace, why not

    def to_json(self) -> dict[str, Any]:
        """`filiera.recheck/1`."""
        counts = Counter(item.likeness.outcome for item in self.done)
        why = [{"what": asset, "trace": trace, "why": str(error)} for asset, trace, error in self.unchecked]
        why += [
            {"what": item.label, "trace": item.trace, "why": item.likeness.note}
            for item in self.done
            if item.likeness.outcome == UNCHECKED
        ]
        return {
            "schema": "filiera.recheck/1",
            "seed": self.seed,
            "population": self.population,
            "sampled": len(self.done) + len(self.unchecked),
            "equal": counts[EQUAL],
            "close": counts[CLOSE],
            "different": counts[DIFFERENT],
            "not_checked": why,
            "differences": [item.to_json() for item in self.done if item.likeness.outcome == DIFFERENT],
        }


def reproduce_in(context: Context, trace: Trace, *, fresh: bool, anyway: bool = False) -> Reproduced:
    """`reproduce`, in a fresh interpreter with the recorded libraries where that is asked for."""
    if not fresh:
        return reproduce(context, trace, anyway=anyway)
    known = recorded(context, trace)
    other = fresh_context(context, wanted_runtime(known.manifest, known.runtime))
    try:
        return reproduce(other, trace, anyway=anyway)
    finally:
        other.close()


def recheck(context: Context, *, share: float, seed: int, fresh: bool) -> Rechecked:
    """Make a share of what stands again.

    Args:
        context: the open project.
        share: from 0 to 1; of something there is at least one.
        seed: the same seed draws the same traces while the ledger does not grow.
        fresh: each in an interpreter of its recorded libraries.
    """
    population = _population(context)
    count = min(len(population), max(1, math.ceil(share * len(population))))
    chosen = random.Random(seed).sample(population, count)  # noqa: S311 - a sample, no secret
    done, unchecked = [], []
    for number, trace in enumerate(chosen):
        context.progress.update("recheck", number, trace.asset)
        try:
            done.append(reproduce_in(context, trace, fresh=fresh))
        except (NotFoundError, ConflictError, UnavailableError, IntegrityError) as error:
            unchecked.append((trace.asset, trace.id, error))
    return Rechecked(seed=seed, population=len(population), done=tuple(done), unchecked=tuple(unchecked))


def _population(context: Context) -> list[Trace]:
    with context.ledger.reading() as connection:
        found = {trace.id: trace for trace in traces.answering(connection)}
        for name in environments.names(connection):
            head = environments.head(connection, name)
            for trace_id in head.assets.values() if head else ():
                trace = traces.get(connection, trace_id)
                if trace is not None:
                    found.setdefault(trace.id, trace)
    return sorted((trace for trace in found.values() if trace.kind != "source"), key=lambda trace: trace.id)
