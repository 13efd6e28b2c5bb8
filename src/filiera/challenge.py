"""Champion against challenger: honest predictions of both on rows that neither has seen, then a verdict.

1. The champion reads its inputs where it would in service: in the table of its environment, computed by released code.
2. The challenger's predictions are its out-of-window ones, made when it was trained.
3. Both are joined by time and key. The rows judged lie in complete windows after the champion's training; without a
   time they are those whose key the champion was not trained on.
4. If the target of a joined row differs, the two do not predict the same thing and cannot be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from filiera.clock import US_PER_DAY
from filiera.code.bundle import open_bundle
from filiera.core.asset import Model
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.core.trace import Trace
from filiera.dimensions.context import Context, Definitions
from filiera.dimensions.describe import describe
from filiera.dimensions.training import Training, prepare
from filiera.dimensions.versions import facts_of, package_of, predictions_of
from filiera.engine.memory import SharedBuffer
from filiera.engine.task import Task
from filiera.errors import FilieraError
from filiera.ledger import environments, snapshots, traces
from filiera.runner.matrix import Floats, Longs, Window, unpack
from filiera.train import evaluate
from filiera.train.study import run_one

PREDICT_MATRIX = "filiera.runner.predict:predict_matrix"
#: Without a time: fewer new rows tell nothing.
LEAST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version that is to be released, and what stands behind it."""

    version: ModelVersion
    trace: Trace
    model: Model


@dataclass(frozen=True, slots=True)
class _Said:
    """What a model said of rows it had not seen; arrays of shape (rows,)."""

    time: Longs
    key: npt.NDArray[np.uint64]
    truth: Floats
    prediction: Floats

    def only(self, rows: npt.NDArray[Any]) -> _Said:
        return _Said(self.time[rows], self.key[rows], self.truth[rows], self.prediction[rows])


def challenge(context: Context, candidate: Candidate, champion: ModelVersion, environment: str) -> evaluate.Verdict:
    """Whether the candidate takes over from what the environment runs.

    "Not judged" where no honest comparison can be made; its evidence says why.
    """
    try:
        definitions, served, table = _served(context, environment, champion)
        with context.ledger.reading() as connection:
            trained = snapshots.get(connection, next(iter(candidate.trace.input_snapshots.values())))
        assert trained is not None, "a trace's snapshots are never removed"
        with (
            _prepared(context, candidate.model, trained) as ours,
            _prepared(context, served, table) as theirs,
        ):
            windows = _judged_windows(ours, champion)
            if not windows:
                return _not_judged("no complete window lies after the champion's training; wait for more rows")
            new = _challenger_says(context, candidate.version, ours, windows)
            if trained.time is None:
                new = new.only(_unknown_keys(context, champion, ours, new))
            old = _champion_says(context, definitions, champion, theirs, windows)
            return _judge(context, candidate, new, old, timed=trained.time is not None)
    except FilieraError as error:
        return _not_judged(f"{champion.label} cannot be asked: {error.message}")


def _served(context: Context, environment: str, champion: ModelVersion) -> tuple[Definitions, Model, Snapshot]:
    """The released definitions, the champion's own, and the table it reads in service."""
    with context.ledger.reading() as connection:
        head = environments.head(connection, environment)
        assert head is not None, "an environment with a champion has a head"
        record = environments.get_bundle(connection, head.bundle)
        assert record is not None, "a generation's bundle is stored with it"
        trace = traces.get(connection, head.assets[champion.card["table"]])
        table = snapshots.get(connection, trace.output) if trace else None
    definitions = describe(context, open_bundle(context.lake.objects.get(record), head.bundle))
    model = definitions.graph.find(champion.name)
    assert isinstance(model, Model)
    assert table is not None, "a released model was released with its table"
    return definitions, model, table


@contextmanager
def _prepared(context: Context, model: Model, snapshot: Snapshot) -> Iterator[Training]:
    training = prepare(context, model, snapshot)
    try:
        yield training
    finally:
        training.rows.close()


def _judged_windows(training: Training, champion: ModelVersion) -> tuple[Window, ...]:
    """Complete windows that lie wholly after the champion's training and the gap; without a time all rows."""
    times = training.matrix.time
    if training.snapshot.time is None:
        return (Window(0, 0, int(times[0]), int(times[-1]) + 1),)
    if champion.train_high_us is None:
        return ()
    return evaluate.judged_windows(
        training.windows,
        champion_high_us=champion.train_high_us,
        gap_us=training.model.split.gap_us,
        newest_us=int(times[-1]),
    )


