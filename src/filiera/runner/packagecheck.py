"""What a package is, told from its bytes alone: nothing is imported by name and nothing is run.

A package of record is code-free: a canonical skops archive whose every type stands in the list below, LightGBM's text,
or XGBoost's UBJ. The decision is made by content, never by a file's name. Canonical means: members stored without
compression in order of appearance under fixed names and times, so that the same model has the same bytes; anything
that differs from its own canonical form is refused, and with it every trick with archive fields.
"""

from __future__ import annotations

import ast
import io
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from filiera.errors import UsageError

MOST_BYTES = 512 << 20
MOST_MEMBERS = 100_000
MOST_SCHEMA_BYTES = 64 << 20
MOST_DEPTH = 200
EPOCH = (1980, 1, 1, 0, 0, 0)  #: earliest time that an archive can hold
SKOPS_PROTOCOL = 2

_ARRAYS = "ndarray bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64"
_LOSSES = """
CyHalfSquaredError CyAbsoluteError CyPinballLoss CyHuberLoss CyHalfPoissonLoss CyHalfGammaLoss CyHalfTweedieLoss
CyHalfTweedieLossIdentity CyExponentialLoss
"""
_OBJECTS = """
_loss.link.IdentityLink _loss.link.LogLink _loss.link.Interval _loss.loss.HalfSquaredError _loss.loss.AbsoluteError
_loss.loss.PinballLoss _loss.loss.HuberLoss _loss.loss.HalfPoissonLoss _loss.loss.HalfGammaLoss
_loss.loss.HalfTweedieLoss _loss.loss.HalfTweedieLossIdentity compose._column_transformer.ColumnTransformer
compose._target.TransformedTargetRegressor dummy.DummyRegressor ensemble._bagging.BaggingRegressor
ensemble._forest.ExtraTreesRegressor ensemble._forest.RandomForestRegressor ensemble._gb.GradientBoostingRegressor
ensemble._hist_gradient_boosting.binning._BinMapper
ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor
ensemble._hist_gradient_boosting.predictor.TreePredictor ensemble._voting.VotingRegressor
ensemble._weight_boosting.AdaBoostRegressor impute._base.SimpleImputer impute._base.MissingIndicator
linear_model._base.LinearRegression linear_model._bayes.BayesianRidge linear_model._bayes.ARDRegression
linear_model._coordinate_descent.Lasso linear_model._coordinate_descent.LassoCV
linear_model._coordinate_descent.ElasticNet linear_model._coordinate_descent.ElasticNetCV
linear_model._huber.HuberRegressor linear_model._quantile.QuantileRegressor linear_model._glm.glm.PoissonRegressor
linear_model._glm.glm.GammaRegressor linear_model._glm.glm.TweedieRegressor linear_model._ridge.Ridge
linear_model._ridge.RidgeCV linear_model._stochastic_gradient.SGDRegressor
neural_network._multilayer_perceptron.MLPRegressor neural_network._stochastic_optimizers.AdamOptimizer
neural_network._stochastic_optimizers.SGDOptimizer pipeline.Pipeline pipeline.FeatureUnion
preprocessing._label.LabelBinarizer preprocessing._data.MaxAbsScaler preprocessing._data.MinMaxScaler
preprocessing._data.Normalizer preprocessing._data.PowerTransformer preprocessing._data.QuantileTransformer
preprocessing._data.RobustScaler preprocessing._data.StandardScaler preprocessing._discretization.KBinsDiscretizer
preprocessing._encoders.OneHotEncoder preprocessing._encoders.OrdinalEncoder
preprocessing._polynomial.PolynomialFeatures svm._classes.SVR svm._classes.LinearSVR
tree._classes.DecisionTreeRegressor tree._classes.ExtraTreeRegressor
"""
_VALUES = "builtins.str builtins.int builtins.float builtins.bool numpy.float64 numpy.float32 numpy.int64"


def _listed(names: str, prefix: str = "") -> frozenset[str]:
    return frozenset(prefix + name for name in names.split())


