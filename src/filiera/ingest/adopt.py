"""From a sample file to the draft of a contract: guessed once, written down, never guessed again."""

from __future__ import annotations

import lzma
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from filiera.core.contract import PERSONAL, Column, ColumnType, Contract
from filiera.errors import ContractError
from filiera.ingest import guess
from filiera.ingest.draft import Draft, to_toml
from filiera.ingest.form import Form, Opener, form_of
from filiera.ingest.sample import Raw, Sample, names_of, raw_of, read_sample

__all__ = ["Draft", "examine", "names_of", "to_toml"]

_DEVICE_NAMES = (
    "device", "turbine", "station", "machine", "sensor", "meter", "asset", "equipment", "pump", "node", "unit",
    "plant", "line", "vehicle", "experiment", "site", "location", "tag", "id", "name",
)  # fmt: skip
_CALENDAR = ("year", "month", "day", "hour", "minute", "second")


def examine(path: Path, opened: Opener) -> Draft:
    """Read a sample file and draft its contract.

    Args:
        path: the sample.
        opened: opens it, decompressed.

    Raises:
        ContractError: the file is empty, cut off, or in none of the formats that filiera reads; says what it is.
    """
    try:
        form = form_of(path, opened)
        sample = read_sample(raw_of(path, form, opened))
        contract, questions = _contract(sample)
        told = _rehearsed(sample.raw, contract)
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise ContractError(
            "collect.file_truncated", "the compressed file cannot be read to its end", expected="a whole file",
            found=str(error), where=path.name, next="copy it again",
        ) from error  # fmt: skip
    return Draft(
        contract=contract,
        comments={column.name: _comment(column, sample) for column in contract.columns},
        notes=(*_notes(contract, sample), *_header_notes(form), *told),
        questions=(*_header_questions(form), *questions, *_standing_questions()),
    )


# ---- what the columns hold


def _contract(sample: Sample) -> tuple[Contract, tuple[str, ...]]:
    """The contract, and what is open about it."""
    raws = sample.cells.columns
    moments, questions = _times(sample)
    columns = [_column(name, raw, sample, moments) for name, raw in zip(guess.asset_names(raws), raws, strict=True)]
    composed = _composed(sample, {column.name for column in columns})
    if composed is not None:
        columns = [composed, *(column for column in columns if column.origin[0] not in composed.origin)]
    time = _time_of(columns, composed)
    device, key, asked = _key(columns, time, sample)
    columns = [replace(c, optional=False) if c.name in key else c for c in columns]
    contract = Contract(columns=tuple(columns), key=key, time=time, device=device, reading=sample.reading)
    return contract, (*questions, *_zone_questions(contract), *_number_questions(contract, sample), *asked)


def _times(sample: Sample) -> tuple[dict[str, str | None], list[str]]:
    """Format of each time column, by raw name, and what is open about them."""
    found: dict[str, str | None] = {}
    questions = []
    for cells in sample.cells:
        known, filled = sample.raw.known.get(cells.name), cells.drop_nulls()
        if known is ColumnType.TIME:
            found[cells.name] = None
            continue
        fits = guess.time_formats(filled) if known in (None, ColumnType.TEXT) else []
        if fits:
            found[cells.name] = fits[0]
        elif unit := guess.count_of_time(cells.name, filled):
            if unit == "s":
                found[cells.name] = "%s%.f" if filled.str.contains(".", literal=True).any() else "%s"
            questions.append(f"{cells.name}: {_COUNTED[unit]}")
        if any(map(guess.is_day_first, fits)) and not all(map(guess.is_day_first, fits)):
            questions.append(f"{cells.name}: does the day come first ({fits[0]}) or the month ({fits[-1]})?")
    return found, questions


_COUNTED = {
    "s": "is read as seconds since 1970, UTC; is it so?",
    "days": "looks like day numbers of Excel, which no contract reads: format the column as a date, and save it again",
} | {
    unit: f"looks like {word} since 1970, which no contract reads: write seconds, or times as 2024-01-31T06:00:00Z"
    for unit, word in (("ms", "milliseconds"), ("us", "microseconds"), ("ns", "nanoseconds"))
}


