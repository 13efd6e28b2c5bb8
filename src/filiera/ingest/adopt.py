"""From a sample file to the draft of a contract: guessed once, written down, never guessed again."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from filiera.core.batch import SourceFile
from filiera.core.contract import PERSONAL, Column, ColumnType, Contract, FileFormat, Reading
from filiera.errors import ContractError
from filiera.ingest import guess
from filiera.ingest.batch import Opener, check_file
from filiera.ingest.draft import Draft, to_toml

__all__ = ["Draft", "examine", "to_toml"]

SAMPLE_BYTES = 1 << 20  #: looked at for format, encoding and delimiter
SAMPLE_ROWS = 250_000  #: looked at for types, ranges and keys
_DELIMITERS = ",;\t|"
_TIME_NAMES = {"time", "timestamp", "datetime", "date", "at", "ts", "when", "created", "start", "begin"}
_DEVICE_NAMES = (
    "device", "turbine", "station", "machine", "sensor", "meter", "asset", "equipment", "pump", "node", "unit",
    "plant", "line", "vehicle", "experiment", "site", "location", "tag", "id", "name",
)  # fmt: skip
_CALENDAR = ("year", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True, slots=True)
class _Sample:
    """Cells as texts, stripped, with null words as null; columns by raw name."""

    cells: pl.DataFrame
    reading: Reading
    known: Mapping[str, ColumnType]  #: types that the file itself states (Parquet)
    odd: int  #: records that are no records of this format
    whole: bool


def examine(path: Path, opened: Opener) -> Draft:
    """Read a sample file and draft its contract.

    Args:
        path: the sample.
        opened: opens it, decompressed.

    Raises:
        ContractError: the file is empty, or is in none of the formats that filiera reads.
    """
    sample = _read(path, _reading(path, opened), opened)
    raws = sample.cells.columns
    if sample.cells.is_empty():
        raise _empty(path)
    moments, questions = _times(sample)
    columns = [_column(name, raw, sample, moments) for name, raw in zip(guess.asset_names(raws), raws, strict=True)]
    composed = _composed(sample, {column.name for column in columns})
    if composed is not None:
        columns = [composed, *(column for column in columns if column.origin[0] not in composed.origin)]
    time = _time_of(columns, composed)
    device, key, asked = _key(columns, time, sample)
    columns = [replace(c, optional=False) if c.name in key else c for c in columns]
    contract = Contract(columns=tuple(columns), key=key, time=time, device=device, reading=sample.reading)
    return Draft(
        contract=contract,
        comments={column.name: _comment(column, sample) for column in columns},
        notes=_notes(contract, sample, raws),
        questions=(*questions, *_zone_questions(contract), *asked, *_standing_questions()),
    )


# ---- how the file is written


def _reading(path: Path, opened: Opener) -> Reading:
    with opened(path) as stream:
        head = stream.read(SAMPLE_BYTES)
    if head.startswith(b"PAR1"):
        return Reading(format=FileFormat.PARQUET)
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        raise _empty(path)
    if b"\0" in head[:4096]:
        raise ContractError(
            "contract.encoding", "the file is no text in UTF-8 or cp1252, and no Parquet file",
            expected="CSV, JSON lines or Parquet, plain or compressed", found=repr(head[:16]), where=path.name,
            next="save it as CSV in UTF-8",
        )  # fmt: skip
    encoding, text = _decode(head)
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        return Reading(format=FileFormat.JSONL, encoding=encoding)
    return Reading(format=FileFormat.CSV, encoding=encoding, delimiter=_delimiter(text.lstrip("\ufeff")))


def _empty(path: Path) -> ContractError:
    return ContractError(
        "collect.file_empty",
        "the file holds no records",
        expected="a sample with a header and some records",
        next="give a file that holds data",
        where=path.name,
    )


def _decode(head: bytes) -> tuple[str, str]:
    whole = head[: head.rfind(b"\n") + 1] or head
    try:
        return "utf-8", whole.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252", whole.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    """The mark that gives most lines as many fields as the header, and more than one."""
    lines = text.splitlines()[:200]

    def fit(mark: str) -> tuple[int, int]:
        counts = [len(fields) for fields in csv.reader(lines, delimiter=mark)]
        fields = counts[0] if counts else 0
        return (sum(count == fields for count in counts), fields) if fields > 1 else (0, 0)

    return max(_DELIMITERS, key=fit)


def _read(path: Path, reading: Reading, opened: Opener) -> _Sample:
    raws, known = _raw_columns(path, reading, opened)
    provisional = Contract(
        columns=tuple(
            Column(name=f"c{i}", origin=(raw,), type=ColumnType.TEXT, optional=True) for i, raw in enumerate(raws)
        ),
        key=(),
        time=None,
        reading=reading,
    )
    file = SourceFile(source="", path=path.name, digest="", size_bytes=0, mtime_ns=0, inode=0)
    frames, rows, odd, whole = [], 0, 0, False
    for piece in check_file(path, file, provisional, opened):
        frames.append(pl.DataFrame(pl.from_arrow(piece.batch.accepted)))
        rows, odd, whole = rows + frames[-1].height, odd + piece.batch.quarantined.num_rows, piece.last
        if rows >= SAMPLE_ROWS:
            break
    cells = pl.concat(frames).rename(dict(zip(provisional.names, raws, strict=True)))
    cells = cells.select(pl.all().cast(pl.String))
    if reading.format is not FileFormat.PARQUET:
        decimal = "," if guess.has_decimal_comma(cells) and reading.delimiter != "," else "."
        reading = replace(reading, null=guess.null_words(cells), decimal=decimal)
    clean = pl.when(pl.all().is_in(list(reading.null))).then(None).otherwise(pl.all()).name.keep()
    return _Sample(cells.select(clean), reading, known, odd, whole)


def _raw_columns(path: Path, reading: Reading, opened: Opener) -> tuple[list[str], dict[str, ColumnType]]:
    if reading.format is FileFormat.PARQUET:
        return _parquet_columns(path)
    with opened(path) as stream:
        if reading.format is FileFormat.JSONL:
            return _json_names([stream.readline(reading.max_record_bytes) for _ in range(1000)]), {}
        header = stream.readline(reading.max_record_bytes).removeprefix(b"\xef\xbb\xbf").decode(reading.encoding)
    names = next(csv.reader([header.rstrip("\r\n")], delimiter=reading.delimiter), [])
    return list(dict.fromkeys(name for name in names if name)), {}


def _json_names(lines: Sequence[bytes]) -> list[str]:
    names: dict[str, None] = {}
    for line in lines:
        try:
            item = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
        except ValueError:
            continue  # such records are counted, and noted, when the sample is read
        names.update(dict.fromkeys(item if isinstance(item, dict) else ()))
    return list(names)


def _parquet_columns(path: Path) -> tuple[list[str], dict[str, ColumnType]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise ContractError(
            "contract.not_parquet", "the file is no Parquet file, or it is damaged", expected="a whole Parquet file",
            found=str(error).splitlines()[0][:200], where=path.name, next="copy it again",
        ) from error  # fmt: skip
    known = {field.name: _arrow_kind(field.type) for field in schema}
    return [name for name, kind in known.items() if kind], {name: kind for name, kind in known.items() if kind}


def _arrow_kind(kind: object) -> ColumnType | None:
    import pyarrow.types as at

    table = (
        (at.is_temporal, ColumnType.TIME),
        (at.is_boolean, ColumnType.BOOLEAN),
        (at.is_integer, ColumnType.INTEGER),
        (at.is_floating, ColumnType.FLOAT),
        (at.is_decimal, ColumnType.FLOAT),
        (at.is_dictionary, ColumnType.CATEGORY),
        (at.is_string, ColumnType.TEXT),
        (at.is_large_string, ColumnType.TEXT),
        (at.is_string_view, ColumnType.TEXT),
    )
    return next((name for test, name in table if test(kind)), None)


# ---- what the columns hold


def _times(sample: _Sample) -> tuple[dict[str, str | None], list[str]]:
    """Format of each time column, by raw name, and what is open about them."""
    found: dict[str, str | None] = {}
    questions = []
    for cells in sample.cells:
        if sample.known.get(cells.name) is ColumnType.TIME:
            found[cells.name] = None
        elif cells.name not in sample.known or sample.known[cells.name] is ColumnType.TEXT:
            fits = guess.time_formats(cells.drop_nulls())
            if fits:
                found[cells.name] = fits[0]
            if any(map(guess.is_day_first, fits)) and not all(map(guess.is_day_first, fits)):
                questions.append(f"{cells.name}: does the day come first ({fits[0]}) or the month ({fits[-1]})?")
    return found, questions


def _column(name: str, raw: str, sample: _Sample, moments: Mapping[str, str | None]) -> Column:
    cells = sample.cells.get_column(raw)
    filled = cells.drop_nulls()
    known = sample.known.get(raw)
    if raw in moments:
        kind = ColumnType.TIME
    elif known is not None and known is not ColumnType.TEXT:
        kind = known
    else:
        kind = guess.kind_of(raw, filled, sample.reading.decimal)
    zoned = kind is ColumnType.TIME and not bool(filled.head(1000).str.contains(r"(Z|UTC|[+-]\d{2}:?\d{2})$").all())
    return Column(
        name=name,
        origin=(raw,),
        type=kind,
        optional=cells.null_count() > 0,
        zone="UTC" if zoned else None,
        format=moments.get(raw),
        column_class=guess.column_class(raw, filled),
    )


def _composed(sample: _Sample, taken: set[str]) -> Column | None:
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
    named = [column for column in times if _TIME_NAMES & set(guess.words(column.origin[0]))]
    return next((column.name for column in (*named, *times)), None)


def _key(
    columns: Sequence[Column], time: str | None, sample: _Sample
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
    return (first if devices else None), key, (f"key: no columns were found that tell rows apart; {', '.join(key)} "
        f"repeats in {repeated} rows. Which columns do?",)  # fmt: skip


def _device_rank(column: Column) -> int:
    parts = guess.words(column.origin[0])
    if column.column_class == PERSONAL:
        return len(_DEVICE_NAMES)
    return next((i for i, name in enumerate(_DEVICE_NAMES) if name in parts), len(_DEVICE_NAMES))


def _repeats(columns: Sequence[Column], sample: _Sample) -> int:
    """Rows whose key is empty or was seen before."""
    cells = sample.cells.unique(maintain_order=True)
    raws = [raw for column in columns for raw in column.origin]
    return cells.height - cells.select(raws).drop_nulls().unique().height


def _repeat_question(key: tuple[str, ...], repeated: int) -> tuple[str, ...]:
    if not repeated:
        return ()
    return (
        f"{repeated} rows repeat {' + '.join(key)} with other values: quarantine all of them, or let the newest win?",
    )


# ---- what a person is told


def _comment(column: Column, sample: _Sample) -> str:
    if len(column.origin) > 1:
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


def _notes(contract: Contract, sample: _Sample, raws: Sequence[str]) -> tuple[str, ...]:
    reading, personal = contract.reading, [c.name for c in contract.columns if c.column_class == PERSONAL]
    notes = [
        f"{sample.cells.height} records{'' if sample.whole else ' (the first ones of the file)'}, {len(raws)} columns, "
        f"{reading.format.value}, {reading.encoding}"
    ]
    if sample.odd:
        notes.append(f"{sample.odd} records do not fit the format and would go to quarantine")
    if len(reading.null) > 1:
        notes.append(f"taken for no value: {', '.join(reading.null[1:])}")
    if reading.decimal == ",":
        notes.append("numbers have a decimal comma")
    if personal:
        notes.append(f"look personal, and are masked: {', '.join(personal)}; check the others yourself")
    return tuple(notes)


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
