"""What a column of texts seems to hold; used once, by `filiera adopt`, and written down for a person to read."""

from __future__ import annotations

import itertools
import keyword
import re
import unicodedata
from collections.abc import Iterable

import polars as pl

from filiera.core.contract import OPEN, PERSONAL, Column, ColumnType
from filiera.ingest import times

NULL_WORDS = (
    "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "none", "-", "--", "---", "?", "nil", "k.A.",
    # errors of Excel, in English, German and French
    "#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!", "#NV", "#WERT!", "#BEZUG!", "#ZAHL!",
    "#VALEUR!",
)  # fmt: skip
_DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
_OTHER_DATES = ("%Y/%m/%d", "%Y.%m.%d", "00%y-%m-%d")
_CLOCKS = (" %H:%M:%S", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "")
_PACKED = ("%Y%m%d%H%M%S", "%Y%m%d %H%M%S", "%Y%m%d")
_CATEGORY_VALUES = 200
_COUNTED = {"id", "no", "nr", "num", "number", "count", "index", "seq", "year", "month", "day", "hour", "flag", "code"}
_PERSONAL = re.compile(
    r"^(user|users|username|driver|e?mail|phone|telephone|mobile|surname|firstname|lastname|forename|person|people"
    r"|customer|client|patient|employee|worker|operator|owner|manager|member|ssn|iban|birth|birthday|birthdate|dob"
    r"|address|street|passport|plate|licence|license|badge|ip|imei|gender|age|sex"
    # German and French, as they stand in the headers of offices
    r"|fahrer|kunde|kunden|mitarbeiter|personal|personalnummer|vorname|nachname|geburtsdatum|geburtstag|alter"
    r"|geschlecht|telefon|handy|strasse|anschrift|adresse|kennzeichen|ausweis|benutzer|bediener"
    r"|prenom|conducteur|salarie|naissance|sexe|immatriculation|utilisateur)$"
)
_TIME_NAMES = {
    "time", "timestamp", "datetime", "date", "at", "ts", "when", "created", "start", "begin", "epoch", "zeit", "datum",
    "uhrzeit", "zeitpunkt", "zeitstempel", "beginn", "heure", "horodatage", "fecha", "hora",
}  # fmt: skip
#: What a count since 1970 may be: its unit, and how many of them are a second. Day numbers are those of Excel.
_COUNTS = (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9))
_SINCE, _UNTIL = 946_684_800, 4_102_444_800  #: 2000 and 2100, in seconds since 1970
_EXCEL_DAYS = (36_526, 73_051)  #: the same years in days of Excel
_THOUSANDS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
_WITH_UNIT = r"^[+-]?\d+([.,]\d+)?(\s?[%°€$£]\S{0,2}|\s[A-Za-zµ]\S{0,5})$"
_EMAIL = r"^[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}$"
_UNIT_ENDINGS = {
    "kw": "kW", "w": "W", "mw": "MW", "kwh": "kWh", "mwh": "MWh", "c": "degC", "degc": "degC", "f": "degF", "k": "K",
    "ms": "m/s", "kmh": "km/h", "rpm": "rpm", "hz": "Hz", "v": "V", "a": "A", "bar": "bar", "hpa": "hPa", "kpa": "kPa",
    "pa": "Pa", "mm": "mm", "m": "m", "km": "km", "pct": "%", "percent": "%", "deg": "deg", "lpm": "L/min", "s": "s",
    "h": "h", "hrs": "h", "kg": "kg", "eur": "EUR", "usd": "USD", "dollars": "USD",
}  # fmt: skip


def words(raw: str) -> list[str]:
    """The words in a raw name: `Volume Flow RateRMS` as volume, flow, rate, rms."""
    plain = unicodedata.normalize("NFKD", raw).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z]{2})(?=[A-Z])", " ", plain)  # kW stays one word
    return re.findall(r"[a-z0-9]+", spaced.lower())


