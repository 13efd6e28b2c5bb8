"""Power of a wind turbine from the wind: features, a model, and the days that lost energy."""

import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

import filiera as fl


@fl.table(partition="month", lookback="1h")
def features(scada: pd.DataFrame) -> pd.DataFrame:
    """The rows with the mean wind of the last hour."""
    hour = scada.set_index("at").groupby("turbine", observed=True).wind_ms.rolling("1h").mean()
    return scada.merge(hour.rename("wind_ms_1h").reset_index(), on=["turbine", "at"])


@fl.model(
    predicts="power_kw",
    inputs=["wind_ms", "wind_ms_1h"],
    trials=100,
    split=fl.backtest(windows=5, train="91d", test="30d", gap="1d"),
)
def power(features, *, learning_rate=fl.between(0.03, 0.3, log=True), leaves=fl.between(4, 48)):
    """Power that a healthy turbine makes in this wind."""
    return HistGradientBoostingRegressor(
        max_iter=60, early_stopping=False, learning_rate=learning_rate, max_leaf_nodes=leaves
    )


@fl.table(partition="day", key=["turbine", "day"])
def losses(power: fl.Model, features: pd.DataFrame) -> pd.DataFrame:
    """Days on which a turbine made less than nine tenths of what the model expects."""
    rows = features.assign(
        day=features["at"].dt.floor("D"), kwh=features.power_kw / 6, expected_kwh=power.predict(features) / 6
    ).dropna(subset=["expected_kwh"])
    days = rows.groupby(["turbine", "day"], observed=True)[["kwh", "expected_kwh"]].sum().reset_index()
    return days[days.kwh < 0.9 * days.expected_kwh]
