import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.studies import PIPELINES, model, rows, share

from filiera.core.asset import Code, Frame, Port, Split
from filiera.errors import UsageError, WorkError
from filiera.runner import fit, predict
from filiera.runner.fit import fit_arguments
from filiera.runner.matrix import unpack
from filiera.train.split import fold_windows, refit_range, windows

FITTING = str(Path(__file__).parents[1] / "train")


@pytest.fixture(autouse=True)
def _pipelines(monkeypatch):
    monkeypatch.syspath_prepend(PIPELINES)


def call(task, definition, settings, **more):
    buffer, matrix = share(rows(), definition)
    arguments = fit_arguments(definition, settings, windows(definition.split, matrix.time))
    arguments |= {"range": list(refit_range(definition.split, matrix.time))} | more
    emitted: list[bytes] = []
    return task(arguments, [buffer.view()], emitted.append), emitted, matrix


def test_a_trial_scores_each_window():
    value, _, matrix = call(fit.fit_trial, model(), {"alpha": 1.0})
    assert len(value["window_scores"]) == 3
    assert value["score"] == pytest.approx(np.mean(value["window_scores"]))
    assert value["score"] < np.abs(matrix.y - matrix.y.mean()).mean()


def test_the_same_trial_twice_gives_the_same_score():
    definition = model("boosted", space=())
    first, second = (call(fit.fit_trial, definition, {"learning_rate": 0.1, "leaves": 5})[0] for _ in range(2))
    assert first == second


def test_stopping_by_random_rows_is_warned_of():
    value, _, _ = call(fit.fit_trial, model("stops_at_random"), {})
    assert "random in time" in value["warnings"][0]


def test_a_trainer_gets_older_rows_to_train_and_newer_to_validate_and_never_the_tested():
    value, _, matrix = call(fit.fit_trial, model("trainer", form="trainer"), {"share": 1.0})
    seen = sys.modules["pipelines"].seen
    last = windows(model().split, matrix.time)[-1]
    train = matrix.y[matrix.between(last.train_low, last.train_high)]
    both = np.r_[seen["train"]["power"], seen["valid"]["power"]]
    np.testing.assert_array_equal(both, train)
    assert len(seen["valid"]) == len(train) // 5
    assert list(seen["train"].columns) == ["wind", "gust", "power"]
    assert value["score"] > 0


@pytest.mark.parametrize("frame", [Frame.NUMPY, Frame.PANDAS])
def test_a_trainer_gets_views_of_the_shared_rows(monkeypatch, frame):
    monkeypatch.syspath_prepend(FITTING)
    definition = model(
        form="trainer", space=(), inputs=(Port("rows", frame),),
        code=Code(module="fitting", name="keeps_what_it_got", digest="", manifest={}),
    )  # fmt: skip
    buffer, matrix = share(rows(), definition, joined=True)
    arguments = fit_arguments(definition, {}, windows(definition.split, matrix.time))
    view = buffer.view()
    fit.fit_trial(arguments, [view], print)
    mapped, last = fit.map_rows(view), windows(definition.split, matrix.time)[-1]
    for name, part in sys.modules["fitting"].seen.items():
        values = part if frame is Frame.NUMPY else part.to_numpy()
        assert np.shares_memory(values, mapped.xy), name
        assert values.shape[1] == len(definition.features) + 1
        assert not values.flags.writeable
    train = mapped.between(last.train_low, last.train_high)
    values = np.vstack([np.asarray(part) for part in sys.modules["fitting"].seen.values()])
    np.testing.assert_array_equal(values, np.column_stack([mapped.x[train], mapped.y[train]]))


@pytest.mark.parametrize("frame", list(Frame)[:4])
def test_a_trainer_is_fitted_the_same_in_both_layouts_and_every_frame(monkeypatch, frame):
    monkeypatch.syspath_prepend(FITTING)
    definition = model(
        form="trainer", space=(), inputs=(Port("rows", frame),),
        code=Code(module="fitting", name="keeps_what_it_got", digest="", manifest={}),
    )  # fmt: skip
    seen = []
    for joined in (False, True):
        buffer, matrix = share(rows(), definition, joined=joined)
        arguments = fit_arguments(definition, {}, windows(definition.split, matrix.time))
        fit.fit_trial(arguments, [buffer.view()], print)
        seen.append([np.asarray(part) for part in sys.modules["fitting"].seen.values()])
    for apart, together in zip(*seen, strict=True):
        np.testing.assert_array_equal(apart, together)