def _challenger_says(context: Context, version: ModelVersion, training: Training, windows: Sequence[Window]) -> _Said:
    _, blocks = unpack(predictions_of(context.lake.objects, version))
    rows, time = blocks["row"], blocks["time"]
    inside = np.zeros(len(rows), bool)
    for window in windows:
        inside |= (time >= window.test_low) & (time < window.test_high)
    return _Said(time, blocks["key"], training.matrix.y[rows], blocks["prediction"]).only(inside)


def _champion_says(
    context: Context, definitions: Definitions, champion: ModelVersion, training: Training, windows: Sequence[Window]
) -> _Said:
    matrix, package = training.matrix, SharedBuffer.create([package_of(context.lake.objects, champion)])
    task = Task(
        id="champion",
        function=PREDICT_MATRIX,
        arguments={"facts": facts_of(champion), "windows": [window.to_json() for window in windows]},
        inputs=(training.rows, package),
        bundle=str(definitions.root),
    )
    try:
        result = run_one(context.engine, task, f"champion {champion.label}")
    finally:
        package.close()
    (buffer,) = result.outputs
    _, blocks = unpack(buffer.view())
    buffer.close()
    rows = blocks["row"]
    return _Said(matrix.time[rows], matrix.key[rows], matrix.y[rows], blocks["prediction"])


def _judge(context: Context, candidate: Candidate, new: _Said, old: _Said, *, timed: bool) -> evaluate.Verdict:
    mine, yours = _join(new, old, timed=timed)
    new, old = new.only(mine), old.only(yours)
    if not len(new.key):
        return _not_judged("the champion's table has no row that the challenger was judged on")
    if not np.allclose(new.truth, old.truth, rtol=1e-9, atol=0.0):
        return _not_judged(f"column {candidate.version.card['predicts']} has other values than the champion predicts")
    return _verdict(context, candidate, new, old, timed=timed)


def _unknown_keys(context: Context, champion: ModelVersion, training: Training, said: _Said) -> npt.NDArray[np.bool_]:
    """Rows without time whose key was not among those that the champion was trained on."""
    with context.ledger.reading() as connection:
        trace = traces.of_output(connection, champion.id)
        seen = snapshots.get(connection, next(iter(trace.input_snapshots.values()))) if trace else None
    assert seen is not None, "a version is recorded with its trace"
    with _prepared(context, training.model, seen) as earlier:
        found: npt.NDArray[np.bool_] = ~np.isin(said.key, earlier.matrix.key)
    return found


def _join(new: _Said, old: _Said, *, timed: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Places of the rows that both have, by time and key; without a time by key."""

    def identity(said: _Said) -> npt.NDArray[np.void]:
        found = np.zeros(len(said.key), [("time", np.int64), ("key", np.uint64)])
        found["time"], found["key"] = said.time if timed else 0, said.key
        return found

    _, mine, yours = np.intersect1d(identity(new), identity(old), assume_unique=True, return_indices=True)
    order = np.argsort(mine)
    return mine[order], yours[order]


def _verdict(context: Context, candidate: Candidate, new: _Said, old: _Said, *, timed: bool) -> evaluate.Verdict:
    rows = len(new.key)
    if not timed and rows < LEAST_ROWS:
        return _not_judged(f"{rows} rows with keys that the champion was not trained on; {LEAST_ROWS} are needed")
    minimum = context.settings.rules_of(candidate.model.name).minimum_gain
    verdict = evaluate.judge(
        new.time if timed else np.arange(rows) * US_PER_DAY,  # without a time each row is a block of its own
        new.truth,
        old.prediction,
        new.prediction,
        score_name=candidate.model.score,
        unit=candidate.version.card["unit"],
        least_gain=minimum or None,
    )
    if timed:
        return verdict
    text = (
        f"gain {verdict.gain:+.3g} over {rows} rows with new keys (champion {verdict.champion:.4g}, challenger "
        f"{verdict.challenger:.4g}): with 90 % confidence above {verdict.lower_bound:+.3g}, needed above "
        f"{verdict.least_gain:.2g}"
    )
    return replace(verdict, evidence=text)


def _not_judged(evidence: str) -> evaluate.Verdict:
    return evaluate.Verdict(verdict=evaluate.NOT_JUDGED, evidence=evidence)
