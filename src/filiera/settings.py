"""The settings of a project: the only reader of `filiera.toml`, of flags and of the process environment.

Everything comes out as frozen values, once. Nothing else in filiera looks at files or variables for configuration.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filiera.core.contract import OPEN, PERSONAL, Column, ColumnType, Contract, FileFormat, Reading
from filiera.core.money import Money
from filiera.core.units import known_units, nearest_unit
from filiera.errors import NotFoundError, nearest
from filiera.places import SETTINGS_FILE, STATE_FOLDER
from filiera.tomlread import Document, Section

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_DASHED = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_BUDGET = re.compile(r"^\s*(.+?)\s+per\s+month\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Who owns the project and what its data may be used for."""

    name: str
    owner: str
    purposes: tuple[str, ...]  #: at least one; every read names one of them
    currency: str = "EUR"  #: one currency per ledger
    monthly_budget: Money | None = None
    python: str | None = None  #: interpreter of the pipeline, relative to the project; None = the one running filiera


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source of files and its contract."""

    name: str
    pattern: str  #: path or glob, relative to the project
    contract: Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """What accuracy of one model is worth; texts are parsed by `train.worth`."""

    worth: str | None = None  #: "20 EUR per kW per month"
    stop: str | None = None  #: "0.1 kW costs more than 5 EUR"
    trials: int | None = None  #: overrides the pipeline's upper limit; never makes a study stale
    budget: Money | None = None  #: hard limit of one study
    minimum_gain: float = 0.0  #: least gain over the champion, in units of the score


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRules:
    """A proposal for the gate of one environment; the accepted rules stand in the ledger."""

    approvals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that was configured, once."""

    root: Path
    project: Project
    sources: Mapping[str, Source]
    models: Mapping[str, ModelRules]
    environments: Mapping[str, EnvironmentRules]
    prices: Mapping[str, Any]  #: overrides of the price list
    digest: str  #: of the file's text

    @property
    def state(self) -> Path:
        """The folder of ledger and lake."""
        return self.root / STATE_FOLDER

    def rules_of(self, model: str) -> ModelRules:
        """The rules of a model; defaults where none are written."""
        return self.models.get(model, ModelRules())


def load(root: Path) -> Settings:
    """Read `filiera.toml` of the project in `root`.

    Raises:
        SettingsError: unknown key, wrong type, unknown unit, missing key or time column; with file and line.
        NotFoundError: there is no settings file.
    """
    path = root / SETTINGS_FILE
    if not path.is_file():
        raise NotFoundError("project.not_found", f"no {SETTINGS_FILE} in {root}", next="`filiera init DIR` makes one")
    return parse(root, path.read_text(encoding="utf-8"))


def parse(root: Path, text: str) -> Settings:
    """Read settings from text; see `load`."""
    from filiera.digest import digest

    document = Document.parse(SETTINGS_FILE, text)
    top = document.root()
    project = _project(top.table("project"))
    settings = Settings(
        root=root,
        project=project,
        sources=MappingProxyType({n: _source(_asset_name(s, n), s) for n, s in top.tables("source")}),
        models=MappingProxyType({n: _model(_named(s, n), project) for n, s in top.tables("model")}),
        environments=MappingProxyType({n: _environment(s) for n, s in top.tables("environment")}),
        prices=MappingProxyType(dict(top.table("prices").values)),
        digest=digest("settings", 1, text.encode()),
    )
    top.finish()
    return settings


def _named(section: Section, name: str) -> Section:
    _asset_name(section, name)
    return section


def _asset_name(section: Section, name: str) -> str:
    if not _NAME.match(name) or keyword.iskeyword(name):
        raise section.error(
            "",
            f"`{name}` cannot be a name",
            code="settings.bad_name",
            expected="a letter, then letters, digits and _; lower case; no word of Python",
        )
    return name


def _project(section: Section) -> Project:
    purposes = section.texts("purposes")
    if not purposes:
        raise section.error("purposes", "no purpose is declared", expected='at least one, such as ["power-forecast"]')
    for purpose in purposes:
        if not _DASHED.match(purpose):
            raise section.error(
                "purposes", f"`{purpose}` cannot be a purpose", expected="lower case letters, digits, - and _"
            )
    owner = section.text("owner")
    if not owner.strip():
        raise section.error("owner", "the owner is empty", expected="a person or team who answers for the project")
    currency = section.text("currency", "EUR")
    project = Project(
        name=section.text("name"),
        owner=owner,
        purposes=purposes,
        currency=currency,
        monthly_budget=section.parsed("budget", _monthly, "an amount, such as '40 EUR per month'", None),
        python=section.text("python", None),
    )
    if project.monthly_budget and project.monthly_budget.currency != currency:
        raise section.error("budget", f"the budget is not in {currency}", expected=f"an amount in {currency}")
    section.finish()
    return project


def _monthly(text: str) -> Money:
    match = _BUDGET.match(text)
    if not match:
        raise ValueError("not a budget")
    return Money.of(match[1])