def test_folds_train_on_every_row_but_those_of_one_range():
    definition = model(split=Split(kind="folds", windows=4))
    buffer, matrix = share(rows().drop_columns(["at"]), definition, time=None)
    value = fit.fit_trial(
        fit_arguments(definition, {"alpha": 1.0}, fold_windows(definition.split)), [buffer.view()], print
    )
    train, test = matrix.split(fold_windows(definition.split)[0])
    assert len(train) + test.stop - test.start == len(matrix.y)
    assert len(value["window_scores"]) == 4


def test_a_trainer_may_return_a_listed_model_and_is_packaged():
    value, emitted, _ = call(fit.refit, model("fits_ridge", form="trainer"), {})
    assert value["format"] == "skops"
    assert len(emitted) == 2


@pytest.mark.parametrize("form", ["estimator", "trainer"])
def test_a_function_that_returns_none_is_told_so(form):
    name = "nothing"
    if form == "trainer":
        sys.modules.pop("pipelines", None)
    definition = model(name)
    with pytest.raises(WorkError, match="returned None"):
        call(fit.fit_trial, definition, {})


def test_the_probe_knows_before_the_training_what_can_be_released():
    arguments = fit_arguments(model(), {"alpha": 1.0}, ())
    assert fit.probe(arguments, [], print)["format"] == "skops"
    found = fit.probe(fit_arguments(model("endless"), {}, ()), [], print)
    assert found["format"] == ""
    assert "not released" in found["reason"]
    assert fit.probe(fit_arguments(model("trainer", form="trainer"), {}, ()), [], print)["note"]


def test_a_refit_model_answers_in_training_with_what_a_fit_said_that_had_not_seen_the_row():
    definition = model()
    value, (predictions, package), matrix = call(fit.refit, definition, {"alpha": 1.0})
    facts = value | {"key": ["turbine"], "time": "at"}
    loaded = predict.load_model(package, facts, predictions)
    frame = rows().to_pandas()
    found = loaded.predict(frame)
    first = windows(definition.split, matrix.time)[0].test_low
    _, blocks = unpack(predictions)
    assert np.isnan(found[matrix.time < first]).all()
    assert np.isfinite(found[blocks["row"]]).all()
    np.testing.assert_array_equal(found[blocks["row"]].astype(np.float32), blocks["prediction"])
    scores = np.abs(found[blocks["row"]] - matrix.y[blocks["row"]])
    assert scores.mean() == pytest.approx(np.mean(value["window_scores"]), rel=0.05)


def test_later_rows_are_predicted_by_the_package_in_every_kind_of_frame():
    value, (predictions, package), _ = call(fit.refit, model(), {"alpha": 1.0})
    loaded = predict.load_model(package, value | {"key": ["turbine"], "time": "at"}, predictions)
    frame = rows(3).to_pandas()
    frame["at"] = frame["at"] + pd.Timedelta(days=400)
    import polars as pl
    import pyarrow as pa

    expected = loaded.predict(frame)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(loaded.predict(pl.from_pandas(frame)), expected)
    np.testing.assert_array_equal(loaded.predict(pa.Table.from_pandas(frame)), expected)
    with pytest.raises(UsageError, match="wind"):
        loaded.predict(frame.drop(columns=["wind"]))


def test_the_serving_task_answers_plain_records_and_the_champion_task_training_rows():
    definition = model()
    value, (_, package), matrix = call(fit.refit, definition, {"alpha": 1.0})
    facts = value | {"key": ["turbine"], "time": "at"}
    records = [{"wind": 8.0, "gust": 10.0}, {"gust": 10.0, "wind": 8.0}]
    answer = predict.predict({"digest": "d", "facts": facts, "records": records}, [memoryview(package)], print)
    assert answer["predictions"][0] == answer["predictions"][1]
    buffer, _ = share(rows(), definition)
    emitted: list[bytes] = []
    window = windows(definition.split, matrix.time)[-1]
    predict.predict_matrix(
        {"facts": facts, "windows": [window.to_json()]}, [buffer.view(), memoryview(package)], emitted.append
    )
    _, blocks = unpack(emitted[0])
    wanted = predict.load_model(package, facts).predict_inputs({"wind": matrix.x[:, 0], "gust": matrix.x[:, 1]})
    np.testing.assert_allclose(blocks["prediction"], wanted[blocks["row"]])


def test_unknown_categories_are_missing_and_known_ones_keep_their_code():
    definition = model("boosted", features=("turbine", "wind"))
    value, (_, package), _ = call(fit.refit, definition, {"learning_rate": 0.3, "leaves": 5})
    loaded = predict.load_model(package, value | {"key": [], "time": "at"})
    found = loaded.predict_inputs({"turbine": np.array(["a", "new", None], object), "wind": np.array([5.0, 5.0, 5.0])})
    assert found[1] == found[2]
