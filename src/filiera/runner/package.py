"""Packages: a fitted model in a format that runs no code when it is loaded; the same model gives the same bytes.

- skops for scikit-learn, made only of the types of `core.safe_types`;
- LightGBM's text, XGBoost's UBJ.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from filiera.core.safe_types import SAFE_NODES, SAFE_TYPES
from filiera.errors import WorkError

_EPOCH = (1980, 1, 1, 0, 0, 0)


def package_format(model: Any) -> tuple[str, str]:
    """The format of a model, or "" and the reason why it can be studied but not released."""
    top = type(model).__module__.split(".")[0]
    if top == "lightgbm":
        return "lightgbm", ""
    if top == "xgboost":
        return "xgboost", ""
    strange = sorted({name for name in _types_of(model) if name not in SAFE_TYPES})
    if strange:
        return "", f"{', '.join(strange)} is not on the list of types that run no code when loaded"
    return "skops", ""


def _types_of(model: Any) -> Iterator[str]:
    """The estimator's own type, and those of the estimators within it."""
    yield f"{type(model).__module__}.{type(model).__qualname__}"
    if hasattr(model, "get_params"):
        for value in model.get_params(deep=True).values():
            if hasattr(value, "get_params") or callable(value):
                yield f"{type(value).__module__}.{type(value).__qualname__}"


def dump_model(model: Any, kind: str) -> bytes:
    """The canonical bytes of a fitted model.

    Raises:
        WorkError: fitted, it is made of types that are not on the list.
    """
    if kind == "lightgbm":
        booster = getattr(model, "booster_", model)
        return str(booster.model_to_string()).encode()
    if kind == "xgboost":
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        return bytes(booster.save_raw("ubj"))
    import skops.io

    raw = canonical_zip(skops.io.dumps(model))
    strange = sorted(strange_parts(schema_of(raw)))
    if strange:
        raise WorkError(
            "package.unsafe_type", "the fitted model holds types that are not on the safe list",
            found=", ".join(strange[:5]), next="choose an estimator of the list in docs/reference.md",
        )
    return raw


def schema_of(raw: bytes) -> dict[str, Any]:
    """The schema of a skops package, as data."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        schema: dict[str, Any] = json.loads(archive.read("schema.json"))
    return schema


def strange_parts(node: Any) -> Iterator[str]:
    """Types and kinds of node in a schema that are not on the list."""
    if isinstance(node, dict):
        if "__class__" in node:
            name = f"{node.get('__module__')}.{node['__class__']}"
            if name not in SAFE_TYPES:
                yield name
            if node.get("__loader__") not in SAFE_NODES:
                yield f"{node.get('__loader__')} of {name}"
        for value in node.values():
            yield from strange_parts(value)
    elif isinstance(node, list):
        for value in node:
            yield from strange_parts(value)


def canonical_zip(raw: bytes) -> bytes:
    """A skops archive whose bytes depend on the model only.

    skops names files and nodes by memory address and stamps the time. Here they are numbered by first appearance.
    """
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents.pop("schema.json"))
    numbers: dict[Any, int] = {}
    files: dict[str, str] = {}
    _renumber(schema, numbers, files, contents)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for old, new in files.items():
            archive.writestr(zipfile.ZipInfo(new, _EPOCH), contents[old])
        archive.writestr(zipfile.ZipInfo("schema.json", _EPOCH), json.dumps(schema, separators=(",", ":")))
    return out.getvalue()


def _renumber(node: Any, numbers: dict[Any, int], files: dict[str, str], contents: dict[str, bytes]) -> None:
    if isinstance(node, list):
        for value in node:
            _renumber(value, numbers, files, contents)
    if not isinstance(node, dict):
        return
    if "__id__" in node:
        node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
    file = node.get("file")
    if isinstance(file, str) and file in contents:
        node["file"] = files.setdefault(file, f"{len(files)}.{file.rpartition('.')[2]}")
    for value in node.values():
        _renumber(value, numbers, files, contents)
