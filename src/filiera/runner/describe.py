"""Describe: import the user's pipeline in a child process and give its graph as data.

The control plane never imports the user's code: a broken pipeline cannot break the platform, and the pipeline may
run in another environment than filiera.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_origin

from filiera import authoring
from filiera.authoring import ATTRIBUTE, ModelDefinition, Search, TableDefinition
from filiera.code.closure import Closures, identity
from filiera.code.flags import sentences
from filiera.code.libraries import installed, provided, required, source_of
from filiera.code.project import Project
from filiera.code.resolve import known_names, names_something
from filiera.core.asset import Code, Frame, Graph, Model, Parameter, Port, Table
from filiera.core.asset_json import graph_to_json
from filiera.core.key import with_digests
from filiera.digest import digest_json
from filiera.errors import CodeError, nearest
from filiera.runner.definitions import PIPELINE, Defined, definitions, load_pipeline, where_of
from filiera.runner.fit import default_settings, fit_arguments, probe
from filiera.runner.sqltable import Queries

Coded = Callable[[Defined, Sequence[Port]], Code]
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
    found = definitions(load_pipeline(root), arguments["sources"])
    versions = installed()
    project = Project(root, versions, required(), source_of)
    source = _Source(project, Closures(project, PIPELINE), arguments.get("files", {}), arguments.get("variables", {}))
    code = partial(_code, source)
    assets = dict.fromkeys(arguments["sources"], False) | {
        name: isinstance(getattr(defined.written, ATTRIBUTE, None), ModelDefinition) for name, defined in found.items()
    }
    queries = Queries(project, found, assets, arguments["sources"])
    tables, models = [], []
    for name, defined in found.items():
        if defined.query is not None:
            tables.append(queries.table(name))
        elif assets[name]:
            models.append(_model(defined, code, assets))
        else:
            tables.append(_table(defined, code, assets, arguments["sources"]))
    manifest = _runtime(versions)
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
        _refuse_key_inputs(graph, model, found[model.name].function, arguments["sources"])
    return graph_to_json(with_digests(replace(graph, warnings=(*graph.warnings, *_unreleasable(models)))))


def runtime(
    _arguments: Mapping[str, Any], _inputs: Sequence[memoryview], _emit: Callable[[Any], None]
) -> dict[str, Any]:
    """Task: the interpreter and its libraries, without a look at any pipeline."""
    return _runtime(installed())


def _runtime(libraries: Mapping[str, str]) -> dict[str, Any]:
    """What a rebuild needs: version by module and by distribution, and which distribution a module comes from."""
    distributions, providers = provided()
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "platform": f"{platform.system()} {platform.machine()}",
        "libraries": dict(sorted(libraries.items())),
        "distributions": dict(sorted(distributions.items())),
        "providers": dict(sorted(providers.items())),
    }


@dataclass(frozen=True, slots=True)
class _Source:
    """The code, and what its definitions declare."""

    project: Project
    closures: Closures
    files: Mapping[str, Mapping[str, str]]  #: pattern -> digest by name
    variables: Mapping[str, str]  #: name -> digest


def _code(source: _Source, defined: Defined, ports: Sequence[Port]) -> Code:
    frames = sorted({_LIBRARIES[port.frame] for port in ports})
    uses = getattr(defined.function, ATTRIBUTE).uses
    for text in uses:
        if not names_something(source.project, text):
            raise CodeError(
                "code.uses", f"`uses` of {defined.name} names {text}, which the project does not have",
                where=where_of(defined.function), next=nearest(text, known_names(source.project)),
            )  # fmt: skip
    closure = source.closures.of(defined.module, defined.attribute, frames, uses)
    manifest = closure.manifest() | _declared(source, defined)
    return Code(module=defined.module, name=defined.attribute, digest=identity(manifest), manifest=manifest)


def _declared(source: _Source, defined: Defined) -> dict[str, dict[str, str]]:
    """Digests of the files and variables that one definition declares; of other files it knows nothing.

    Raises:
        CodeError: one is not where the definition is read: in a list that is written out.
    """
    definition: TableDefinition | ModelDefinition = getattr(defined.function, ATTRIBUTE)
    found: dict[str, dict[str, str]] = {}
    for pattern in definition.files:
        if pattern not in source.files:
            raise _not_written_out("files", pattern, defined)
        found.setdefault("files", {}).update(source.files[pattern])
    for name in definition.variables:
        if name not in source.variables:
            raise _not_written_out("variables", name, defined)
        found.setdefault("declared_variables", {})[name] = source.variables[name]
    return {part: dict(sorted(digests.items())) for part, digests in found.items()}


def _not_written_out(word: str, text: str, defined: Defined) -> CodeError:
    return CodeError(
        f"code.{word}", f"`{text}` of {defined.name} is not among the files and variables that the code declares",
        where=where_of(defined.function), next=f"write `{word}=[...]` out in the call of fl.table or fl.model itself",
    )  # fmt: skip


def _split_parameters(
    defined: Defined, assets: Mapping[str, bool], filled: frozenset[str]
) -> tuple[tuple[Port, ...], dict[str, Any]]:
    """Ports (parameters with an asset's name) and settings (parameters with a default).

    Args:
        defined: the definition.
        assets: name of every asset, and whether it is a model.
        filled: parameters that filiera fills in by itself.
    """
    ports, settings, function = [], {}, defined.function
    names = assets.keys() - {defined.name}
    for parameter in _signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise CodeError(
                "code.positional", f"parameter `{parameter.name}` of {defined.name} is positional only",
                where=where_of(function), next="take the / out of the parameters: they are handed over by name",
            )  # fmt: skip
        if parameter.name in names:
            ports.append(Port(parameter.name, _port_frame(parameter, function, assets[parameter.name])))
        elif parameter.default is not inspect.Parameter.empty:
            settings[parameter.name] = parameter.default
        elif parameter.name not in filled:
            raise CodeError(
                "code.unknown_parameter",
                f"parameter `{parameter.name}` of {defined.name} is neither an asset nor a setting with a default",
                where=where_of(function),
                next=nearest(parameter.name, names),
            )
    if not ports:
        raise CodeError(
            "code.no_input",
            f"{defined.name} reads nothing",
            where=where_of(function),
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
            "code.frame", f"{parameter.name} is {kind} (parameter of {function.__name__})", where=where_of(function),
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
            where=where_of(function),
        )
    return frame


def _table(defined: Defined, code: Coded, assets: Mapping[str, bool], sources: Mapping[str, Any]) -> Table:
    definition: TableDefinition = getattr(defined.function, ATTRIBUTE)
    ports, settings = _split_parameters(defined, assets, frozenset())
    return Table(
        name=defined.name,
        inputs=ports,
        settings=_plain(settings, defined.function),
        partition=definition.partition,
        lookback_us=definition.lookback_us,
        key=definition.key,
        code=code(defined, ports),
        columns=_columns_by_input(definition, defined.function, ports, sources),
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
                where=where_of(function), expected=f'columns={{"{tables[0] if tables else "scada"}": [...]}}',
            )  # fmt: skip
        stated = {tables[0]: stated}
    for name, columns in stated.items():
        if name not in tables:
            raise CodeError(
                "code.columns", f"{function.__name__} reads no table {name}", where=where_of(function),
                next=nearest(name, tables),
            )  # fmt: skip
        known = sources.get(name, {}).get("columns")
        unknown = [column for column in columns if known is not None and column not in known]
        if unknown:
            raise CodeError(
                "code.columns", f"{name} has no column {unknown[0]}, which {function.__name__} reads",
                where=where_of(function), next=nearest(unknown[0], known),
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
                where=where_of(function),
            ) from error
    return dict(settings)


def _model(defined: Defined, code: Coded, assets: Mapping[str, bool]) -> Model:
    name, function = defined.name, defined.function
    definition: ModelDefinition = getattr(function, ATTRIBUTE)
    ports, settings = _split_parameters(defined, assets, _TRAINER)
    if len(ports) != 1 or ports[0].frame is Frame.MODEL:
        raise CodeError(
            "code.model_inputs", f"model {name} reads {', '.join(port.asset for port in ports)}",
            expected="exactly one table: join in a table first", where=where_of(function),
        )  # fmt: skip
    parameters = set(inspect.signature(function).parameters)
    if len(parameters & _TRAINER) == 1:
        raise CodeError(
            "code.trainer", f"model {name} has only one of the parameters train and valid", where=where_of(function),
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
        tolerance=definition.tolerance,
        code=code(defined, ports),
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
                    where=where_of(function), next="take it out: a model that knows it does not carry over",
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
    texts: list[str] = []
    for asset in assets:
        flags = asset.code.manifest["flags"]
        if isinstance(asset, Model):  # an estimator's randomness comes from the seed that it is given
            flags = [flag for flag in flags if not flag.startswith("nondeterministic:")]
        texts += sentences(asset.name, flags)
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
