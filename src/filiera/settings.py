"""The settings of a project: the only reader of `filiera.toml`, of flags and of the process environment.

Everything comes out as frozen values, once. Nothing else in filiera looks at files or variables for configuration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filiera import settings_check as check
from filiera.clock import US_PER_S
from filiera.core.contract import OPEN, PERSONAL, Column, ColumnType, Contract, FileFormat, Reading
from filiera.core.event import Debounce
from filiera.core.keep import Keep
from filiera.core.money import Money
from filiera.core.schedule import Schedule, length_us
from filiera.errors import NotFoundError
from filiera.places import SETTINGS_FILE, STATE_FOLDER
from filiera.tomlread import Document, Section, decode, shown

#: What `[prices]` may override; `cost.prices` knows what they mean.
PRICES = ("watts_per_busy_core", "energy_per_kwh", "wear_per_core_hour", "waiting_per_hour")
_LARGEST_RECORD_BYTES = 1 << 30
_MOST_TRIALS = 1_000_000
_PERCENT = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*$", re.ASCII)
_LENGTH = "a length of time, such as '60s', '15min' or '1h'"
DATA_DEBOUNCE = Debounce(60 * US_PER_S, 15 * 60 * US_PER_S)
CODE_DEBOUNCE = Debounce(10 * US_PER_S, 2 * 60 * US_PER_S)
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
    hold_until: float = 0.0  #: share 0-1 of new rows below which new data alone does not train it again


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRules:
    """When a derived table is computed again."""

    hold_until: float = 0.0  #: share 0-1 of new rows below which new data alone does not compute it again


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentRules:
    """A proposal for the gate of one environment; the accepted rules stand in the ledger."""

    approvals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """What `filiera up` may do in `dev` by itself; without `[automation]` nothing. `prod` always follows new rows."""

    on: bool = False
    ingest: bool = True
    compute: bool = True
    train: bool = False
    up_to: Money | None = None  #: worst price of one run that needs nobody's word; None = no limit
    month: Money | None = None  #: nothing more runs by itself when 30 days cost this; None = no limit
    data: Debounce = DATA_DEBOUNCE
    code: Debounce = CODE_DEBOUNCE  #: of settings too
    schedule: Schedule | None = None
    ref: str | None = None  #: a git ref whose commit is worked from, instead of the folder
    drift: bool = False  #: look for drift of the released models' inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that was configured, once."""

    root: Path
    project: Project
    sources: Mapping[str, Source]
    tables: Mapping[str, TableRules]
    models: Mapping[str, ModelRules]
    environments: Mapping[str, EnvironmentRules]
    automation: Automation
    prices: Mapping[str, Any]  #: overrides of the price list
    keep: Keep  #: what `filiera gc` leaves alone
    digest: str  #: of the file's text
    document: Document = field(repr=False, compare=False)  #: still knows its lines

    def where(self, *path: str) -> str:
        """`filiera.toml:LINE` of a setting, such as `where("project", "currency")`; of its table when it is absent."""
        return self.document.where(path)

    @property
    def is_current(self) -> bool:
        """Whether `filiera.toml` still says what was read."""
        from filiera.digest import digest

        path = self.root / SETTINGS_FILE
        raw = path.read_bytes() if path.is_file() else b""
        return self.digest == digest("settings", 1, raw.decode("utf-8-sig", errors="replace").encode())

    @property
    def state(self) -> Path:
        """The folder of ledger and lake."""
        return self.root / STATE_FOLDER

    def hold_until(self, asset: str) -> float:
        """Share 0-1 of new rows below which new data alone runs nothing; 0 = every new row counts."""
        rules = self.models.get(asset) or self.tables.get(asset)
        return rules.hold_until if rules else 0.0

    @property
    def meaning(self) -> str:
        """Digest of what the file says: comments, spaces and the order of keys change nothing."""
        from filiera.digest import digest

        return digest("meaning", 1, json.dumps(self.document.values, sort_keys=True, default=str).encode())

    def rules_of(self, model: str) -> ModelRules:
        """The rules of a model; defaults where none are written."""
        return self.models.get(model, ModelRules())


