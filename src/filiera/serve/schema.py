"""Records against the input schema of a model version: what was expected, what came, what to do."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from filiera.core.model import ModelVersion
from filiera.errors import ContractError, nearest

MOST_RECORDS = 10_000


def check_records(
    version: ModelVersion, records: Sequence[Any], units: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Records with exactly the model's inputs, and warnings about values outside the range that it was trained on.

    A null is a missing value. Raises on the first record that does not fit.

    Raises:
        ContractError: too many records; a column is missing, unknown or of another type; a value is not finite; a unit
            differs from the model's.
    """
    check_count(len(records), "records")
    inputs = {str(column["name"]): column for column in version.inputs}
    _check_units(inputs, units or {})
    checked: list[dict[str, Any]] = []
    outside: set[str] = set()
    for index, record in enumerate(records):
        checked.append(_check_record(index, record, inputs, outside))
    warnings = [
        f"{name} was outside the range of the training, {inputs[name]['low']:.6g} to {inputs[name]['high']:.6g}"
        for name in sorted(outside)
    ]
    return checked, warnings


def check_count(count: int, what: str) -> None:
    """Refuse more than one request may hold.

    Raises:
        ContractError: there are too many.
    """
    if count > MOST_RECORDS:
        raise ContractError(
            "predict.too_many",
            f"too many {what} in one request",
            expected=f"at most {MOST_RECORDS}",
            found=str(count),
            next="ask in several requests",
        )


def _check_units(inputs: Mapping[str, Mapping[str, Any]], units: Mapping[str, str]) -> None:
    for name, unit in units.items():
        if name not in inputs:
            shown = str(name)[:60]
            raise ContractError(
                "predict.unknown_column", f"the model has no input {shown}", next=nearest(shown, inputs)
            )
        wanted = inputs[name].get("unit")
        if unit != wanted:
            raise ContractError(
                "predict.unit",
                f"input {name} has another unit",
                expected=wanted or "no unit",
                found=_shown(unit),
                next="convert the values",
            )


def _check_record(
    index: int, record: Any, inputs: Mapping[str, Mapping[str, Any]], outside: set[str]
) -> dict[str, Any]:
    where = f"records[{index}]"
    if not isinstance(record, Mapping):
        raise ContractError(
            "predict.form",
            "a record is an object of column and value",
            where=where,
            expected=", ".join(inputs),
            found=_shown(record),
        )
    for name in record:
        if name not in inputs:
            raise ContractError(
                "predict.unknown_column",
                f"the model has no input {str(name)[:60]}",
                where=where,
                expected=", ".join(inputs),
                next=nearest(str(name)[:60], inputs),
            )
    for name in inputs:
        if name not in record:
            raise ContractError(
                "predict.missing_column",
                f"input {name} is missing",
                where=where,
                expected=", ".join(inputs),
                found=", ".join(map(str, record))[:200] or "nothing",
                next="send null for a value that is not known",
            )
    return {name: _check_value(record[name], name, column, where, outside) for name, column in inputs.items()}


def _check_value(value: Any, name: str, column: Mapping[str, Any], where: str, outside: set[str]) -> Any:
    if value is None:
        return None
    if column["type"] == "category":
        if not isinstance(value, str):
            raise _wrong_type(name, where, "a text", value)
        return value
    if column["type"] == "boolean":
        if not isinstance(value, bool):
            raise _wrong_type(name, where, "true or false", value)
        return value
    number = _number(value, name, column, where)
    low, high = column.get("low"), column.get("high")
    if (low is not None and number < low) or (high is not None and number > high):
        outside.add(name)
    return number


def _number(value: Any, name: str, column: Mapping[str, Any], where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, where, f"a number{' in ' + column['unit'] if column.get('unit') else ''}", value)
    try:
        number = float(value)
    except OverflowError:  # a whole number with more digits than a float has room for
        number = math.inf
    if not math.isfinite(number):
        raise _wrong_type(name, where, "a finite number, or null", value)
    return number


def _wrong_type(name: str, where: str, expected: str, value: Any) -> ContractError:
    return ContractError(
        "predict.type", f"input {name} has the wrong type", where=where, expected=expected, found=_shown(value)
    )


def _shown(value: Any) -> str:
    """A value as short text, whatever it is; of anything but a plain value its kind."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a whole number of {value.bit_length()} bits"  # Python writes no number of thousands of digits
    return reprlib.repr(value) if isinstance(value, str | int | float) else type(value).__name__
