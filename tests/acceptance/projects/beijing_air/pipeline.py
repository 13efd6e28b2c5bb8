# ruff: noqa: B008  -- a search space is written as a default
"""Fine dust at a station from what was in the air some hours ago and from the weather now."""

import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor

import filiera as fl


@fl.table(partition="month", lookback="24h")
def features(air: pl.DataFrame, *, hours_ago=6) -> pl.DataFrame:
    """The rows with pollutants of `hours_ago` and their mean over the day before; gaps stay gaps."""
    gases = ["pm25", "pm10", "no2", "co"]
    earlier = air.select("station", pl.col("at").dt.offset_by(f"{hours_ago}h"), pl.col(gases).name.suffix("_ago"))
    day = air.rolling("at", period="18h", offset=f"-{18 + hours_ago}h", group_by="station").agg(
        pl.col("pm25").mean().alias("pm25_day")
    )
    local = pl.col("at").dt.convert_time_zone("Asia/Shanghai")
    return (
        air.join(earlier, on=["station", "at"], how="left")
        .join(day, on=["station", "at"], how="left")
        .with_columns(
            hour=local.dt.hour().cast(pl.Float64),
            month=local.dt.month().cast(pl.Float64),
            dry_c=pl.col("outdoor_c") - pl.col("dewpoint_c"),
        )
    )


@fl.model(
    predicts="pm25",
    inputs=["pm25_ago", "pm10_ago", "no2_ago", "co_ago", "pm25_day", "wind_ms", "wind_from", "dry_c", "pressure_hpa",
            "rain_mm", "hour", "month"],
    trials=3,
    split=fl.backtest(windows=3, train="365d", test="30d", gap="1d"),
)  # fmt: skip
def pm25_next(features, *, learning_rate=fl.between(0.05, 0.3, log=True), leaves=fl.between(8, 32)):
    """PM2.5 of this hour, told six hours before with a weather forecast."""
    return HistGradientBoostingRegressor(
        max_iter=40, early_stopping=False, learning_rate=learning_rate, max_leaf_nodes=leaves
    )
