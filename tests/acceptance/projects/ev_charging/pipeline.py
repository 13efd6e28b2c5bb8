# ruff: noqa: B008  -- a search space is written as a default
"""Energy of a charging session, from where, when and how long a car was plugged in; nothing about its driver."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

import filiera as fl


@fl.table(key=["session"])
def plugged(sessions: pd.DataFrame, *, zone="America/New_York") -> pd.DataFrame:
    """One row a session, in no order: what matters is the hour of the day and the day of the week."""
    start = sessions["start"].dt.tz_convert(zone)
    return sessions[["session", "energy_kwh", "plugged_h", "platform", "station", "site", "facility"]].assign(
        hour=start.dt.hour + start.dt.minute / 60,
        weekday=start.dt.day_name().astype("category"),
    )


@fl.model(
    predicts="energy_kwh",
    inputs=["plugged_h", "hour", "weekday", "station", "site", "facility", "platform"],
    trials=3,
    split=fl.folds(4),
)
def energy(plugged, *, learning_rate=fl.between(0.03, 0.3, log=True), leaves=fl.between(4, 24)):
    """What a car takes in these hours."""
    return HistGradientBoostingRegressor(
        max_iter=50, early_stopping=False, learning_rate=learning_rate, max_leaf_nodes=leaves
    )