def _column(name: str, raw: str, sample: Sample, moments: Mapping[str, str | None]) -> Column:
    cells = sample.cells.get_column(raw)
    filled = cells.drop_nulls()
    known, form = sample.raw.known.get(raw), moments.get(raw)
    if raw in moments:
        kind = ColumnType.TIME
    elif known is not None and known is not ColumnType.TEXT:
        kind = known
    else:
        kind = guess.kind_of(raw, filled, sample.reading.decimal)
    naive = kind is ColumnType.TIME and not (form or "").startswith("%s")
    zoned = naive and not bool(filled.head(1000).str.contains(r"(Z|UTC|[+-]\d{2}:?\d{2})$").all())
    return Column(
        name=name,
        origin=(raw,),
        type=kind,
        optional=cells.null_count() > 0,
        zone="UTC" if zoned else None,
        format=form,
        column_class=guess.column_class(raw, filled),
    )


def _composed(sample: Sample, taken: set[str]) -> Column | None:
    """A time in several columns: year, month, day, hour; or a date and a time of day."""
    by_word = {raw.strip().lower(): raw for raw in sample.cells.columns}
    parts = [by_word[word] for word in _CALENDAR if word in by_word]
    name = next(n for n in ("at", "time_at", *(f"at_{i}" for i in range(2, 100))) if n not in taken)
    if len(parts) >= 3 and all(word in by_word for word in _CALENDAR[: len(parts)]):
        return Column(name=name, origin=tuple(parts), type=ColumnType.TIME, zone="UTC")
    clocks = [cells.name for cells in sample.cells if _is_clock(cells.drop_nulls())]
    for clock in clocks:
        for date in sample.cells.columns:
            joined = sample.cells.select(pl.concat_str([date, clock], separator=" ")).to_series().drop_nulls()
            if date != clock and _is_date(sample.cells.get_column(date)) and (fits := guess.time_formats(joined)):
                return Column(name=name, origin=(date, clock), type=ColumnType.TIME, zone="UTC", format=fits[0])
    return None


def _is_clock(cells: pl.Series) -> bool:
    return len(cells) > 0 and bool(cells.str.contains(r"^\d{1,2}:\d{2}(:\d{2})?$").all())


def _is_date(cells: pl.Series) -> bool:
    filled = cells.drop_nulls()
    return len(filled) > 0 and bool(filled.str.contains(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}$").all())


def _time_of(columns: Sequence[Column], composed: Column | None) -> str | None:
    if composed is not None:
        return composed.name
    times = [column for column in columns if column.type is ColumnType.TIME]
    named = [column for column in times if guess.is_time_name(column.origin[0])]
    return next((column.name for column in (*named, *times)), None)


def _key(
    columns: Sequence[Column], time: str | None, sample: Sample
) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """Device and key, and what is open about them; device + time where it tells rows apart, bar a few."""
    devices = sorted(
        (c for c in columns if c.type in (ColumnType.CATEGORY, ColumnType.INTEGER, ColumnType.TEXT)), key=_device_rank
    )
    by_name = {column.name: column for column in columns}
    if time is not None:
        for device in devices:
            if _device_rank(device) == len(_DEVICE_NAMES) and device.type is not ColumnType.CATEGORY:
                continue
            repeated = _repeats([device, by_name[time]], sample)
            if repeated <= sample.cells.height // 100:
                return device.name, (device.name, time), _repeat_question((device.name, time), repeated)
        repeated = _repeats([by_name[time]], sample)
        if repeated <= sample.cells.height // 100:
            return None, (time,), _repeat_question((time,), repeated)
    for column in columns:
        if column.type in (ColumnType.INTEGER, ColumnType.TEXT, ColumnType.CATEGORY) and not _repeats([column], sample):
            return None, (column.name,), (f"key: {column.name} tells all rows of the sample apart; is it the key?",)
    first = devices[0].name if devices else columns[0].name
    key = tuple(dict.fromkeys(name for name in (first, time) if name))
    repeated = _repeats([by_name[name] for name in key], sample)
    return (first if devices else None), key, (f"key: {' + '.join(key)} is taken for want of a better one, and "
        f"repeats in {repeated} rows; which columns tell rows apart?",)  # fmt: skip


def _device_rank(column: Column) -> int:
    parts = guess.words(column.origin[0])
    if column.column_class == PERSONAL:
        return len(_DEVICE_NAMES)
    return next((i for i, name in enumerate(_DEVICE_NAMES) if name in parts), len(_DEVICE_NAMES))


def _repeats(columns: Sequence[Column], sample: Sample) -> int:
    """Rows whose key is empty or was seen before."""
    cells = sample.cells.unique(maintain_order=True)
    raws = [raw for column in columns for raw in column.origin]
    return cells.height - cells.select(raws).drop_nulls().unique().height


def _repeat_question(key: tuple[str, ...], repeated: int) -> tuple[str, ...]:
    if not repeated:
        return ()
    return (
        f"rows that repeat {' + '.join(key)} or lack it: {repeated}; quarantine all of them, or let the newest win?",
    )


# ---- what a person is told


def _comment(column: Column, sample: Sample) -> str:
    """What was seen of a column; of one that looks personal nothing, since the settings lie there in clear."""
    if len(column.origin) > 1 or column.column_class == PERSONAL:
        return ""
    cells = sample.cells.get_column(column.origin[0])
    parts = []
    if column.type in (ColumnType.FLOAT, ColumnType.INTEGER):
        finite = guess.numbers(cells, sample.reading.decimal).drop_nulls()
        finite = finite.filter(finite.is_finite())
        if len(finite):
            low, high = finite.sort().gather([0, -1]).to_list()
            parts.append(f"seen {low:.10g} to {high:.10g}")
    if column.type is ColumnType.FLOAT:
        hint = guess.unit_hint(column.origin[0])
        parts.append(f'unit = "{hint}"?' if hint else "unit = ?")
    if column.type is ColumnType.CATEGORY:
        parts.append(f"{cells.n_unique() - (cells.null_count() > 0)} values")
    if empty := cells.null_count():
        parts.append(f"{empty} of {len(cells)} empty")
    return "; ".join(parts)


def _notes(contract: Contract, sample: Sample) -> tuple[str, ...]:
    reading, personal = contract.reading, [c.name for c in contract.columns if c.column_class == PERSONAL]
    records = f"{sample.cells.height} records{'' if sample.whole else ' (the first ones of the file)'}"
    notes = [f"{records}, {len(sample.cells.columns)} columns, {reading.format.value}, {reading.encoding}"]
    if len(reading.null) > 1:
        notes.append(f"taken for no value: {', '.join(reading.null[1:])}")
    if reading.decimal == ",":
        notes.append("numbers have a decimal comma")
    if personal:
        notes.append(f"look personal, and are masked: {', '.join(personal)}; check the others yourself")
    return tuple(notes)


def _rehearsed(raw: Raw, contract: Contract) -> tuple[str, ...]:
    """What would become of the sample's records by this contract, where not all would be accepted."""
    read, accepted, repeats = 0, 0, 0
    reasons: Counter[str] = Counter()
    for batch, _ in raw.batches(contract):
        read, accepted = read + batch.rows_read, accepted + batch.accepted.num_rows
        repeats += batch.duplicates
        for row in batch.quarantined.select(["reason", "column"]).to_pylist():
            reasons[f"{row['reason']} {row['column']}".strip()] += 1
    notes = [f"{repeats} records repeat others exactly, and count once"] if repeats else []
    if reasons:
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(5))
        notes.append(f"of {read} records {accepted} would be accepted; to quarantine would go {told}")
    return tuple(notes)


