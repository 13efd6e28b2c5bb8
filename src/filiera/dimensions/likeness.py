"""How alike two makings of one thing are, and in what they differ."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filiera.clock import US_PER_DAY, rfc3339
from filiera.core.model import ModelVersion
from filiera.core.snapshot import Snapshot
from filiera.digest import digest
from filiera.dimensions.context import Context
from filiera.dimensions.partcheck import TOLERANCE_SHARE, first_difference
from filiera.dimensions.rebuild import RebuiltTable, mean_score
from filiera.dimensions.versions import package_of, predictions_of
from filiera.errors import NotFoundError
from filiera.lake.derived import type_word
from filiera.lake.semantic import Leaves
from filiera.ledger import removals
from filiera.runner.matrix import unpack
from filiera.train.study import Refit

EQUAL, CLOSE, DIFFERENT, UNCHECKED = "equal", "close", "different", "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What came of a comparison."""

    outcome: str  #: "equal" bit by bit, "close" within what was declared, "different" or "not checked"
    differences: tuple[str, ...] = ()
    note: str = ""  #: what was compared, or why nothing was
    recorded: str = ""  #: digest
    found: str = ""

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {
            "outcome": self.outcome,
            "differences": list(self.differences),
            "note": self.note,
            "recorded": self.recorded,
            "found": self.found,
        }


# ---- tables


def compare_table(
    context: Context, output: Snapshot, made: RebuiltTable, *, parts: bool, flags: Sequence[str]
) -> Likeness:
    """A table by its semantic digest; where that differs, by columns and days.

    Args:
        context: the open project.
        output: the recorded snapshot.
        made: the rows made again.
        parts: it was computed in parts, so that sums of floats may differ in their last bits.
        flags: of the code; what depends on chance or on the time is not checked.
    """
    leaves = made.leaves
    schema = [{"name": field.name, "type": type_word(field.type)} for field in made.rows.schema]
    found = leaves.total().digest(schema)
    if found == output.semantic:
        return Likeness(outcome=EQUAL, note="semantic digest", recorded=output.semantic, found=found)
    chance = [flag.split(":", 1)[1] for flag in flags if flag.startswith("nondeterministic:")]
    if chance:
        note = f"its code uses {', '.join(chance)}"
        return Likeness(outcome=UNCHECKED, note=note, recorded=output.semantic, found=found)
    differing, texts = _columns(context, output, leaves, schema)
    if not texts and parts and _agree(context, output, made, differing):
        note = f"floats differ by rounding only, at most {TOLERANCE_SHARE:g} of a column's largest value"
        return Likeness(outcome=CLOSE, note=note, recorded=output.semantic, found=found)
    day = _first_day(context, output, leaves, differing)
    texts += [f"column {name}{day}" for name in differing]
    return Likeness(outcome=DIFFERENT, differences=tuple(texts), recorded=output.semantic, found=found)


def _columns(
    context: Context, output: Snapshot, leaves: Leaves, schema: Sequence[Mapping[str, str]]
) -> tuple[list[str], list[str]]:
    """Columns with other values, and differences that are not of values."""
    then, now = context.lake.totals(output), leaves.total()
    old = {str(column["name"]): str(column["type"]) for column in output.schema}
    new = {column["name"]: column["type"] for column in schema}
    texts = [f"{now.rows:,} rows instead of {then.rows:,}"] if now.rows != then.rows else []
    texts += [f"column {name} is gone" for name in old if name not in new]
    texts += [f"column {name} is new" for name in new if name not in old]
    both = [name for name in old if name in new]
    texts += [f"column {name} is {new[name]} instead of {old[name]}" for name in both if old[name] != new[name]]
    zero = (0, 0)
    return [name for name in both if then.sums.get(name, zero) != now.sums.get(name, zero)], texts


def _agree(context: Context, output: Snapshot, made: RebuiltTable, differing: Sequence[str]) -> bool:
    """Whether the rows agree but for rounding, by the same rule that parts are checked with."""
    floats = all(pa.types.is_floating(made.rows.schema.field(name).type) for name in differing)
    order = [name for name in dict.fromkeys((made.time, *made.key)) if name]
    with context.ledger.reading() as connection:
        gone = removals.is_gone(connection, output.id)
    if not floats or not order or gone or context.reader.hidden(output, [*order, *differing]):
        return False
    names = list(dict.fromkeys([*order, *differing]))
    recorded = context.read(output, names)
    return first_difference(_ordered(recorded, order), _ordered(made.rows.select(names), order)) is None