def _model(section: Section, project: Project) -> ModelRules:
    rules = ModelRules(
        worth=section.text("worth", None),
        stop=section.text("stop", None),
        trials=section.whole("trials", None),
        budget=section.parsed("budget", Money.of, "an amount, such as '5 EUR'", None),
        minimum_gain=float(section.number("minimum_gain", 0.0)),
    )
    if rules.worth and rules.stop:
        raise section.error("stop", "`worth` and `stop` say the same thing twice", expected="one of them")
    if rules.trials is not None and rules.trials < 1:
        raise section.error("trials", "`trials` is below 1", expected="1 or more", found=str(rules.trials))
    if rules.budget and rules.budget.currency != project.currency:
        raise section.error("budget", f"the budget is not in {project.currency}", expected=f"{project.currency}")
    section.finish()
    return rules


def _environment(section: Section) -> EnvironmentRules:
    rules = EnvironmentRules(approvals=section.whole("approvals", 0))
    section.finish()
    return rules


def _source(name: str, section: Section) -> Source:
    columns = tuple(_column(column, values) for column, values in section.tables("columns"))
    if not columns:
        raise section.error(
            "columns", f"source {name} declares no column", next=f"`filiera adopt` writes [source.{name}]"
        )
    names = [column.name for column in columns]
    device, time = section.text("device", None), section.text("time", None)
    key = section.texts("key", None)
    if key is None:
        if device is None or time is None:
            raise section.error(
                "device" if device is None else "time",
                f"source {name} has no key",
                code="settings.missing_key",
                expected='`device` and `time`, or `key = ["..."]`',
            )
        key = (device, time)
    for word, used in (("device", device), ("time", time), *(("key", part) for part in key)):
        if used is not None and used not in names:
            raise section.error(
                word,
                f"`{word}` names a column that is not declared",
                expected=", ".join(names),
                found=used,
                next=nearest(used, names),
            )
    kinds = {column.name: column for column in columns}
    if time is not None and kinds[time].type is not ColumnType.TIME:
        raise section.error("time", f"column {time} is not of type time", expected='type = "time"')
    contract = Contract(
        columns=columns,
        key=tuple(key),
        time=time,
        device=device,
        reading=_reading(section),
        on_conflict=section.choice("on_conflict", ("quarantine", "newest"), "quarantine"),
        files=section.choice("files", ("append", "replace"), "append"),
    )
    source = Source(name=name, pattern=section.text("from"), contract=contract)
    section.finish()
    return source


def _reading(section: Section) -> Reading:
    default = Reading()
    reading = Reading(
        format=FileFormat(section.choice("file_format", tuple(FileFormat), default.format.value)),
        delimiter=section.text("delimiter", default.delimiter),
        decimal=section.choice("decimal", (".", ","), default.decimal),
        encoding=section.choice("encoding", ("utf-8", "cp1252"), default.encoding),
        null=tuple(dict.fromkeys(("", *section.texts("null", ())))),
        max_record_bytes=section.whole("max_record_bytes", default.max_record_bytes),
    )
    if len(reading.delimiter) != 1:
        raise section.error("delimiter", "the delimiter is not one character", found=repr(reading.delimiter))
    return reading


def _column(name: str, section: Section) -> Column:
    _asset_name(section, name)
    kind = ColumnType(section.choice("type", tuple(ColumnType), ColumnType.FLOAT.value))
    origin = section.raw("from", name)
    low, high = _range(section)
    column = Column(
        name=name,
        origin=(origin,) if isinstance(origin, str) else tuple(origin),
        type=kind,
        unit=_unit(section, "unit"),
        from_unit=_unit(section, "from_unit"),
        low=low,
        high=high,
        optional=section.flag("optional", False),
        values=section.texts("values", ()),
        zone=_zone(section),
        format=section.text("format", None),
        fold=section.choice("fold", ("order",), None),
        column_class=section.choice("class", (OPEN, PERSONAL), OPEN),
    )
    section.finish()
    if not all(isinstance(part, str) and part for part in column.origin) or not column.origin:
        raise section.error("from", f"`from` of column {name} is no column name", expected="a text or a list of texts")
    if len(column.origin) > 1 and kind is not ColumnType.TIME:
        raise section.error("from", "only a time is composed of several columns", expected="one raw column name")
    return column


def _range(section: Section) -> tuple[float | None, float | None]:
    pair = section.raw("range", None)
    if pair is None:
        return None, None
    numbers = isinstance(pair, list) and len(pair) == 2 and all(type(value) in (int, float) for value in pair)
    if not numbers or not pair[0] <= pair[1]:
        raise section.error("range", "`range` is no range", expected="[least, greatest]", found=repr(pair))
    return float(pair[0]), float(pair[1])


def _unit(section: Section, key: str) -> str | None:
    unit: str | None = section.text(key, None)
    if unit is not None and unit not in known_units():
        raise section.error(
            key,
            f"`{unit}` is no unit that filiera knows",
            code="settings.unknown_unit",
            found=repr(unit),
            next=nearest_unit(unit),
        )
    return unit


def _zone(section: Section) -> str | None:
    from zoneinfo import available_timezones

    zone: str | None = section.text("zone", None)
    if zone is not None and zone not in available_timezones():
        raise section.error(
            "zone",
            f"`{zone}` is no time zone",
            found=repr(zone),
            expected="an IANA name such as Europe/Paris",
            next=nearest(zone, available_timezones()),
        )
    return zone