def load(root: Path) -> Settings:
    """Read `filiera.toml` of the project in `root`.

    Raises:
        SettingsError: no UTF-8, no TOML, an unknown key, a wrong type or value, keys that do not fit each other; with
            file and line.
        NotFoundError: there is no settings file.
    """
    path = root / SETTINGS_FILE
    if not path.is_file():
        raise NotFoundError("project.not_found", f"no {SETTINGS_FILE} in {root}", next="`filiera init DIR` makes one")
    return parse(root, decode(SETTINGS_FILE, path.read_bytes()))


def parse(root: Path, text: str) -> Settings:
    """Read settings from text; see `load`."""
    from filiera.digest import digest

    document = Document.parse(SETTINGS_FILE, text)
    top = document.root()
    if "project" not in top.values:
        raise top.missing("project", "there is no [project]", "[project] with name, owner and purposes")
    project = _project(top.table("project"))
    settings = Settings(
        root=root,
        project=project,
        sources=MappingProxyType({name: _source(name, section) for name, section in top.tables("source")}),
        tables=MappingProxyType({name: _table(name, section) for name, section in top.tables("table")}),
        models=MappingProxyType({name: _model(name, section, project) for name, section in top.tables("model")}),
        environments=MappingProxyType(
            {name: _environment(name, section) for name, section in top.tables("environment")}
        ),
        automation=_automation(top, project),
        prices=MappingProxyType(check.check_prices(top.table("prices"), PRICES)),
        keep=_keep(top.table("keep")),
        digest=digest("settings", 1, text.encode()),
        document=document,
    )
    top.finish()
    return settings


def _project(section: Section) -> Project:
    currency = section.text("currency", "EUR")
    project = Project(
        name=section.text("name"),
        owner=section.text("owner"),
        purposes=section.texts("purposes"),
        currency=currency,
        monthly_budget=section.parsed("budget", _monthly, f"such as '40 {currency} per month'", None),
        python=section.text("python", None),
    )
    section.finish()
    check.check_word(section, "name", project.name, "the name of a project")
    check.check_owner(section, project.owner)
    if not project.purposes:
        raise section.error("purposes", "no purpose is declared", expected='at least one, such as ["power-forecast"]')
    for purpose in project.purposes:
        check.check_word(section, "purposes", purpose, "a purpose")
    check.check_currency(section, currency)
    check.check_budget(section, project.monthly_budget, currency)
    check.check_python(section, project.python)
    return project


def _monthly(text: str) -> Money:
    match = _BUDGET.match(text)
    if not match:
        raise ValueError("it does not say per which time")
    return Money.of(match[1])


def _model(name: str, section: Section, project: Project) -> ModelRules:
    check.check_name(section, name)
    rules = ModelRules(
        worth=section.text("worth", None),
        stop=section.text("stop", None),
        trials=section.whole("trials", None, least=1, most=_MOST_TRIALS),
        budget=section.parsed("budget", Money.of, f"an amount, such as '5 {project.currency}'", None),
        minimum_gain=float(section.number("minimum_gain", 0.0, least=0)),
        hold_until=_hold_until(section),
    )
    section.finish()
    check.check_worth(section, rules.worth, rules.stop, project.currency)
    check.check_budget(section, rules.budget, project.currency)
    return rules


def _table(name: str, section: Section) -> TableRules:
    check.check_name(section, name)
    rules = TableRules(hold_until=_hold_until(section))
    section.finish()
    return rules


def _hold_until(section: Section) -> float:
    found: float = section.parsed("hold_until", _share, "a share of new rows, such as '2%'", 0.0)
    return found


def _share(text: str) -> float:
    match = _PERCENT.match(text)
    if not match or float(match[1]) > 100:
        raise ValueError("it is no percentage from 0% to 100%")
    return float(match[1]) / 100


def _environment(name: str, section: Section) -> EnvironmentRules:
    check.check_word(section, "", name, "an environment")
    rules = EnvironmentRules(approvals=section.whole("approvals", 0, most=100))
    section.finish()
    return rules