def _ordered(rows: pa.Table, order: Sequence[str]) -> pa.Table:
    plain = {}
    for name in order:
        column = rows.column(name)
        plain[name] = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
    return rows.take(pc.sort_indices(pa.table(plain), sort_keys=[(name, "ascending") for name in order]))


def _first_day(context: Context, output: Snapshot, leaves: Leaves, columns: Sequence[str]) -> str:
    if output.time is None or not columns:
        return ""
    then, now = context.lake.leaves(output).by_day(columns), leaves.by_day(columns)
    days = sorted(day for day in then.keys() | now.keys() if then.get(day) != now.get(day))
    return f" on {len(days)} days, first on {rfc3339(days[0] * US_PER_DAY)[:10]}" if days else ""


# ---- models


def compare_model(context: Context, version: ModelVersion, made: Refit, tolerance: float | None) -> Likeness:
    """A model by its package and its out-of-window predictions; with a tolerance by its score."""
    found = digest("model", 1, made.package or made.predictions)
    texts = _package_differences(context, version, made) if found != version.digest else []
    texts += _prediction_differences(context, version, made)
    if not texts:
        note = "package digest and predictions" if made.package else "predictions; it has no package"
        return Likeness(outcome=EQUAL, note=note, recorded=version.digest, found=found)
    then, now = mean_score(version.metrics["window_scores"]), mean_score(made.facts["window_scores"])
    apart = abs(now - then) / abs(then) if then else abs(now)
    told = f"score {now:.6g} against {then:.6g}, {apart:.2%} apart"
    if tolerance is not None and apart <= tolerance:
        note = f"{told}, within the declared tolerance of {tolerance:.2%}"
        return Likeness(outcome=CLOSE, note=note, recorded=version.digest, found=found)
    return Likeness(outcome=DIFFERENT, differences=tuple(texts), note=told, recorded=version.digest, found=found)


def _package_differences(context: Context, version: ModelVersion, made: Refit) -> list[str]:
    if version.package is None or not made.package:
        was, is_ = ("no package" if not there else "a package" for there in (version.package, made.package))
        return [f"{is_} instead of {was}"] if was != is_ else []
    try:
        before = package_of(context.lake.objects, version)
    except NotFoundError:
        return ["its package, which was freed and cannot be looked into"]
    if version.format != "skops" or made.facts["format"] != "skops":
        return [f"its package: {made.facts['format']} of {len(made.package)} bytes instead of {len(before)}"]
    old, new = _members(before), _members(made.package)
    texts = [f"package member {name}" for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]
    texts += [f"package member {name} is new" for name in sorted(new.keys() - old.keys())]
    return texts + [f"package member {name} is gone" for name in sorted(old.keys() - new.keys())]


def _members(package: bytes) -> dict[str, bytes]:
    """Members of an archive; the schema by the place of each value in it."""
    with zipfile.ZipFile(BytesIO(package)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(found.pop("schema.json"))
    return found | {f"schema.json {place}": value for place, value in _leaves(schema, "")}


def _leaves(value: Any, place: str) -> list[tuple[str, bytes]]:
    if isinstance(value, dict):
        return [leaf for name, part in value.items() for leaf in _leaves(part, f"{place}/{name}")]
    if isinstance(value, list):
        return [leaf for index, part in enumerate(value) for leaf in _leaves(part, f"{place}/{index}")]
    return [(place, json.dumps(value).encode())]


def _prediction_differences(context: Context, version: ModelVersion, made: Refit) -> list[str]:
    try:
        before = predictions_of(context.lake.objects, version)
    except NotFoundError:
        return []  # the package was compared by its digest
    if before == made.predictions:
        return []
    old, new = unpack(before)[1]["prediction"], unpack(made.predictions)[1]["prediction"]
    if len(old) != len(new):
        return [f"{len(new):,} predictions instead of {len(old):,}"]
    apart = np.abs(old.astype(np.float64) - new.astype(np.float64))
    return [f"{int((apart > 0).sum()):,} of {len(old):,} predictions, by {apart.max():.3g} at most"]
