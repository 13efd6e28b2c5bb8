"""Traces: with these digests of data, code and settings, this asset produced that output, at this cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
    dynamic: Mapping[str, str] = field(default_factory=dict)  #: what the code read beyond its inputs: name -> digest
