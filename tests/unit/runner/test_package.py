"""Packages: canonical, code-free, and refused by content when they are not."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler

from filiera.errors import ConflictError, UnavailableError, UsageError
from filiera.runner.package import dump_model, load_package, package_format, runtime_of
from filiera.runner.packagecheck import canonical_skops, inspect_package, read_skops

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(300, 3))
Y = X[:, 0] ** 2 + X[:, 1] + DRAW.normal(size=300)

MODELS = [
    lambda: HistGradientBoostingRegressor(max_iter=4, random_state=0),
    lambda: HistGradientBoostingRegressor(max_iter=4, random_state=0, loss="absolute_error"),
    lambda: HistGradientBoostingRegressor(max_iter=4, random_state=0, loss="quantile", quantile=0.9),
    lambda: RandomForestRegressor(3, random_state=0),
    lambda: GradientBoostingRegressor(n_estimators=3, random_state=0),
    lambda: LinearRegression(),
    lambda: make_pipeline(SimpleImputer(), PolynomialFeatures(2), StandardScaler(), Ridge()),
    lambda: make_pipeline(
        ColumnTransformer([("kinds", OneHotEncoder(handle_unknown="ignore"), [2]), ("rest", StandardScaler(), [0, 1])]),
        Ridge(),
    ),
]


@pytest.fixture(scope="module")
def package():
    return dump_model(MODELS[0]().fit(X, Y))[1]


@pytest.mark.parametrize("make", MODELS)
def test_a_model_fitted_twice_has_equal_bytes_and_comes_back_with_equal_predictions(make):
    model = make().fit(X, Y)
    form, data, reason = dump_model(model)
    assert (form, reason) == ("skops", "")
    assert dump_model(make().fit(X, Y))[1] == data
    loaded = load_package(data, form, runtime_of(form))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert dump_model(loaded)[1] == data


def test_another_model_has_other_bytes(package):
    assert dump_model(HistGradientBoostingRegressor(max_iter=5, random_state=0).fit(X, Y))[1] != package


def test_a_type_that_is_not_listed_can_be_studied_but_not_released():
    model = make_pipeline(FunctionTransformer(np.log1p), KNeighborsRegressor())
    form, reason = package_format(model)
    assert form == ""
    assert "can be studied, but not released" in reason
    assert dump_model(model)[:2] == ("", b"")


class Marked:
    def __reduce__(self):
        return (pytest.fail, ("code of a model ran",))


def test_A74_pickles_are_refused_by_content_under_every_name():
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(Marked(), protocol)
        for form in ("skops", "lightgbm", "xgboost", None):
            with pytest.raises(UsageError, match="refused"):
                inspect_package(data, form)


def test_A74_pickles_inside_archives_and_arrays_are_refused(package):
    array = io.BytesIO()
    np.save(array, np.array([Marked()], object), allow_pickle=True)
    schema, members = read_skops(package)
    first = next(iter(members))
    for content in (pickle.dumps(Marked()), array.getvalue()):
        with pytest.raises(UsageError, match="refused"):
            inspect_package(canonical_skops(schema, members | {first: content}))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Marked()))
    with pytest.raises(UsageError, match="refused"):
        inspect_package(out.getvalue())


def test_A75_an_archive_that_is_not_what_filiera_writes_is_refused(package):
    schema, _ = read_skops(package)
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps(schema))
    extra = io.BytesIO(package)
    with zipfile.ZipFile(extra, "a") as archive:
        archive.writestr("more.pkl", b"x")
    for data in (
        compressed.getvalue(),
        extra.getvalue(),
        package + b"x",
        b"x" + package,
        package[:-30],
        b"",
        package[:100],
    ):
        with pytest.raises(UsageError, match="refused"):
            inspect_package(data)


def test_A75_no_flipped_bit_of_the_archives_fields_passes(package):
    end = package.rindex(b"PK\x05\x06")
    directory = package.index(b"PK\x01\x02")
    for place in [*range(40), *range(directory, directory + 60), *range(end, len(package))]:
        for bit in (1, 8, 128):
            changed = bytearray(package)
            changed[place] ^= bit
            with pytest.raises(UsageError, match="refused"):
                inspect_package(bytes(changed))


@pytest.mark.parametrize(
    "node",
    [
        {"__loader__": "OperatorFuncNode", "__module__": "operator", "__class__": "methodcaller", "attrs": []},
        {"__loader__": "MethodNode", "__module__": "os", "__class__": "system", "content": {}},
        {"__loader__": "FunctionNode", "__module__": "os", "__class__": "system", "content": {}},
        {"__loader__": "TypeNode", "__module__": "subprocess", "__class__": "Popen"},
        {"__loader__": "ObjectNode", "__module__": "os", "__class__": "_Environ", "content": {}},
        {"__loader__": ["x"], "__module__": "os", "__class__": "system"},
    ],
)
def test_A76_nodes_and_types_that_are_not_listed_are_refused(package, node):
    schema, members = read_skops(package)
    schema["content"]["content"]["loss"] = node
    with pytest.raises(UsageError, match="refused") as caught:
        inspect_package(canonical_skops(schema, members))
    assert "not on filiera's list" in str(caught.value)


def test_A76_what_skops_writes_itself_is_refused_until_it_is_canonical():
    data = skops.io.dumps(KNeighborsRegressor().fit(X, Y))
    with pytest.raises(UsageError, match="refused"):
        inspect_package(data)


def test_the_facts_name_the_model_and_its_types(package):
    facts = inspect_package(package)
    assert facts.format == "skops"
    assert facts.model.endswith("HistGradientBoostingRegressor")
    assert facts.size_bytes == len(package)
    assert "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor" in facts.types


def test_another_runtime_is_refused_with_what_to_do(package):
    with pytest.raises(ConflictError, match="rebuild"):
        load_package(package, "skops", runtime_of("skops") | {"numpy": "1.0"})


def test_a_missing_library_names_the_extra():
    pytest.importorskip("sklearn")
    try:
        import lightgbm  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(UnavailableError, match="boost"):
            load_package(b"tree\nversion=v4\n", "lightgbm", {})
    else:
        pytest.skip("LightGBM is installed here")
