"""Describe: import the user's pipeline in a child process and give its graph as data.

The control plane never imports the user's code: a broken pipeline cannot break the platform, and the pipeline may
run in another environment than filiera.
"""

from __future__ import annotations

import importlib
import inspect
import platform
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_origin

from filiera import authoring
from filiera.authoring import ATTRIBUTE, ModelDefinition, Search, TableDefinition
from filiera.core.asset import Code, Frame, Graph, Model, Parameter, Port, Table
from filiera.core.asset_json import graph_to_json
from filiera.digest import digest_json
from filiera.dimensions.closure import Project, installed, required
from filiera.dimensions.key import with_digests
from filiera.errors import CodeError, nearest
from filiera.runner.fit import default_settings, fit_arguments, probe

_MODULE = "pipeline"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
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
#: A function depends on the library whose frames it is handed, whether it names it or not.
_LIBRARIES = {
    Frame.PANDAS: "pandas",
    Frame.POLARS: "polars",
    Frame.PYARROW: "pyarrow",
    Frame.NUMPY: "numpy",
    Frame.MODEL: "sklearn",
}
_TRAINER = frozenset({"train", "valid"})


def describe(
    arguments: Mapping[str, Any], _inputs: Sequence[memoryview], _emit: Callable[[Any], None]
) -> dict[str, Any]:
    """Task: the graph of the pipeline below `root`.

    Args:
        arguments: `root`, the folder of the unpacked bundle; `sources`, the declared ones with `key`, `time`,
            `device` and `columns` of each; `files`, the digests by name of what each declared pattern names; and
            `variables`, the digest of each declared one.
    """
    root = Path(arguments["root"])
    module = _load(root)
    versions = installed()
    project = _Source(Project(root, versions, required()), arguments.get("files", {}), arguments.get("variables", {}))
    functions = _definitions(module, arguments["sources"])
    assets = dict.fromkeys(arguments["sources"], False) | {
        name: isinstance(getattr(function, ATTRIBUTE), ModelDefinition) for name, function in functions.items()
    }
    tables, models = [], []
    for name, function in functions.items():
        if isinstance(getattr(function, ATTRIBUTE), TableDefinition):
            tables.append(_table(name, function, project, assets, arguments["sources"]))
        else:
            models.append(_model(name, function, project, assets))
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
        warnings=_warnings([*tables, *models]),
    )
    _refuse_cycles(graph)
    for model in models:
        _refuse_key_inputs(graph, model, functions[model.name], arguments["sources"])
    return graph_to_json(with_digests(replace(graph, warnings=(*graph.warnings, *_unreleasable(models)))))


def _load(root: Path) -> ModuleType:
    if not (root / f"{_MODULE}.py").is_file() and not (root / _MODULE / "__init__.py").is_file():
        raise CodeError("code.no_pipeline", "the project has no pipeline.py", next="write one; see docs/quickstart.md")
    try:
        return importlib.import_module(_MODULE)
    except CodeError as error:
        raise CodeError(
            error.code,
            error.message,
            expected=error.expected,
            found=error.found,
            next=error.next,
            where=_place(root, error),
        ) from error
    except SyntaxError as error:
        where = f"{Path(error.filename or _MODULE).name}:{error.lineno}"
        raise CodeError("code.syntax_error", error.msg, where=where, next="mend the line and run again") from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        missing = isinstance(error, ModuleNotFoundError)
        raise CodeError(
            "code.import_failed", f"pipeline.py cannot be imported: {type(error).__name__}: {error}",
            where=_place(root, error),
            next="install it for the project's interpreter" if missing else "mend it; nothing ran and nothing changed",
        ) from error  # fmt: skip


def _place(root: Path, error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(root)]
    if not frames:
        return "pipeline.py"
    return f"{Path(frames[-1].filename).relative_to(root).as_posix()}:{frames[-1].lineno}"


