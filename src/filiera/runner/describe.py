"""Describe: import the user's pipeline in a child process and give its graph as data.

The control plane never imports the user's code: a broken pipeline cannot break the platform, and the pipeline may
run in another environment than filiera.
"""

from __future__ import annotations

import importlib
import inspect
import platform
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from filiera import authoring
from filiera.authoring import ATTRIBUTE, ModelDefinition, Search, TableDefinition
from filiera.core.asset import Code, Frame, Graph, Model, Parameter, Port, Table
from filiera.core.asset_json import graph_to_json
from filiera.digest import digest_json
from filiera.dimensions.closure import Project, installed
from filiera.errors import CodeError, nearest
from filiera.runner.fit import probe

_MODULE = "pipeline"
_FRAMES = {
    "pd.DataFrame": Frame.PANDAS,
    "pandas.DataFrame": Frame.PANDAS,
    "pl.DataFrame": Frame.POLARS,
    "polars.DataFrame": Frame.POLARS,
    "pa.Table": Frame.PYARROW,
    "pyarrow.Table": Frame.PYARROW,
    "pyarrow.lib.Table": Frame.PYARROW,
    "np.ndarray": Frame.NUMPY,
    "numpy.ndarray": Frame.NUMPY,
}
_TRAINER = frozenset({"train", "valid"})


def describe(arguments: Mapping[str, Any], _inputs: Sequence[memoryview], _emit: Callable[[Any], None]) -> dict[str, Any]:
    """Task: the graph of the pipeline below `root`.

    Args:
        arguments: `root`, the folder of the unpacked bundle, and `sources`, the declared ones with `key`, `time`
            and `device` of each.
    """
    root = Path(arguments["root"])
    module = _load(root)
    versions = installed()
    project = Project(root, versions)
    functions = _definitions(module)
    names = {*arguments["sources"], *(name for name in functions)}
    tables, models = [], []
    for name, function in functions.items():
        code = _code(project, function)
        if isinstance(getattr(function, ATTRIBUTE), TableDefinition):
            tables.append(_table(name, function, code, names))
        else:
            models.append(_model(name, function, code, names, arguments["sources"]))
    manifest = {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": dict(sorted(versions.items())),
    }
    graph = Graph(
        sources=tuple(arguments["sources"]),
        tables=tuple(tables),
        models=tuple(models),
        runtime=digest_json("runtime", 1, manifest),
        runtime_manifest=manifest,
        warnings=(*_warnings([*tables, *models]), *_unreleasable(models)),
    )
    _refuse_cycles(graph)
    return graph_to_json(graph)


def _load(root: Path) -> ModuleType:
    if not (root / f"{_MODULE}.py").is_file() and not (root / _MODULE / "__init__.py").is_file():
        raise CodeError("code.no_pipeline", "the project has no pipeline.py", next="write one; see docs/quickstart.md")
    try:
        return importlib.import_module(_MODULE)
    except CodeError as error:
        raise CodeError(
            error.code, error.message, expected=error.expected, found=error.found, next=error.next, where=_place(root, error)
        ) from error
    except SyntaxError as error:
        where = f"{Path(error.filename or _MODULE).name}:{error.lineno}"
        raise CodeError("code.syntax_error", error.msg, where=where, next="mend the line and run again") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise CodeError(
            "code.import_failed", f"pipeline.py cannot be imported: {type(error).__name__}: {error}",
            where=_place(root, error), next="mend it; nothing ran and nothing changed",
        ) from error


def _place(root: Path, error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(root)]
    if not frames:
        return "pipeline.py"
    return f"{Path(frames[-1].filename).relative_to(root).as_posix()}:{frames[-1].lineno}"


def _definitions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {
        value.__name__: value
        for value in vars(module).values()
        if inspect.isfunction(value) and hasattr(value, ATTRIBUTE)
    }


def _code(project: Project, function: Callable[..., Any]) -> Code:
    closure = project.closure(function.__module__, function.__name__)
    return Code(
        module=function.__module__, name=function.__name__, digest=closure.digest, manifest=closure.manifest()
    )


def _where(function: Callable[..., Any]) -> str:
    path = Path(inspect.getsourcefile(function) or _MODULE).name
    return f"{path}:{function.__code__.co_firstlineno}"