def _automation(top: Section, project: Project) -> Automation:
    section, default, amount = top.table("automation"), Automation(), f"an amount, such as '1 {project.currency}'"
    rules = Automation(
        on="automation" in top.values,
        ingest=section.flag("ingest", default.ingest),
        compute=section.flag("compute", default.compute),
        train=section.flag("train", default.train),
        up_to=section.parsed("up_to", Money.of, amount, Money.units(1.0, project.currency)),
        month=section.parsed("month", Money.of, amount, None),
        data=Debounce(
            section.parsed("data_quiet", length_us, _LENGTH, default.data.quiet_us),
            section.parsed("data_max_wait", length_us, _LENGTH, default.data.max_wait_us),
        ),
        code=Debounce(
            section.parsed("code_quiet", length_us, _LENGTH, default.code.quiet_us),
            section.parsed("code_max_wait", length_us, _LENGTH, default.code.max_wait_us),
        ),
        schedule=section.parsed("schedule", Schedule.of, "'every 1h' or 'daily 06:00 Europe/Paris'", None),
        ref=section.text("ref", None),
        drift=section.flag("drift", default.drift),
    )
    section.finish()
    for key, money in (("up_to", rules.up_to), ("month", rules.month)):
        check.check_amount(section, key, money, project.currency)
    check.check_ref(section, rules.ref)
    return rules


def _keep(section: Section) -> Keep:
    default, wanted = Keep(), "a number and min, h, d or w, such as 30d"
    keep = Keep(
        generations=section.whole("generations", default.generations, least=1),
        prod_generations=section.whole("prod_generations", default.prod_generations, least=2),
        age_us=section.parsed("age", check.duration_us, wanted, default.age_us),
        trash_us=section.parsed("trash", check.duration_us, wanted, default.trash_us),
    )
    section.finish()
    return keep


def _source(name: str, section: Section) -> Source:
    check.check_name(section, name)
    columns = tuple(_column(column, values) for column, values in section.tables("columns"))
    device, time, key = section.text("device", None), section.text("time", None), section.texts("key", None)
    contract = Contract(
        columns=columns,
        key=(device, time) if key is None else key,
        time=time,
        device=device,
        reading=_reading(section),
        on_conflict=section.choice("on_conflict", ("quarantine", "newest"), "quarantine"),
        files=section.choice("files", ("append", "replace"), "append"),
    )
    source = Source(name=name, pattern=section.text("from"), contract=contract)
    section.finish()
    if not columns:
        raise section.missing("columns", f"source {name} declares no column", f"`filiera adopt` writes [source.{name}]")
    if key is None and (device is None or time is None):
        wanted = '`device` and `time`, or `key = ["..."]`'
        raise section.missing("time" if time is None else "device", f"source {name} has no key", wanted)
    check.check_pattern(section, source.pattern)
    check.check_reading(section, contract.reading)
    check.check_key(section, contract)
    return source


def _reading(section: Section) -> Reading:
    default = Reading()
    return Reading(
        format=FileFormat(section.choice("file_format", tuple(FileFormat), default.format.value)),
        delimiter=section.text("delimiter", default.delimiter),
        decimal=section.choice("decimal", (".", ","), default.decimal),
        encoding=section.choice("encoding", ("utf-8", "cp1252"), default.encoding),
        null=tuple(dict.fromkeys(("", *section.texts("null", ())))),
        max_record_bytes=section.whole(
            "max_record_bytes", default.max_record_bytes, least=1, most=_LARGEST_RECORD_BYTES
        ),
    )


def _column(name: str, section: Section) -> Column:
    check.check_name(section, name)
    kind = ColumnType(section.choice("type", tuple(ColumnType), ColumnType.FLOAT.value))
    low, high = check.range_of(section)
    column = Column(
        name=name,
        origin=_origin(section, name, kind),
        type=kind,
        unit=check.unit_of(section, "unit"),
        from_unit=check.unit_of(section, "from_unit"),
        low=low,
        high=high,
        optional=section.flag("optional", False),
        values=section.texts("values", ()),
        zone=check.zone_of(section),
        format=section.text("format", None),
        fold=section.choice("fold", ("order",), None),
        column_class=section.choice("class", (OPEN, PERSONAL), OPEN),
    )
    section.finish()
    check.check_column(section, column)
    return column


def _origin(section: Section, name: str, kind: ColumnType) -> tuple[str, ...]:
    raw = section.raw("from", name)
    parts = raw if isinstance(raw, list) else [raw]
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise section.error(
            "from", f"`from` of column {name} is no column name", expected="a text or a list of texts", found=shown(raw)
        )
    if len(parts) > 1 and kind is not ColumnType.TIME:
        raise section.error("from", "only a time is composed of several columns", expected="one raw column name")
    return tuple(parts)
