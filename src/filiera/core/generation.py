"""Generations: which trace stands for each asset of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEV = "dev"
PROD = "prod"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """One state of an environment; an environment is a list of generations that only grows."""

    id: str
    environment: str
    number: int
    kind: str  #: "apply", "follow", "release", "rollback", "branch" or "delete"
    assets: Mapping[str, str]  #: asset -> trace id
    bundle: str  #: digest of the source bundle its definitions come from
    cause: Mapping[str, Any] = field(default_factory=dict)  #: why: plan key, checks, the generation rolled back to
    actor: str
    created_us: int