def _split_parameters(
    function: Callable[..., Any], names: set[str]
) -> tuple[tuple[Port, ...], dict[str, Any]]:
    """Ports (parameters with an asset's name) and settings (parameters with a default)."""
    ports, settings = [], {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in names and parameter.name != function.__name__:
            ports.append(Port(parameter.name, _frame(parameter, function)))
        elif parameter.default is not inspect.Parameter.empty:
            settings[parameter.name] = parameter.default
        elif parameter.name not in _TRAINER:
            raise CodeError(
                "code.unknown_parameter", f"parameter `{parameter.name}` of {function.__name__} is neither an asset "
                "nor a setting with a default", where=_where(function), next=nearest(parameter.name, names),
            )
    if not ports:
        raise CodeError(
            "code.no_input", f"{function.__name__} reads nothing", where=_where(function),
            expected=f"a parameter named like one of {', '.join(sorted(names - {function.__name__}))}",
        )
    return tuple(ports), settings


def _frame(parameter: inspect.Parameter, function: Callable[..., Any]) -> Frame:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return Frame.PANDAS
    if annotation is authoring.Model or (isinstance(annotation, str) and annotation.split(".")[-1] == "Model"):
        return Frame.MODEL
    text = annotation if isinstance(annotation, str) else f"{annotation.__module__}.{annotation.__qualname__}"
    top, last = text.split(".")[0], text.split(".")[-1]
    frame = _FRAMES.get(text) or _FRAMES.get(f"{top}.{last}")
    if frame is None:
        raise CodeError(
            "code.frame", f"`{text}` is no form of rows (parameter {parameter.name} of {function.__name__})",
            expected="pd.DataFrame, pl.DataFrame, pa.Table, np.ndarray or fl.Model", where=_where(function),
        )
    return frame


def _table(name: str, function: Callable[..., Any], code: Code, names: set[str]) -> Table:
    definition: TableDefinition = getattr(function, ATTRIBUTE)
    ports, settings = _split_parameters(function, names)
    return Table(
        name=name,
        inputs=ports,
        settings=_plain(settings, function),
        partition=definition.partition,
        lookback_us=definition.lookback_us,
        key=definition.key,
        code=code,
    )


def _plain(settings: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    for name, value in settings.items():
        try:
            digest_json("setting", 1, value)
        except (ValueError, TypeError) as error:
            raise CodeError(
                "code.setting", f"setting `{name}` of {function.__name__} is no plain value",
                expected="a text, number, boolean, None, or lists and dicts of these", where=_where(function),
            ) from error
    return dict(settings)


def _model(
    name: str, function: Callable[..., Any], code: Code, names: set[str], sources: Mapping[str, Any]
) -> Model:
    definition: ModelDefinition = getattr(function, ATTRIBUTE)
    ports, settings = _split_parameters(function, names)
    if len(ports) != 1:
        raise CodeError(
            "code.model_inputs", f"model {name} reads {len(ports)} tables", expected="exactly one: join in a table first",
            where=_where(function),
        )
    for source in sources.values():
        for word in ("device", "time"):
            column = source.get(word)
            if column in definition.inputs and (word == "time" or column != "device"):
                raise CodeError(
                    "code.key_input", f"model {name} has the {word} column `{column}` among its inputs",
                    where=_where(function), next="take it out: a model that knows it does not carry over",
                )
    parameters = set(inspect.signature(function).parameters)
    return Model(
        name=name,
        inputs=ports,
        predicts=definition.predicts,
        features=definition.inputs,
        split=definition.split,
        space=_space(_plain_space(settings), function),
        trials=definition.trials,
        form="trainer" if parameters >= _TRAINER else "estimator",
        score=definition.score,
        seed=definition.seed,
        code=code,
    )


def _plain_space(settings: Mapping[str, Any]) -> dict[str, Search]:
    return {
        name: value if isinstance(value, Search) else Search("fixed", choices=(value,))
        for name, value in settings.items()
    }


def _space(searches: Mapping[str, Search], function: Callable[..., Any]) -> tuple[Parameter, ...]:
    _plain({name: list(search.choices) for name, search in searches.items()}, function)
    return tuple(search.named(name) for name, search in searches.items())


def _warnings(assets: Sequence[Table | Model]) -> tuple[str, ...]:
    texts = []
    for asset in assets:
        for flag in asset.code.manifest.get("flags", []):
            if flag == "dynamic":
                texts.append(f"{asset.name}: names are resolved at run time, so any change of the project counts")
            elif flag.startswith("nondeterministic:") and isinstance(asset, Table):
                texts.append(f"{asset.name} uses {flag.split(':')[1]}: its result cannot be reproduced")
    return tuple(texts)


def _unreleasable(models: Sequence[Model]) -> list[str]:
    """Models that could be studied but not released, known before any training."""
    texts = []
    for model in models:
        settings = default_settings(model.space)
        arguments = {
            "module": model.code.module,
            "name": model.code.name,
            "form": model.form,
            "parameter": model.inputs[0].asset,
            "frame": model.inputs[0].frame.value,
            "features": list(model.features),
            "settings": settings,
            "seed": model.seed,
        }
        found = probe(arguments, (), lambda _: None)
        if found["reason"]:
            texts.append(f"{model.name}: {found['reason']}")
    return texts


def default_settings(space: Sequence[Parameter]) -> dict[str, Any]:
    """Settings in the middle of a space."""
    return {parameter.name: _middle(parameter) for parameter in space}


def _middle(parameter: Parameter) -> Any:
    if parameter.kind in ("choice", "fixed"):
        return parameter.choices[0]
    assert parameter.low is not None
    assert parameter.high is not None
    middle = (parameter.low * parameter.high) ** 0.5 if parameter.log else (parameter.low + parameter.high) / 2
    return round(middle) if parameter.kind == "integer" else middle


def _refuse_cycles(graph: Graph) -> None:
    try:
        list(graph.ordered())
    except ValueError as error:
        raise CodeError("code.cycle", str(error), next="break the circle: a table cannot depend on itself") from error