def _definitions(module: ModuleType, sources: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The functions of the pipeline that define an asset, by name.

    Raises:
        CodeError: a name that no asset can have, or that is taken.
    """
    found: dict[str, Callable[..., Any]] = {}
    for function in vars(module).values():
        if not inspect.isfunction(function) or not hasattr(function, ATTRIBUTE):
            continue
        name = function.__name__
        if not _NAME.match(name):
            raise CodeError(
                "code.name", f"`{name}` is no name of an asset", where=_where(function),
                expected="small letters, digits and _, a letter first, at most 63",
            )  # fmt: skip
        if name in sources or found.get(name, function) is not function:
            other = "a source of filiera.toml" if name in sources else f"a function at {_where(found[name])}"
            raise CodeError(
                "code.name_taken", f"the name {name} is taken by {other}", where=_where(function), next="choose another"
            )
        found[name] = function
    return found


@dataclass(frozen=True, slots=True)
class _Source:
    """The code, and what its definitions declare."""

    project: Project
    files: Mapping[str, Mapping[str, str]]  #: pattern -> digest by name
    variables: Mapping[str, str]  #: name -> digest


def _code(source: _Source, function: Callable[..., Any], ports: Sequence[Port]) -> Code:
    frames = sorted({_LIBRARIES[port.frame] for port in ports})
    closure = source.project.closure(function.__module__, function.__name__, frames)
    manifest = closure.manifest() | _declared(source, function)
    digest = digest_json("closure", 1, manifest)
    return Code(module=function.__module__, name=function.__name__, digest=digest, manifest=manifest)


def _declared(source: _Source, function: Callable[..., Any]) -> dict[str, dict[str, str]]:
    """Digests of the files and variables that one definition declares; of other files it knows nothing.

    Raises:
        CodeError: one is not where the definition is read: in a list that is written out.
    """
    definition: TableDefinition | ModelDefinition = getattr(function, ATTRIBUTE)
    found: dict[str, dict[str, str]] = {}
    for pattern in definition.files:
        if pattern not in source.files:
            raise _not_written_out("files", pattern, function)
        found.setdefault("files", {}).update(source.files[pattern])
    for name in definition.variables:
        if name not in source.variables:
            raise _not_written_out("variables", name, function)
        found.setdefault("declared_variables", {})[name] = source.variables[name]
    return {part: dict(sorted(digests.items())) for part, digests in found.items()}


def _not_written_out(word: str, text: str, function: Callable[..., Any]) -> CodeError:
    return CodeError(
        f"code.{word}", f"`{text}` of {function.__name__} is not among the files and variables that the code declares",
        where=_where(function), next=f"write `{word}=[...]` out in the call of fl.table or fl.model itself",
    )  # fmt: skip


def _where(function: Callable[..., Any]) -> str:
    path = Path(inspect.getsourcefile(function) or _MODULE).name
    return f"{path}:{function.__code__.co_firstlineno}"


def _split_parameters(
    function: Callable[..., Any], assets: Mapping[str, bool], filled: frozenset[str]
) -> tuple[tuple[Port, ...], dict[str, Any]]:
    """Ports (parameters with an asset's name) and settings (parameters with a default).

    Args:
        function: the definition.
        assets: name of every asset, and whether it is a model.
        filled: parameters that filiera fills in by itself.
    """
    ports, settings = [], {}
    names = assets.keys() - {function.__name__}
    for parameter in _signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise CodeError(
                "code.positional", f"parameter `{parameter.name}` of {function.__name__} is positional only",
                where=_where(function), next="take the / out of the parameters: they are handed over by name",
            )  # fmt: skip
        if parameter.name in names:
            ports.append(Port(parameter.name, _port_frame(parameter, function, assets[parameter.name])))
        elif parameter.default is not inspect.Parameter.empty:
            settings[parameter.name] = parameter.default
        elif parameter.name not in filled:
            raise CodeError(
                "code.unknown_parameter",
                f"parameter `{parameter.name}` of {function.__name__} is neither an asset nor a setting with a default",
                where=_where(function),
                next=nearest(parameter.name, names),
            )
    if not ports:
        raise CodeError(
            "code.no_input",
            f"{function.__name__} reads nothing",
            where=_where(function),
            expected=f"a parameter named like one of {', '.join(sorted(names))}",
        )
    return tuple(ports), settings


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    """The parameters, with annotations as objects where their names are known at run time."""
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # an annotation is any expression; it may stand for the type checker only
        return inspect.signature(function)


def _port_frame(parameter: inspect.Parameter, function: Callable[..., Any], is_model: bool) -> Frame:
    frame = _frame(parameter, function)
    if is_model != (frame is Frame.MODEL):
        kind = "a model" if is_model else "a table"
        raise CodeError(
            "code.frame", f"{parameter.name} is {kind} (parameter of {function.__name__})", where=_where(function),
            expected="fl.Model" if is_model else "pd.DataFrame, pl.DataFrame, pa.Table or np.ndarray",
        )  # fmt: skip
    return frame


def _frame(parameter: inspect.Parameter, function: Callable[..., Any]) -> Frame:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return Frame.PANDAS
    annotation = get_origin(annotation) or annotation  # np.ndarray[...] is np.ndarray
    if annotation is authoring.Model or (isinstance(annotation, str) and annotation.split(".")[-1] == "Model"):
        return Frame.MODEL
    named = isinstance(annotation, type)
    text = f"{annotation.__module__}.{annotation.__qualname__}" if named else str(annotation).strip("'\"")
    top, last = text.split(".")[0], text.split(".")[-1]
    frame = _FRAMES.get(text) or _FRAMES.get(f"{top}.{last}")
    if frame is None:
        raise CodeError(
            "code.frame",
            f"`{text}` is no form of rows (parameter {parameter.name} of {function.__name__})",
            expected="pd.DataFrame, pl.DataFrame, pa.Table, np.ndarray or fl.Model",
            where=_where(function),
        )
    return frame


def _table(
    name: str,
    function: Callable[..., Any],
    project: _Source,
    assets: Mapping[str, bool],
    sources: Mapping[str, Any],
) -> Table:
    definition: TableDefinition = getattr(function, ATTRIBUTE)
    ports, settings = _split_parameters(function, assets, frozenset())
    return Table(
        name=name,
        inputs=ports,
        settings=_plain(settings, function),
        partition=definition.partition,
        lookback_us=definition.lookback_us,
        key=definition.key,
        code=_code(project, function, ports),
        columns=_columns_by_input(definition, function, ports, sources),
    )


def _columns_by_input(
    definition: TableDefinition, function: Callable[..., Any], ports: Sequence[Port], sources: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    """Which columns a table reads of which input.

    Raises:
        CodeError: one list for several inputs, an input that the function has not, a column that a source has not.
    """
    tables = [port.asset for port in ports if port.frame is not Frame.MODEL]
    stated = definition.columns
    if stated is None:
        return {}
    if not isinstance(stated, Mapping):
        if len(tables) != 1:
            raise CodeError(
                "code.columns", f"{function.__name__} reads {', '.join(tables)}, and `columns` does not say whose",
                where=_where(function), expected=f'columns={{"{tables[0] if tables else "scada"}": [...]}}',
            )  # fmt: skip
        stated = {tables[0]: stated}
    for name, columns in stated.items():
        if name not in tables:
            raise CodeError(
                "code.columns", f"{function.__name__} reads no table {name}", where=_where(function),
                next=nearest(name, tables),
            )  # fmt: skip
        known = sources.get(name, {}).get("columns")
        unknown = [column for column in columns if known is not None and column not in known]
        if unknown:
            raise CodeError(
                "code.columns", f"{name} has no column {unknown[0]}, which {function.__name__} reads",
                where=_where(function), next=nearest(unknown[0], known),
            )  # fmt: skip
    return dict(stated)


def _plain(settings: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    for name, value in settings.items():
        try:
            digest_json("setting", 1, value)
        except (ValueError, TypeError) as error:
            raise CodeError(
                "code.setting",
                f"setting `{name}` of {function.__name__} is no plain value",
                expected="a text, number, boolean, None, or lists and dicts of these",
                where=_where(function),
            ) from error
    return dict(settings)


def _model(name: str, function: Callable[..., Any], project: _Source, assets: Mapping[str, bool]) -> Model:
    definition: ModelDefinition = getattr(function, ATTRIBUTE)
    ports, settings = _split_parameters(function, assets, _TRAINER)
    if len(ports) != 1 or ports[0].frame is Frame.MODEL:
        raise CodeError(
            "code.model_inputs", f"model {name} reads {', '.join(port.asset for port in ports)}",
            expected="exactly one table: join in a table first", where=_where(function),
        )  # fmt: skip
    parameters = set(inspect.signature(function).parameters)
    if len(parameters & _TRAINER) == 1:
        raise CodeError(
            "code.trainer", f"model {name} has only one of the parameters train and valid", where=_where(function),
            expected="both, to fit by itself, or none",
        )  # fmt: skip
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
        order=definition.order,
        code=_code(project, function, ports),
    )


def _refuse_key_inputs(graph: Graph, model: Model, function: Callable[..., Any], sources: Mapping[str, Any]) -> None:
    """Refuse a model that sees the device or time of a source it comes from."""
    reached, waiting = set(), [model.name]
    while waiting:
        asset = graph.find(name := waiting.pop())
        if name not in reached:
            reached.add(name)
            waiting += [port.asset for port in asset.inputs] if asset else []
    for name in sorted(reached & sources.keys()):
        for word in ("device", "time"):
            column = sources[name].get(word)
            if column in model.features:
                raise CodeError(
                    "code.key_input", f"model {model.name} has the {word} column `{column}` of {name} among its inputs",
                    where=_where(function), next="take it out: a model that knows it does not carry over",
                )  # fmt: skip


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
        arguments = fit_arguments(model, default_settings(model.space), ())
        found = probe(arguments, (), lambda _: None)
        if found["reason"]:
            texts.append(f"{model.name}: {found['reason']}")
    return texts


def _refuse_cycles(graph: Graph) -> None:
    try:
        list(graph.ordered())
    except ValueError as error:
        raise CodeError("code.cycle", str(error), next="break the circle: a table cannot depend on itself") from error
