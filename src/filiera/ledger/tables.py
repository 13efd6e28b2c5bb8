"""The tables of the ledger.

Rules: times are BIGINT microseconds UTC; JSON is text; money is whole nano-units; enums are text with a CHECK;
what is history cannot be updated or deleted (triggers); every table carries its project.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 4

metadata = sa.MetaData()

_KINDS = {
    "source_file.state": ("accepted", "part", "refused", "repeated", "released"),
    "trace.kind": ("source", "table", "model"),
    "trial.state": ("running", "done", "failed", "lost", "capped"),
    "event.kind": ("data", "code", "settings", "schedule", "drift", "hand", "start", "retry", "rest"),
    "decision.outcome": ("planned", "waits", "skipped"),
    "intent.state": ("pending", "waiting", "running", "done", "failed", "stale", "replaced"),
    "generation.kind": ("apply", "follow", "release", "rollback", "branch", "delete"),
    "removal.kind": ("object", "output"),
    "removal.event": ("freed", "restored", "deleted"),
}


def _enum(name: str) -> sa.Column[str]:
    column = name.split(".")[1]
    allowed = ", ".join(f"'{word}'" for word in _KINDS[name])
    return sa.Column(column, sa.Text, sa.CheckConstraint(f"{column} IN ({allowed})"), nullable=False)


def _text(name: str, *, null: bool = False, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, primary_key=key)


def _whole(name: str, *, null: bool = False, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, primary_key=key, autoincrement=False)


def _serial() -> sa.Column[int]:
    return sa.Column("serial", sa.Integer, primary_key=True)


def _number() -> sa.Column[int]:
    return sa.Column("number", sa.Integer, primary_key=True)


def _project() -> sa.Column[str]:
    return sa.Column("project", sa.Text, sa.ForeignKey("project.id"), nullable=False)


project = sa.Table(
    "project",
    metadata,
    _text("id", key=True),
    _text("name"),
    _text("currency"),
    _whole("schema_version"),
    _whole("created_us"),
)

audit = sa.Table(
    "audit",
    metadata,
    _whole("number", key=True),
    _project(),
    _whole("created_us"),
    _text("actor"),
    _text("method"),
    _text("action"),
    _text("object"),
    _text("details"),
    _text("previous"),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
)

source_file = sa.Table(
    "source_file",
    metadata,
    _serial(),
    _project(),
    _text("source"),
    _text("path"),
    _text("digest"),
    _whole("size_bytes"),
    _whole("mtime_ns"),
    _whole("inode"),
    _whole("ctime_ns"),
    _whole("consumed_bytes"),
    _text("prefix_digest"),
    _enum("source_file.state"),
    _whole("part"),  # 0, 1, 2 ... of a file that was read in several batches
    _text("batch", null=True),
    _text("error", null=True),
    _text("contract_digest"),
    _whole("rows_read"),
    _whole("accepted"),
    _whole("quarantined"),
    _whole("duplicates"),
    _text("nulled"),
    _text("ignored"),
    _whole("created_us"),
    sa.Index("source_file_digest", "source", "digest"),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    _serial(),
    _project(),
    _text("source"),
    _text("batch"),
    _text("path"),
    _whole("rows"),
    _text("reasons"),  # {"range": 12, ...}
    _text("object"),
    _whole("released_us", null=True),
    _whole("created_us"),
    sa.Index("quarantine_source", "source"),
)

snapshot = sa.Table(
    "snapshot",
    metadata,
    _text("id", key=True),
    _project(),
    _text("asset"),
    _whole("number"),
    _text("parent", null=True),
    _whole("rows"),
    _text("schema"),
    _text("key"),
    _text("time", null=True),
    _text("semantic"),
    _text("totals"),  # per column sums of cell hashes, hex
    _text("classes"),  # column classes besides `open`, comma-separated
    _whole("low_us", null=True),
    _whole("high_us", null=True),
    _whole("created_us"),
    sa.UniqueConstraint("asset", "number"),
)

#: A batch is visible in snapshots `added` <= number < `removed`.
batch_file = sa.Table(
    "batch_file",
    metadata,
    _serial(),
    _project(),
    _text("asset"),
    _whole("added"),
    _whole("removed", null=True),
    _text("batch"),
    _text("path"),  # the source file it came from; "" for derived tables
    _whole("rows"),
    _whole("low_us"),
    _whole("high_us"),
    _whole("min_us"),
    _whole("max_us"),
    _text("parts"),
    _text("sidecar", null=True),
    _text("dropped"),
    sa.Column("leaves", sa.LargeBinary, nullable=False),
    sa.Index("batch_file_asset", "asset", "added"),
)

manifest = sa.Table("manifest", metadata, _text("digest", key=True), _text("body"))

trace = sa.Table(
    "trace",
    metadata,
    _text("id", key=True),
    _project(),
    _text("asset"),
    _enum("trace.kind"),
    _text("key"),
    _text("run"),
    _text("inputs"),
    _text("input_snapshots"),
    _text("code_digest"),
    _text("manifest_digest"),
    _text("output"),
    _text("output_semantic"),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    _whole("cost_nano"),
    _whole("input_rows"),
    _text("parts"),
    _text("bundle", null=True),
    _text("runtime_digest", null=True),
    _text("definition"),
    _text("dynamic"),
    _whole("created_us"),
    sa.Index("trace_asset", "asset", "created_us"),
)

#: Which trace answers for a key: the first success.
canon = sa.Table(
    "canon",
    metadata,
    _text("asset", key=True),
    _text("key", key=True),
    sa.Column("trace", sa.Text, sa.ForeignKey("trace.id"), nullable=False),
)

study = sa.Table(
    "study",
    metadata,
    _text("id", key=True),
    _project(),
    _text("model"),
    _text("key"),
    _whole("workers"),
    _text("snapshot", null=True),  # of its rows, when it began
    _text("report"),
    _whole("created_us"),
    sa.UniqueConstraint("model", "key"),
)

trial = sa.Table(
    "trial",
    metadata,
    sa.Column("study", sa.Text, sa.ForeignKey("study.id"), primary_key=True),
    _whole("number", key=True),
    _text("settings"),
    _text("origin"),
    _enum("trial.state"),
    sa.Column("score", sa.Float),
    _text("window_scores"),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    _whole("peak_bytes"),
    _whole("cost_nano"),
    _text("error"),
    _whole("created_us"),
    _whole("ended_us", null=True),
)

model_version = sa.Table(
    "model_version",
    metadata,
    _text("id", key=True),
    _project(),
    _text("name"),
    _whole("number"),
    _text("study"),
    _text("digest"),
    _text("format"),
    _text("package", null=True),
    _text("predictions", null=True),
    _text("body"),
    _whole("created_us"),
    sa.UniqueConstraint("name", "number"),
)

#: A bundle that was freed and is needed again gets another row; the newest counts.
bundle = sa.Table(
    "bundle",
    metadata,
    _serial(),
    _text("digest"),
    _text("object"),
    _whole("created_us"),
    sa.Index("bundle_digest", "digest"),
)

#: What became of stored objects, and of what they were of (a snapshot, a model version, a bundle): the newest row of a
#: name counts.
removal = sa.Table(
    "removal",
    metadata,
    _serial(),
    _project(),
    _enum("removal.kind"),
    _text("name"),  # id of an object, of a snapshot or of a model version, or digest of a bundle
    _enum("removal.event"),
    _text("asset"),
    _text("reason"),
    _whole("size_bytes"),
    _whole("created_us"),
    sa.Index("removal_name", "name"),
)

#: Snapshots and model versions that somebody wants kept.
hold = sa.Table(
    "hold",
    metadata,
    _serial(),
    _project(),
    _text("output"),
    _text("label"),
    _text("reason"),
    _text("actor"),
    _whole("released_us", null=True),
    _whole("created_us"),
)

generation = sa.Table(
    "generation",
    metadata,
    _text("id", key=True),
    _project(),
    _text("environment"),
    _whole("number"),
    _enum("generation.kind"),
    _text("assets"),
    _text("bundle"),
    _text("cause"),
    _text("actor"),
    _whole("created_us"),
    sa.UniqueConstraint("environment", "number"),
)

exposure = sa.Table(
    "exposure",
    metadata,
    _serial(),
    _project(),
    _text("principal"),
    _text("purpose"),
    _text("asset"),
    _whole("snapshot"),
    _text("columns"),
    _text("masked"),
    _whole("rows"),
    _whole("created_us"),
)

spend = sa.Table(
    "spend",
    metadata,
    _serial(),
    _project(),
    _text("run"),
    _text("asset"),
    _whole("cost_nano"),
    sa.Column("seconds", sa.Float, nullable=False),
    _whole("created_us"),
)

#: What a step was expected to take, beside what it took.
forecast = sa.Table(
    "forecast",
    metadata,
    _serial(),
    _project(),
    _text("run"),
    _text("asset"),
    _text("operation"),
    sa.Column("p10_s", sa.Float, nullable=False),
    sa.Column("expected_s", sa.Float, nullable=False),
    sa.Column("p90_s", sa.Float, nullable=False),
    sa.Column("actual_s", sa.Float, nullable=False),
    _whole("guess"),
    _whole("created_us"),
)

rule = sa.Table("rule", metadata, _serial(), _project(), _text("body"), _text("actor"), _whole("created_us"))

#: Something that may have changed: it marks the project as due and carries no work.
event = sa.Table(
    "event",
    metadata,
    _number(),
    _project(),
    _text("source"),
    _text("source_id"),
    _enum("event.kind"),
    _text("body"),
    _whole("cause", null=True),  # number of the intent that brought it about
    _whole("created_us"),
    sa.UniqueConstraint("source", "source_id"),
)

#: What came of the events `after` < number <= `through` in one environment; the newest row is its cursor.
decision = sa.Table(
    "decision",
    metadata,
    _number(),
    _project(),
    _text("environment"),
    _whole("after"),
    _whole("through"),
    _enum("decision.outcome"),
    _text("code"),
    _text("reason"),
    _whole("intent", null=True),
    _whole("created_us"),
    sa.UniqueConstraint("environment", "after"),
)

#: A plan that is to be carried out by itself.
intent = sa.Table(
    "intent",
    metadata,
    _number(),
    _project(),
    _text("environment"),
    _text("key"),
    _whole("attempt"),
    _enum("intent.state"),
    _text("reason"),
    _text("left_out"),
    _text("plan"),
    _text("approved_by", null=True),
    _text("worker", null=True),
    _whole("fence"),
    _whole("lease_until_us"),
    _whole("generation", null=True),
    _text("result", null=True),
    _whole("created_us"),
    _whole("ended_us", null=True),
    sa.UniqueConstraint("key", "attempt"),
)

#: A step that failed in an intent; asset "" = the work as a whole.
failure = sa.Table(
    "failure",
    metadata,
    _serial(),
    _project(),
    _text("environment"),
    _text("asset"),
    _text("key"),
    _text("error"),
    _whole("intent"),
    _whole("created_us"),
    sa.Index("failure_step", "environment", "asset", "key"),
)

#: History: no row is ever changed or removed.
APPEND_ONLY = (
    "audit", "source_file", "snapshot", "manifest", "trace", "model_version", "bundle", "generation", "exposure",
    "spend", "rule", "forecast", "event", "decision", "failure", "removal",
)  # fmt: skip

#: These rows end once: the marked column goes from open to closed and then the row never changes.
ENDS_ONCE = {
    "batch_file": "OLD.removed IS NOT NULL",
    "quarantine": "OLD.released_us IS NOT NULL",
    "trial": "OLD.state <> 'running'",
    "intent": "OLD.ended_us IS NOT NULL",
    "hold": "OLD.released_us IS NOT NULL",
}


def guards() -> list[str]:
    """SQLite triggers that keep history as it is."""
    found = []
    for name in (*APPEND_ONLY, *ENDS_ONCE, "canon"):
        found.append(
            f"CREATE TRIGGER {name}_no_delete BEFORE DELETE ON {name} "
            f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
        )
    for name in APPEND_ONLY:
        found.append(
            f"CREATE TRIGGER {name}_no_update BEFORE UPDATE ON {name} "
            f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
        )
    for name, closed in ENDS_ONCE.items():
        found.append(
            f"CREATE TRIGGER {name}_ends_once BEFORE UPDATE ON {name} WHEN {closed} "
            f"BEGIN SELECT RAISE(ABORT, 'this {name} has ended'); END"
        )
    return found