def _header_notes(form: Form) -> tuple[str, ...]:
    names = form.header.names if form.header else ()
    notes = []
    if repeated := [name for name, count in Counter(names).items() if name and count > 1]:
        notes.append(f"columns of the same name, of which the first is read: {', '.join(repeated)}")
    if nameless := sum(not name for name in names):
        notes.append(f"columns without a name, which are not read: {nameless}")
    return tuple(notes)


def _header_questions(form: Form) -> tuple[str, ...]:
    """Whether the first line is a header at all."""
    names = pl.Series([name for name in form.header.names if name] if form.header else [], dtype=pl.String)
    values = [
        name for name in names if guess.is_number(pl.Series([name]), ".") or guess.time_formats(pl.Series([name]))
    ]
    if not len(names) or 2 * len(values) < len(names):
        return ()
    return ("header: the first line holds numbers or times; if it is a record, put a line with names above it",)


def _number_questions(contract: Contract, sample: Sample) -> tuple[str, ...]:
    texts = [c for c in contract.columns if c.type in (ColumnType.TEXT, ColumnType.CATEGORY)]
    found = {c.name: guess.odd_number(sample.cells.get_column(c.origin[0]).drop_nulls()) for c in texts}
    return tuple(
        f"{name}: numbers with {what} are read as texts; to read numbers, let the export write them without it"
        for name, what in found.items()
        if what
    )


def _zone_questions(contract: Contract) -> tuple[str, ...]:
    naive = [column.name for column in contract.columns if column.zone is not None]
    if not naive:
        return ()
    return (
        f"zone: times of {', '.join(naive)} have no offset and are read as UTC; set `zone` to the clock of the site",
    )


def _standing_questions() -> tuple[str, ...]:
    return (
        'on_conflict: of rows with one key and different values all go to quarantine; "newest" lets the last one win',
        'files: a changed file adds rows; "replace" lets its old rows leave',
    )
