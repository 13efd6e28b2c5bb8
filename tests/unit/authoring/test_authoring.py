"""Definitions: functions stay functions, and what cannot work is said where it is written."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import filiera as fl
from filiera import authoring
from filiera.core.asset import DAY_US
from filiera.errors import CodeError, UsageError

SOME = {"predicts": "power", "inputs": ["wind"]}


def test_a_decorated_function_is_the_same_function():
    def features(scada):
        return scada + 1

    for decorated in (fl.table(features), fl.table(partition="day")(features), fl.model(**SOME)(features)):
        assert decorated is features
        assert decorated(2) == 3


def test_a_table_remembers_what_it_was_told():
    @fl.table(partition="month", lookback="1h", key=["turbine", "at"])
    def features(scada):
        return scada

    assert getattr(features, authoring.ATTRIBUTE) == authoring.TableDefinition(
        partition="month", lookback_us=3_600_000_000, key=("turbine", "at")
    )


def test_a_model_remembers_what_it_was_told():
    @fl.model(predicts="power", inputs=["wind", "gust"], split=fl.holdout(test="7d"), trials=5, score="rmse", seed=3)
    def power(features):
        return None

    found = getattr(power, authoring.ATTRIBUTE)
    assert (found.predicts, found.inputs, found.trials, found.score, found.seed) == (
        "power",
        ("wind", "gust"),
        5,
        "rmse",
        3,
    )
    assert found.split == fl.holdout(test="7d")


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [("10s", 10_000_000), ("15min", 900_000_000), ("1h", 3_600_000_000), ("30d", 30 * DAY_US), ("2w", 14 * DAY_US),
     ("0.5h", 1_800_000_000), (" 1 d ", DAY_US)],
)  # fmt: skip
def test_durations(text, microseconds):
    assert authoring.duration_us(text) == microseconds


@pytest.mark.parametrize("text", ["1 month", "3mo", "2M", "1y"])
def test_months_are_refused_with_the_reason(text):
    with pytest.raises(CodeError) as caught:
        authoring.duration_us(text)
    assert "no fixed length" in caught.value.next


@pytest.mark.parametrize("wrong", ["", "d", "-1d", "30", "1h30", 30, None])
def test_what_is_no_duration_is_refused_with_an_example(wrong):
    with pytest.raises(CodeError) as caught:
        authoring.duration_us(wrong)
    assert "30d" in caught.value.expected
    assert not caught.value.next


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: fl.table(partition="week"), "code.partition"),
        (lambda: fl.table(lookback="1h"), "code.lookback"),
        (lambda: fl.table(key="at"), "code.key"),
        (lambda: fl.table(key=[]), "code.key"),
        (lambda: fl.table(int), "code.decorated"),
        (lambda: fl.model(predicts="power", inputs=[]), "code.inputs"),
        (lambda: fl.model(predicts="power", inputs="wind"), "code.inputs"),
        (lambda: fl.model(predicts="power", inputs=["wind", "wind"]), "code.inputs"),
        (lambda: fl.model(predicts="power", inputs=["wind", "power"]), "code.target_input"),
        (lambda: fl.model(**SOME, score="accuracy"), "code.score"),
        (lambda: fl.model(**SOME, trials=0), "code.trials"),
        (lambda: fl.model(**SOME, trials=2.5), "code.trials"),
        (lambda: fl.model(**SOME, seed=-1), "code.seed"),
        (lambda: fl.model(**SOME, tolerance=0), "code.tolerance"),
        (lambda: fl.model(**SOME, tolerance=1), "code.tolerance"),
        (lambda: fl.model(**SOME, tolerance="1%"), "code.tolerance"),
        (lambda: fl.model(**SOME, tolerance=True), "code.tolerance"),
        (lambda: fl.model(**SOME, split="backtest"), "code.split"),
        (lambda: fl.backtest(windows=0), "code.windows"),
        (lambda: fl.backtest(test="0d"), "code.duration"),
        (lambda: fl.backtest(train="0h"), "code.duration"),
        (lambda: fl.holdout(test="0d"), "code.duration"),
        (lambda: fl.folds(1), "code.folds"),
        (lambda: fl.between(2, 1), "code.between"),
        (lambda: fl.between(1, 1), "code.between"),
        (lambda: fl.between(0, 1, log=True), "code.between"),
        (lambda: fl.between(0, float("inf")), "code.between"),
        (lambda: fl.between(0, float("nan")), "code.between"),
        (lambda: fl.between("a", "b"), "code.between"),
        (lambda: fl.between(False, True), "code.between"),
        (lambda: fl.choice(), "code.choice"),
        (lambda: fl.choice([1], [2]), "code.choice"),
        (lambda: fl.choice(1.0, float("nan")), "code.choice"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_written(make, code):
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.code == code
    assert caught.value.expected or caught.value.next or caught.value.found


def test_whole_bounds_search_whole_numbers():
    assert fl.between(4, 48).named("leaves").kind == "integer"
    assert fl.between(4.0, 48).named("rate").kind == "float"


def test_splits_count_in_microseconds():
    split = fl.backtest(windows=4, train="91d", test="30d", gap="1d")
    assert (split.kind, split.windows, split.train_us, split.test_us, split.gap_us) == (
        "backtest", 4, 91 * DAY_US, 30 * DAY_US, DAY_US,
    )  # fmt: skip
    assert fl.folds(3).kind == "folds"


@given(st.integers(1, 10_000), st.sampled_from(["s", "min", "h", "d", "w"]))
def test_a_number_of_units_is_that_many_times_one_unit(count, unit):
    assert authoring.duration_us(f"{count}{unit}") == count * authoring.duration_us(f"1{unit}")


def test_a_model_outside_of_a_run_says_what_to_do_instead():
    with pytest.raises(CodeError, match="when filiera runs"):
        fl.Model().predict([])


def test_a_pipeline_imports_the_standard_library_only():
    code = (
        "import sys, filiera.authoring; "
        "bad = {'numpy', 'pandas', 'polars', 'pyarrow', 'sklearn', 'sqlalchemy', 'cryptography'} & set(sys.modules); "
        "sys.exit(', '.join(bad) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
