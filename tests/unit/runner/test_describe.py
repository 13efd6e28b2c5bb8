"""Describe: a pipeline as data, and its mistakes with file, line and what to do."""

import sys
import textwrap
from pathlib import Path

import pytest

from filiera.core.asset import Frame, Parameter
from filiera.core.asset_json import graph_from_json, graph_to_json
from filiera.engine.failure import raise_failure
from filiera.engine.inline import InlineEngine
from filiera.engine.process import ProcessEngine
from filiera.engine.task import Task
from filiera.errors import CodeError

SCADA = {"scada": {"key": ["turbine", "at"], "time": "at", "device": "turbine"}}
HEAD = "import filiera as fl\nimport pandas as pd\nfrom sklearn.linear_model import Ridge\n"
WIND = (
    HEAD
    + """
FACTOR = 2

def mean(rows):
    return rows * FACTOR

@fl.table(partition="month", lookback="1h")
def features(scada: pd.DataFrame, *, hours=3):
    return mean(scada)

@fl.model(predicts="power", inputs=["wind"])
def power(features, *, alpha=fl.between(0.1, 10.0, log=True), fit_intercept=fl.choice(True, False), solver="svd"):
    return Ridge(alpha=alpha, fit_intercept=fit_intercept, solver=solver)

@fl.table(key=["turbine", "day"])
def losses(power: fl.Model, features):
    return features
"""
)


def describe(root, text, *, engine=None, sources=SCADA, **files):
    root.mkdir(exist_ok=True)
    for name, content in {"pipeline": text, **files}.items():
        (root / f"{name}.py").write_text(textwrap.dedent(content))
    task = Task(
        id="d", function="filiera.runner.describe:describe", arguments={"root": str(root), "sources": sources},
        bundle=str(root),
    )  # fmt: skip
    running = engine or InlineEngine()
    running.submit(task)
    (result,) = running.wait()
    raise_failure(result, "pipeline.py")
    return graph_from_json(result.value)


def refused(root, text, code, **files):
    with pytest.raises(CodeError) as caught:
        describe(root, text, **files)
    assert caught.value.code == code, caught.value
    return caught.value


@pytest.fixture
def root(tmp_path):
    return tmp_path / "bundle"


def test_the_graph_of_a_pipeline(root):
    graph = describe(root, WIND)
    assert [asset.name for asset in graph.ordered()] == ["features", "power", "losses"]
    features, power, losses = (graph.find(name) for name in ("features", "power", "losses"))
    assert [(port.asset, port.frame) for port in features.inputs] == [("scada", Frame.PANDAS)]
    assert features.settings == {"hours": 3}
    assert (features.partition, features.lookback_us, features.key) == ("month", 3_600_000_000, None)
    assert [port.asset for port in power.inputs] == ["features"]
    assert (power.predicts, power.features, power.form, power.trials) == ("power", ("wind",), "estimator", 100)
    assert power.space == (
        Parameter(name="alpha", kind="float", low=0.1, high=10.0, log=True),
        Parameter(name="fit_intercept", kind="choice", choices=(True, False)),
        Parameter(name="solver", kind="fixed", choices=("svd",)),
    )
    assert [(port.asset, port.frame) for port in losses.inputs] == [("power", Frame.MODEL), ("features", Frame.PANDAS)]
    assert losses.key == ("turbine", "day")
    assert graph.sources == ("scada",)
    assert graph.warnings == ()
    assert graph.runtime_manifest["python"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert "sklearn" in graph.runtime_manifest["libraries"]
    assert graph_to_json(graph_from_json(graph_to_json(graph))) == graph_to_json(graph)


def test_a_child_process_tells_the_same_and_leaves_the_bundle_alone(root):
    with ProcessEngine(1) as engine:
        graph = describe(root, WIND, engine=engine)
    assert graph == describe(root, WIND)
    assert sorted(path.name for path in root.iterdir()) == ["pipeline.py"]


def test_code_digests_follow_what_a_function_reaches_and_nothing_else(root, tmp_path):
    before = describe(root, WIND)
    changed = describe(tmp_path / "two", WIND.replace("FACTOR = 2", "FACTOR = 3"))
    commented = describe(tmp_path / "three", WIND.replace("FACTOR = 2", "FACTOR = 2  # a factor"))
    assert changed.find("features").code.digest != before.find("features").code.digest
    assert changed.find("power").code.digest == before.find("power").code.digest
    assert commented.find("features").code.digest == before.find("features").code.digest
    assert changed.runtime == before.runtime


@pytest.mark.parametrize(
    ("annotation", "frame"),
    [
        ("pd.DataFrame", Frame.PANDAS), ("pl.DataFrame", Frame.POLARS), ("pa.Table", Frame.PYARROW),
        ("np.ndarray", Frame.NUMPY), ('"pl.DataFrame"', Frame.POLARS), ("DataFrame", Frame.PANDAS),
        ("npt.NDArray[np.float64]", Frame.NUMPY),
    ],
)  # fmt: skip
@pytest.mark.parametrize("future", [True, False])
def test_the_annotation_chooses_the_form_of_rows(root, annotation, frame, future):
    text = f"""
        import filiera as fl
        import numpy as np
        import numpy.typing as npt
        import pandas as pd
        import polars as pl
        import pyarrow as pa
        from pandas import DataFrame

        @fl.table
        def features(scada: {annotation}):
            return scada
    """
    first = "from __future__ import annotations\n" if future else ""
    graph = describe(root, first + textwrap.dedent(text))
    assert graph.find("features").inputs[0].frame is frame


def test_an_annotation_for_the_type_checker_only_is_read_by_its_words(root):
    text = """
        from __future__ import annotations
        import filiera as fl
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import polars as pl

        @fl.table
        def features(scada: pl.DataFrame) -> pl.DataFrame:
            return scada
    """
    assert describe(root, text).find("features").inputs[0].frame is Frame.POLARS


def test_a_function_with_train_and_valid_fits_by_itself(root):
    text = (
        HEAD
        + """
@fl.table
def features(scada):
    return scada

@fl.model(predicts="power", inputs=["wind"])
def power(features, train, valid, *, alpha=fl.between(0.1, 1.0)):
    return Ridge(alpha=alpha).fit(train, valid)
"""
    )
    assert describe(root, text).find("power").form == "trainer"


def test_definitions_of_other_modules_count_when_the_pipeline_imports_them(root):
    parts = HEAD + "@fl.table\ndef features(scada):\n    return scada\n"
    graph = describe(root, "from parts import features\n", parts=parts)
    assert graph.find("features").code.module == "parts"


def test_no_pipeline_is_said_so(root):
    root.mkdir()
    task = Task(
        id="d",
        function="filiera.runner.describe:describe",
        arguments={"root": str(root), "sources": {}},
        bundle=str(root),
    )
    engine = InlineEngine()
    engine.submit(task)
    assert engine.wait()[0].error["code"] == "code.no_pipeline"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_library", "No module named 'no_such_library'"),
        ("open('data.csv')", "FileNotFoundError"),
        ("from parts import absent", "ImportError"),
    ],
)
def test_a_pipeline_that_fails_at_import_names_its_line_and_shows_no_traceback(root, line, found):
    error = refused(root, f"import filiera as fl\n\n{line}\n", "code.import_failed", parts="")
    assert error.where == "pipeline.py:3"
    assert found in error.message
    assert "Traceback" not in str(error)
    assert error.next


