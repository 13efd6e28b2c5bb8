"""Which settings to try next; `optuna` is used here only, and holds no state.

The study is rebuilt from its trials for every question, and the sampler is seeded by (study's seed, trial number). With
a fixed lag W, trial k is proposed from exactly the trials up to k - W, and those between count as running: a study
that was interrupted and goes on proposes the same settings as one that was not.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from filiera.core.asset import Parameter
from filiera.core.trial import Trial, TrialState
from filiera.runner.fit import middle

STARTUP = 10  #: first trials are drawn at random


def propose(
    space: Sequence[Parameter], seed: int, number: int, trials: Sequence[Trial], lag: int | None
) -> dict[str, Any]:
    """Settings of trial `number`.

    A capped trial tells the sampler what a pruned one does: nothing here is better than what was completed.

    Args:
        space: what is searched.
        seed: of the study.
        number: of the trial to propose, 0 or more.
        trials: earlier ones, in any order; those that failed or were lost tell nothing.
        lag: W of the fixed order; None = look at every finished trial.
    """
    searched = [parameter for parameter in space if parameter.kind != "fixed"]
    settings = {parameter.name: parameter.choices[0] for parameter in space if parameter.kind == "fixed"}
    if not searched:
        return settings
    distributions = {parameter.name: _distribution(parameter) for parameter in searched}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)
        sampler = optuna.samplers.TPESampler(seed=_seed(seed, number), n_startup_trials=STARTUP, constant_liar=True)
        study = optuna.create_study(direction="minimize", sampler=sampler)
        known = sorted((trial for trial in trials if trial.number < number), key=lambda trial: trial.number)
        study.add_trials([_past(trial, distributions, number, lag) for trial in known])
        asked = study.ask(distributions)
    return {parameter.name: asked.params[parameter.name] for parameter in searched} | settings


def may_propose(number: int, trials: Sequence[Trial], lag: int | None) -> bool:
    """Whether everything that trial `number` is proposed from has ended."""
    if lag is None:
        return True
    return all(trial.state is not TrialState.RUNNING for trial in trials if trial.number <= number - lag)


def fit_to_space(space: Sequence[Parameter], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A champion's settings in today's space: unknown names left out, missing ones by default, bounds kept."""
    return {
        parameter.name: _bounded(parameter, settings[parameter.name])
        if parameter.name in settings
        else middle(parameter)
        for parameter in space
    }


def _bounded(parameter: Parameter, value: Any) -> Any:
    if parameter.kind == "fixed":
        return parameter.choices[0]
    if parameter.kind == "choice":
        return value if value in parameter.choices else parameter.choices[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return middle(parameter)
    assert parameter.low is not None
    assert parameter.high is not None
    value = min(max(value, parameter.low), parameter.high)
    return round(value) if parameter.kind == "integer" else float(value)


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    if parameter.kind == "choice":
        return optuna.distributions.CategoricalDistribution(parameter.choices)
    assert parameter.low is not None
    assert parameter.high is not None
    if parameter.kind == "integer":
        return optuna.distributions.IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def _past(trial: Trial, distributions: Mapping[str, Any], number: int, lag: int | None) -> optuna.trial.FrozenTrial:
    hidden = trial.state is TrialState.RUNNING or (lag is not None and trial.number > number - lag)
    state = optuna.trial.TrialState.FAIL
    if hidden:
        state = optuna.trial.TrialState.RUNNING
    elif trial.score is not None:
        state = optuna.trial.TrialState.COMPLETE
    elif trial.state is TrialState.CAPPED:
        state = optuna.trial.TrialState.PRUNED
    return optuna.trial.create_trial(
        state=state,
        value=trial.score if state is optuna.trial.TrialState.COMPLETE else None,
        params={name: trial.settings[name] for name in distributions},
        distributions=dict(distributions),
    )


def _seed(seed: int, number: int) -> int:
    text = hashlib.sha256(f"filiera/proposal/1\0{seed}/{number}".encode()).digest()
    return int.from_bytes(text[:4], "big")
