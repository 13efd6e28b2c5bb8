"""Fitted models as packages of record, and models again from checked packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import platform
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from filiera.errors import ConflictError, UnavailableError, UsageError
from filiera.runner.packagecheck import ESTIMATORS, TYPES, canonical_skops, inspect_package, read_skops

BOOST = {"lightgbm": "LightGBM", "xgboost": "XGBoost"}


def type_name(value: Any) -> str:
    """Module and name of a value's type."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def package_format(model: Any) -> tuple[str, str]:
    """Format of record of an unfitted or fitted model, and why it has none.

    Returns:
        ("skops" | "lightgbm" | "xgboost", "") or ("", a sentence): then it can be studied, but not released.
    """
    library = type(model).__module__.partition(".")[0]
    if library in BOOST:
        return library, ""
    for part in _parts(model):
        if type_name(part) not in ESTIMATORS:
            return "", (
                f"{type_name(part)} is not on the list of types that load without running code: "
                "it can be studied, but not released"
            )
    return "skops", ""


def dump_model(model: Any) -> tuple[str, bytes, str]:
    """Format, canonical bytes, and why there are none."""
    form, reason = package_format(model)
    if not form:
        return "", b"", reason
    data = _DUMPS[form](model)
    try:
        inspect_package(data, form)
    except UsageError as error:
        return "", b"", f"{error.message} ({error.found}): it can be studied, but not released"
    return form, data, ""


def load_package(data: bytes | memoryview, form: str, runtime: Mapping[str, str]) -> Any:
    """The model of a package, after its content and the runtime were checked.

    Raises:
        UsageError: the content is refused, see `inspect_package`.
        ConflictError: this interpreter is not the one that the package was made with.
        UnavailableError: the library of the format is not installed.
    """
    content = bytes(data)
    inspect_package(content, form)
    if form == "skops":
        _refuse_other_runtime(runtime)
    return _LOADS[form](content)


def runtime_of(form: str) -> dict[str, str]:
    """Versions that a package of this format depends on."""
    names = {"skops": ("scikit-learn", "numpy", "skops"), "lightgbm": ("lightgbm",), "xgboost": ("xgboost",)}.get(
        form, ()
    )
    return {"python": _minor()} | {name: _version(name) for name in names}


def _parts(model: Any) -> Iterator[Any]:
    """The model and every estimator inside its parameters."""
    yield model
    if not hasattr(model, "get_params"):
        return
    for value in model.get_params(deep=False).values():
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if hasattr(value, "get_params") and not isinstance(value, type):
                yield from _parts(value)
            elif isinstance(value, list | tuple):
                waiting.extend(value)


def _dump_skops(model: Any) -> bytes:
    import skops.io

    schema, members = read_skops(skops.io.dumps(model))
    return canonical_skops(schema, {name: _without_gaps(data) for name, data in members.items()})


def _without_gaps(data: bytes) -> bytes:
    """An array whose bytes between fields are zero; they hold whatever the memory held before."""
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()


def _load_skops(data: bytes) -> Any:
    import skops.io

    listed = frozenset().union(*TYPES.values())
    unknown = skops.io.get_untrusted_types(data=data)
    return skops.io.loads(data, trusted=[name for name in unknown if name in listed])


def _dump_lightgbm(model: Any) -> bytes:
    booster = getattr(model, "booster_", model)
    return str(booster.model_to_string()).encode()


def _load_lightgbm(data: bytes) -> Any:
    return _library("lightgbm").Booster(model_str=data.decode())


def _dump_xgboost(model: Any) -> bytes:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    return bytes(booster.save_raw("ubj"))


def _load_xgboost(data: bytes) -> Any:
    booster = _library("xgboost").Booster()
    with tempfile.TemporaryDirectory() as folder:  # XGBoost tells the format of bytes by their first letter only
        path = Path(folder) / "model.ubj"
        path.write_bytes(data)
        booster.load_model(path)
    return booster


_DUMPS = {"skops": _dump_skops, "lightgbm": _dump_lightgbm, "xgboost": _dump_xgboost}
_LOADS = {"skops": _load_skops, "lightgbm": _load_lightgbm, "xgboost": _load_xgboost}


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "package.library_missing", f"this package needs {BOOST[name]}, which is not installed",
            next="install filiera with its extra: pip install 'filiera[boost]'",
        ) from error  # fmt: skip


def _refuse_other_runtime(runtime: Mapping[str, str]) -> None:
    here = runtime_of("skops")
    differing = [name for name in ("python", "scikit-learn", "numpy") if runtime.get(name) != here[name]]
    if differing:
        raise ConflictError(
            "package.runtime", "this interpreter is not the one that the package was made with",
            expected=", ".join(f"{name} {runtime.get(name)}" for name in differing),
            found=", ".join(f"{name} {here[name]}" for name in differing),
            next="convert it, or rebuild it: `filiera plan` shows the training that this takes",
        )  # fmt: skip


def _minor() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _version(name: str) -> str:
    for known in (name, f"{name}-cpu"):
        try:
            return importlib.metadata.version(known)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""