def test_the_line_of_a_helper_module_is_named(root):
    error = refused(root, "import parts\n", "code.import_failed", parts="x = 1\nx.absent\n")
    assert error.where == "parts.py:2"


def test_a_syntax_error_names_its_line(root):
    error = refused(root, "import filiera\ndef broken(:\n", "code.syntax_error")
    assert error.where == "pipeline.py:2"


def test_a_definition_that_is_refused_names_its_line(root):
    error = refused(
        root, HEAD + "@fl.table(partition='week')\ndef features(scada):\n    return scada\n", "code.partition"
    )
    assert error.where == "pipeline.py:4"


TABLE = "@fl.table\ndef {}:\n    return 1\n"


@pytest.mark.parametrize(
    ("signature", "code", "told"),
    [
        ("features(scad)", "code.unknown_parameter", "scada"),
        ("features(scada, *rest)", "code.unknown_parameter", "known"),
        ("features(features)", "code.unknown_parameter", "known"),
        ("features(scada, train)", "code.unknown_parameter", "known"),
        ("features(scada, /)", "code.positional", "by name"),
        ("features()", "code.no_input", "scada"),
        ("features(*, hours=3)", "code.no_input", "scada"),
        ("features(scada: list)", "code.frame", "pd.DataFrame"),
        ("features(scada: fl.Model)", "code.frame", "pd.DataFrame"),
        ("features(scada, *, hours={1, 2})", "code.setting", "text, number"),
        ("features(scada, *, hours=float('nan'))", "code.setting", "text, number"),
        ("features(scada, *, hours=fl.between(1, 2))", "code.setting", "text, number"),
        ("Features(scada)", "code.name", "small letters"),
        ("scada(scada)", "code.name_taken", "choose another"),
    ],
)
def test_a_wrong_signature_is_refused_with_its_line(root, signature, code, told):
    error = refused(root, HEAD + TABLE.format(signature), code)
    assert told in str(error)
    assert error.where.startswith("pipeline.py:")


