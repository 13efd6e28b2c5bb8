"""Recorded tuning tables, replayed without training.

Ten workers draw configurations at random on a clock that jumps. A trial shows one replicate and its choice counts by
the mean over replicates, so luck counts against it. Money: V = K x mean cost / (optimum - median), so K is what closing
the whole gap is worth, in trials. Loss = V x (choice - optimum) + spend.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from filiera.train.worth import Action, Finished, Rule, Study, cost_of_next, decide

TABLES = [
    "hpobench_australian", "hpobench_blood_transfusion", "hpobench_car", "hpobench_credit_g", "nasbench201_cifar10",
    "nasbench201_cifar100", "nasbench201_imagenet",
]  # fmt: skip
WORTHS = (30, 100, 300, 1000, 3000)
WORKERS, MOST, SEEDS = 10, 120, 3


@dataclass(frozen=True)
class Table:
    error: np.ndarray  #: shape (configurations, replicates)
    cost: np.ndarray  #: same shape; the mean is 1
    noise: float  #: standard deviation of one replicate, of the best tenth

    @property
    def gap(self):
        mean = self.error.mean(1)
        return np.median(mean) - mean.min()


def read(path):
    frame = pq.read_table(path).to_pandas()
    frame = frame.dropna()
    error = frame.filter(like="val_acc").to_numpy(float)
    error = 1 - (error / 100 if error.max() > 1.5 else error)
    cost = np.broadcast_to(frame.filter(like="train_time").to_numpy(float), error.shape)
    leading = np.argsort(error.mean(1))[: len(error) // 10]
    return Table(error, cost / cost.mean(), float(np.sqrt(error[leading].var(1, ddof=1).mean())))


def play(table, seed, launches):
    """Choice, spend and number of trials; `launches(finished, running costs)` says whether one more starts."""
    order = np.random.default_rng(seed).permutation(len(table.error))[:MOST]
    replicate = seed % table.error.shape[1]
    now, running, finished, chosen = 0.0, [], (), []
    while True:
        while len(running) < WORKERS and len(chosen) < MOST:
            if not launches(finished, tuple(now - began for _, began, _ in running)):
                break
            chosen.append(order[len(chosen)])
            heapq.heappush(running, (now + table.cost[chosen[-1], replicate], now, chosen[-1]))
        if not running:
            break
        now, _, place = heapq.heappop(running)
        cost = float(table.cost[place, replicate])
        finished += (Finished(float(table.error[place, replicate]), cost, cost),)
    best = min(chosen, key=lambda place: table.error[place, replicate])
    return best, sum(trial.cost for trial in finished), len(finished)


def fixed(count):
    return lambda finished, running: len(finished) + len(running) < count


def by_worth(rule):
    def launches(finished, running):
        study = Study(finished, len(running))
        return decide(rule, study, cost_of_next(finished, running, 1.0)).action is Action.LAUNCH

    return launches


def test_replayed_tables_cost_less_by_worth_than_by_any_fixed_number_of_trials(sample):
    tables = [read(sample(f"hpo/{name}.parquet")) for name in TABLES]
    losses = {name: [] for name in ("worth", 25, 50, 100)}
    for table in tables:
        best = table.error.mean(1).min()
        for k in WORTHS:
            value = k / table.gap
            rule = Rule(value=value, noise=table.noise, most_trials=MOST)
            for name, found in losses.items():
                launches = by_worth(rule) if name == "worth" else fixed(name)
                for seed in range(SEEDS):
                    choice, spend, _ = play(table, seed, launches)
                    found.append(value * (table.error[choice].mean() - best) + spend)
    mean = {name: float(np.mean(found)) for name, found in losses.items()}
    assert mean["worth"] < min(mean[name] for name in (25, 50, 100)), mean