def asset_names(raws: Iterable[str]) -> list[str]:
    """A valid name for each raw name, all different.

    >>> asset_names(["PM2.5", "pm2 5", "class", "2nd"])
    ['pm2_5', 'pm2_5_2', 'class_', 'c_2nd']
    """
    taken: set[str] = set()
    names = []
    for raw in raws:
        stem = "_".join(words(raw)) or "column"
        stem = (f"c_{stem}" if stem[0].isdigit() else stem)[:58].rstrip("_")
        stem = f"{stem}_" if keyword.iskeyword(stem) else stem
        numbered = (f"{stem.rstrip('_')}_{number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([stem], numbered) if name not in taken)
        taken.add(name)
        names.append(name)
    return names


def null_words(frame: pl.DataFrame) -> tuple[str, ...]:
    """Words that stand for "no value": found in columns that otherwise hold numbers or times."""
    found: dict[str, None] = {}
    for cells in frame:
        seen = cells.filter(cells.is_in(NULL_WORDS)).unique()
        rest = cells.filter(cells.is_not_null() & ~cells.is_in(NULL_WORDS)).head(10_000)
        if len(seen) and len(rest) and (is_number(rest, ".") or is_number(rest, ",") or time_formats(rest)):
            found.update(dict.fromkeys(sorted(seen)))
    return ("", *found)


def has_decimal_comma(frame: pl.DataFrame, delimiter: str) -> bool:
    """Whether numbers are written 3,5; between commas they stand in quotes, and 1,234 more likely has thousands."""

    def count(pattern: str) -> int:
        return sum(int(cells.str.contains(pattern).sum()) for cells in frame)

    comma = count(r"^[+-]?[\d.]*\d,\d+$")
    if delimiter == "," and comma == count(r"^[+-]?\d{1,3},\d{3}$"):
        return False
    return comma > count(r"^[+-]?\d+\.\d+$")


def odd_number(cells: pl.Series) -> str | None:
    """How numbers are written that no contract reads; None where these are none of them."""
    for pattern, what in ((_THOUSANDS, "a comma between thousands"), (_WITH_UNIT, "a unit inside the cell")):
        if len(cells) and int(cells.str.contains(pattern).sum()) > len(cells) // 2:
            return what
    return None


def is_time_name(raw: str) -> bool:
    """Whether a raw name is one that times have."""
    return bool(_TIME_NAMES & set(words(raw)))


def count_of_time(raw: str, cells: pl.Series) -> str | None:
    """The unit of times that are written as a count: s, ms, us, ns since 1970, or `days` of Excel; None for others."""
    if not len(cells) or not is_time_name(raw) or not cells.str.contains(r"^\d+(\.\d+)?$").all():
        return None
    low, high = (float(value) for value in numbers(cells, ".").sort().gather([0, -1]).to_list())
    for unit, each in _COUNTS:
        if _SINCE * each <= low and high < _UNTIL * each:
            return unit
    return "days" if _EXCEL_DAYS[0] <= low and high < _EXCEL_DAYS[1] else None


def is_number(cells: pl.Series, decimal: str) -> bool:
    """Whether at least 19 in 20 cells are numbers; nan and inf are, as devices write them."""
    return len(cells) > 0 and numbers(cells, decimal).null_count() <= len(cells) // 20


def numbers(cells: pl.Series, decimal: str) -> pl.Series:
    """The cells as numbers, null where they are none."""
    if decimal == ",":
        cells = cells.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return cells.cast(pl.Float64, strict=False)


def time_formats(cells: pl.Series) -> list[str | None]:
    """Formats under which at least 19 in 20 cells are times between 1900 and 2200; None is ISO 8601."""
    head = cells.head(200)
    if not len(head) or not head.str.contains(r"\d.*\d").all():
        return []
    packed = bool(head.str.contains(r"^(19|20|21)\d{6}(\d{6})?$").all())
    if head.str.contains(r"^[+-]?\d*[.,]?\d*$").all() and not packed:
        return []
    iso = times.parse(Column(name="t", origin=("t",), type=ColumnType.TIME), pl.col("t"), [])
    if not packed and _fits(head, iso) and _fits(cells, iso):
        return [None]
    dates = (*_DAY_FIRST, *_MONTH_FIRST, *_OTHER_DATES)
    patterns = _PACKED if packed else [date + clock for date in dates for clock in _CLOCKS]
    return [pattern for pattern in patterns if _fits(head, _moment(pattern)) and _fits(cells, _moment(pattern))]


def _moment(pattern: str) -> pl.Expr:
    return pl.col("t").str.to_datetime(pattern, strict=False, time_unit="us")


def _fits(cells: pl.Series, parsed: pl.Expr) -> bool:
    moments = pl.DataFrame({"t": cells}).select(parsed.alias("m")).to_series()
    sane = moments.dt.year().is_between(1900, 2200)
    return int(sane.sum()) >= len(cells) - len(cells) // 20


def is_day_first(pattern: str | None) -> bool:
    """Whether a format begins with the day."""
    return pattern is not None and pattern.startswith("%d")


def kind_of(raw: str, cells: pl.Series, decimal: str) -> ColumnType:
    """The type of a column that is no time.

    Whole numbers are `integer` only where they count or name something: a temperature that was whole so far need not
    stay so.
    """
    if not len(cells):
        return ColumnType.FLOAT
    if cells.str.to_lowercase().is_in(["true", "false"]).all():
        return ColumnType.BOOLEAN
    whole = bool(cells.str.contains(r"^[+-]?\d{1,18}$").all())
    padded = bool(cells.str.contains(r"^[+-]?0\d").any())
    flags = bool(cells.is_in(["0", "1"]).all())
    if whole and not padded and (flags or _COUNTED & set(words(raw))):
        return ColumnType.INTEGER
    if not padded and is_number(cells, decimal):
        return ColumnType.FLOAT
    return (
        ColumnType.CATEGORY if cells.n_unique() <= min(_CATEGORY_VALUES, max(2, len(cells) // 2)) else ColumnType.TEXT
    )


def column_class(raw: str, cells: pl.Series) -> str:
    """`personal` where name or values look like those of people."""
    parts = words(raw)
    named = any(_PERSONAL.match(part) for part in parts) or parts == ["name"] or parts[:2] in (["full", "name"],)
    mails = int(cells.head(1000).str.contains(_EMAIL).sum())
    return PERSONAL if named or mails > len(cells.head(1000)) // 2 else OPEN


def unit_hint(raw: str) -> str | None:
    """The unit that the last word of a name suggests; never written without a question."""
    parts = words(raw)
    return _UNIT_ENDINGS.get(parts[-1]) if len(parts) > 1 else None