#: Exactly these types may stand in a package, by the kind of node that holds them.
TYPES: Mapping[str, frozenset[str]] = {
    "JsonNode": _listed("builtins.str"),
    "DictNode": _listed("builtins.dict collections.OrderedDict sklearn.utils._bunch.Bunch"),
    "ListNode": _listed("builtins.list"),
    "TupleNode": _listed("builtins.tuple"),
    "SliceNode": _listed("builtins.slice"),
    "DTypeNode": _listed("numpy.dtype"),
    "NdArrayNode": _listed(_ARRAYS, "numpy."),
    "TypeNode": _listed(_VALUES),
    "RandomStateNode": _listed("numpy.random.mtrand.RandomState"),
    "RandomGeneratorNode": _listed("numpy.random._generator.Generator"),
    "TreeNode": _listed("sklearn.tree._tree.Tree"),
    "LossNode": _listed(_LOSSES, "sklearn._loss._loss."),
    "ObjectNode": _listed(_OBJECTS, "sklearn."),
}
ESTIMATORS = TYPES["ObjectNode"]


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What the bytes of a package say about it."""

    format: str  #: "skops", "lightgbm" or "xgboost"
    size_bytes: int
    model: str  #: type of the model itself
    types: tuple[str, ...]  #: every type in it, sorted


def inspect_package(data: bytes | memoryview, format: str | None = None) -> PackageFacts:
    """The facts of a package that may be loaded.

    Args:
        data: the package.
        format: what it is said to be; None = whatever it is.

    Raises:
        UsageError: `package.refused`: too large, no known code-free format, another format than said, a type that
            is not on the list, or bytes that differ from the canonical form.
    """
    view = bytes(data)
    if len(view) > MOST_BYTES:
        raise _refused("it is too large", f"at most {MOST_BYTES} bytes", f"{len(view)} bytes")
    found = _format_of(view)
    if not found or (format is not None and found != format):
        raise _refused(
            "its content is no code-free model", format or "skops, LightGBM text or XGBoost UBJ", _looks_like(view)
        )
    if found != "skops":
        return PackageFacts(found, len(view), found + ".Booster", (found + ".Booster",))
    schema, members = _members(view)
    types = sorted(_types(schema, members))
    if canonical_skops(schema, members) != view:
        raise _refused("it is not in canonical form", "the bytes that filiera itself writes", "other bytes")
    return PackageFacts("skops", len(view), f"{schema['__module__']}.{schema['__class__']}", tuple(types))


def canonical_skops(schema: Mapping[str, Any], members: Mapping[str, bytes]) -> bytes:
    """The one archive of a model: names and ids by order of appearance, fixed times, nothing compressed.

    Args:
        schema: what skops wrote as schema.json.
        members: arrays by their name in the schema.
    """
    ids: dict[Any, int] = {}
    files: dict[str, str] = {}
    fresh = iter(range(1 << 62))

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(value) for value in node]
        if not isinstance(node, Mapping):
            return node
        found: dict[str, Any] = {}
        if "__id__" in node and "__loader__" in node:
            # texts and numbers are shared by chance, everything else because the model shares it
            own = node["__loader__"] == "JsonNode"
            found["__id__"] = next(fresh) if own else ids.setdefault(node["__id__"], -1)
            if found["__id__"] == -1:
                found["__id__"] = ids[node["__id__"]] = next(fresh)
        for name in node:
            if name == "__id__" and "__loader__" in node:
                continue
            value = node[name]
            if name == "file" and "__loader__" in node and isinstance(value, str):
                found[name] = files.setdefault(value, f"{len(files)}.npy")
            else:
                found[name] = walk(value)
        return found

    text = json.dumps(walk(schema), separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry("schema.json"), text)
        for old, new in files.items():
            archive.writestr(_entry(new), members[old])
    return out.getvalue()


def read_skops(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Schema and members of an archive that skops just wrote, unchecked."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(members.pop("schema.json")), members


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3
    entry.external_attr = 0o600 << 16
    return entry


def _format_of(data: bytes) -> str:
    if data.startswith(b"PK\x03\x04"):
        return "skops"
    if data.startswith(b"tree\nversion=v"):
        return "lightgbm"
    if data.startswith(b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner"):
        return "xgboost"
    return ""


def _looks_like(data: bytes) -> str:
    if not data:
        return "nothing"
    if data[:1] == b"\x80" and data.endswith(b"."):
        return "a pickle, which can run code when it is loaded"
    if data[:6] == b"\x93NUMPY":
        return "an array"
    return "another archive or model" if data.startswith(b"PK\x03\x04") else "unknown bytes"


def _members(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_MEMBERS or len({entry.filename for entry in entries}) != len(entries):
                raise _refused(
                    "its archive is not in order", f"at most {MOST_MEMBERS} different members", str(len(entries))
                )
            if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
                raise _refused("its members are compressed or encrypted", "stored members", "others")
            if not entries or entries[0].filename != "schema.json" or entries[0].file_size > MOST_SCHEMA_BYTES:
                raise _refused(
                    "it does not begin with its schema", "schema.json first", entries[0].filename if entries else ""
                )
            members = {entry.filename: archive.read(entry) for entry in entries}
        schema = json.loads(members.pop("schema.json"))
    except (
        zipfile.BadZipFile,
        ValueError,
        RecursionError,
        NotImplementedError,
        EOFError,
        struct.error,
        KeyError,
    ) as error:
        raise _refused("its archive cannot be read", "a canonical skops archive", type(error).__name__) from error
    if not isinstance(schema, dict) or schema.get("__loader__") != "ObjectNode":
        raise _refused("its schema is no model", "a listed estimator", "another value")
    if schema.get("protocol") != SKOPS_PROTOCOL:
        raise _refused("its protocol is unknown", f"protocol {SKOPS_PROTOCOL}", str(schema.get("protocol"))[:20])
    return schema, members


def _types(schema: Mapping[str, Any], members: Mapping[str, bytes]) -> set[str]:
    """Types of every node; raises at the first that is not listed."""
    found = set()
    for node in _nodes(schema):
        loader, name = node["__loader__"], f"{node.get('__module__')}.{node.get('__class__')}"
        if not isinstance(loader, str) or name not in TYPES.get(loader, frozenset()):
            raise _refused(
                "it holds a type that is not on filiera's list", "listed types only", f"{str(loader)[:40]} {name[:120]}"
            )
        found.add(name)
        if loader == "NdArrayNode" and node.get("type") not in ("numpy", "json"):
            raise _refused("it holds an array of an unknown form", "numpy or json", str(node.get("type"))[:40])
        if "file" in node:
            _check_array(members, node["file"])
    return found


def _nodes(root: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise _refused("its schema is nested too deep", f"{MOST_DEPTH} levels", "more")
        if isinstance(node, dict):
            if "__loader__" in node:
                yield node
            waiting.extend((value, depth + 1) for value in node.values())
        elif isinstance(node, list):
            waiting.extend((value, depth + 1) for value in node)


def _check_array(members: Mapping[str, bytes], name: Any) -> None:
    """A plain array: no Python objects, so that reading it cannot run code."""
    data = members.get(name) if isinstance(name, str) else None
    if data is None or not data.startswith(b"\x93NUMPY"):
        raise _refused("an array of it is missing or is none", "arrays in numpy's format", str(name)[:40])
    wide = data[6] >= 2
    length = int.from_bytes(data[8 : 12 if wide else 10], "little")
    start = 12 if wide else 10
    try:
        header = ast.literal_eval(data[start : start + min(length, 65_536)].decode("latin-1").strip())
        described = repr(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as error:
        raise _refused("an array of it cannot be read", "arrays in numpy's format", str(name)[:40]) from error
    if "O" in described:
        raise _refused("it holds an array of Python objects", "numbers only", str(name)[:40])


def _refused(why: str, expected: str, found: str) -> UsageError:
    return UsageError(
        "package.refused", f"the package is refused: {why}", expected=expected, found=found,
        next="train it here, or bring a listed scikit-learn type, LightGBM text or XGBoost UBJ",
    )  # fmt: skip
