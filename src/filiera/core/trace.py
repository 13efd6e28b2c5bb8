"""Traces: with these digests of data, code and settings, this asset produced that output, at this cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One finished computation; shared by everybody, never changed, never done again."""

    id: str
    asset: str
    kind: str  #: "source", "table" or "model"
    key: str  #: digest of everything the output depends on
    run: str  #: the run of a plan that did it
    inputs: Mapping[str, str]  #: semantic digest of what each input was, by asset
    input_snapshots: Mapping[str, str]  #: snapshot or model version read, by asset
    code_digest: str
    manifest_digest: str  #: of the record that explains it: closure, settings, interpreter
    output: str  #: id of the snapshot or model version
    output_semantic: str
    seconds: float
    cpu_seconds: float
    cost_nano: int
    input_rows: int
    created_us: int
    parts: Mapping[str, str] = field(default_factory=dict)  #: input digest by UTC day, for partitioned tables
    bundle: str | None = None  #: digest of the source bundle it ran from; None for sources
    runtime_digest: str | None = None  #: of the record of the interpreter and its libraries; None for sources
    definition: str = ""  #: digest of code, settings and interpreter: the key without the inputs
    dynamic: Mapping[str, str] = field(default_factory=dict)  #: what the code read beyond its inputs: name -> digest


class Mark(NamedTuple):
    """A trace in short: what a plan needs of the many that stand unchanged."""

    id: str
    asset: str
    kind: str
    key: str
    output: str
    semantic: str
    definition: str
    classes: str  #: column classes of the output besides `open`, comma-separated
    dynamic: str  #: what the code read beyond its inputs, as JSON


class Run(NamedTuple):
    """What one computation took, and what it read and gave."""

    seconds: float
    rows: int  #: rows read
    semantic: str  #: of the output