@pytest.mark.parametrize(
    ("inputs", "signature", "code"),
    [
        ('["wind", "at"]', "power(features)", "code.key_input"),
        ('["turbine"]', "power(features)", "code.key_input"),
        ('["wind"]', "power(features, scada)", "code.model_inputs"),
        ('["wind"]', "power(other: fl.Model)", "code.model_inputs"),
        ('["wind"]', "power(features, train)", "code.trainer"),
        ('["wind"]', "power(other)", "code.frame"),
    ],
)
def test_a_wrong_model_is_refused_with_its_line(root, inputs, signature, code):
    text = f"""{HEAD}
@fl.table
def features(scada):
    return scada

@fl.model(predicts="power", inputs=["wind"])
def other(features):
    return Ridge()

@fl.model(predicts="power", inputs={inputs})
def {signature}:
    return Ridge()
"""
    assert refused(root, text, code).where == "pipeline.py:13"


def test_the_time_of_a_source_that_a_model_does_not_come_from_is_an_ordinary_name(root):
    text = HEAD + "@fl.model(predicts='power', inputs=['day'])\ndef power(scada):\n    return Ridge()\n"
    other = {"weather": {"key": ["day"], "time": "day", "device": None}}
    assert describe(root, text, sources=SCADA | other).find("power").features == ("day",)


def test_a_circle_is_refused(root):
    text = HEAD + TABLE.format("one(two)") + TABLE.format("two(one)")
    assert "one, two" in refused(root, text, "code.cycle").message


def test_a_model_that_could_not_be_released_is_told_before_any_training(root):
    text = (
        HEAD
        + """
class Own(Ridge):
    pass

@fl.model(predicts="power", inputs=["wind"])
def power(scada):
    return Own()
"""
    )
    assert any("power" in warning for warning in describe(root, text).warnings)


def test_the_example_project_is_described():
    import filiera

    folder = Path(filiera.__file__).parent / "examples" / "wind"
    engine = InlineEngine()
    engine.submit(
        Task(id="d", function="filiera.runner.describe:describe", arguments={"root": str(folder), "sources": SCADA},
             bundle=str(folder))
    )  # fmt: skip
    graph = graph_from_json(engine.wait()[0].value)
    assert [asset.name for asset in graph.ordered()] == ["features", "power", "losses"]
    assert graph.warnings == ()


DYNAMIC = """
import importlib
import filiera as fl

@fl.table(uses={uses})
def features(scada):
    return importlib.import_module(f"models_{{len(scada)}}").fit(scada)
"""


def test_dynamic_code_is_told_and_uses_narrows_it(root, tmp_path):
    models = {"models_1": "def fit(x):\n    return x\n", "spare": "X = 1\n"}
    graph = describe(root, DYNAMIC.format(uses="()"), **models)
    assert "spare.X" in graph.find("features").code.manifest["units"]
    assert graph.warnings == (
        "features: names code by computed texts, so any change of the project counts; "
        "`uses=[...]` says what it reaches",
    )  # fmt: skip
    graph = describe(tmp_path / "narrow", DYNAMIC.format(uses='["models_1"]'), **models)
    assert "models_1.fit" in graph.find("features").code.manifest["units"]
    assert "spare.X" not in graph.find("features").code.manifest["units"]
    assert graph.warnings == ("features: names code by computed texts, and only what `uses` says counts",)


@pytest.mark.parametrize("uses", ["model_1", "models_1.fitt", "numpy"])
def test_uses_names_what_the_project_has(root, uses):
    with pytest.raises(CodeError) as caught:
        describe(root, DYNAMIC.format(uses=[uses]), models_1="def fit(x):\n    return x\n")
    assert caught.value.code == "code.uses"
    assert caught.value.where == "pipeline.py:5"
    assert uses in caught.value.message
    assert "models_1" in caught.value.next


@pytest.mark.parametrize("uses", ['"models_1"', "[]", "[1]"])
def test_uses_is_a_list_of_names(root, uses):
    if uses == "[]":
        assert describe(root, DYNAMIC.format(uses=uses)).find("features") is not None
    else:
        refused(root, DYNAMIC.format(uses=uses), "code.uses")


def test_a_function_that_a_factory_made_goes_by_the_name_it_was_given(root):
    text = """
    import filiera as fl

    def make(factor):
        def inner(scada):
            return scada * factor
        return inner

    low = fl.table(make(2))
    high = fl.table(make(3))
    """
    graph = describe(root, text)
    assert [(table.name, table.code.name) for table in graph.tables] == [("low", "low"), ("high", "high")]
    assert graph.find("low").code.manifest["units"].keys() == {"pipeline.low", "pipeline.make"}


def test_environment_variables_are_listed_and_values_from_outside_are_told(root):
    text = """
    import os
    import random
    import filiera as fl

    LIMIT = os.environ["LIMIT"] if "LIMIT" in os.environ else os.getenv("OTHER")

    @fl.table
    def features(scada):
        return scada * random.random() if LIMIT else scada

    @fl.table
    def plain(scada):
        return scada
    """
    graph = describe(root, text)
    assert graph.find("features").code.manifest["variables"] == ["LIMIT", "OTHER"]
    assert graph.find("plain").code.manifest["variables"] == []
    assert graph.warnings == ("features: uses random.random: its result may not come out the same again",)
