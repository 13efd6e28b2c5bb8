"""How two traces of an asset differ, in the words of the three dimensions and the runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from filiera.code.closure import explain
from filiera.core.plan import Dimension, Reason
from filiera.core.trace import Trace

Manifest = Callable[[str], Mapping[str, Any]]

#: How settings are called where they are written.
_WORDS = {"features": "inputs", "space": "search space"}


def compare(before: Trace, now: Trace, manifest: Manifest) -> tuple[Reason, ...]:
    """Every difference between two traces; none when they have one key.

    Args:
        before: the older one.
        now: the newer one.
        manifest: gives the record behind a manifest digest.
    """
    old, new = manifest(before.manifest_digest), manifest(now.manifest_digest)
    reasons = [Reason(Dimension.DATA, f"{name} changed") for name in input_changes(before.inputs, now.inputs)]
    if before.code_digest != now.code_digest:
        reasons += code_changes(old.get("code", {}), new.get("code", {}))
    both = sorted(before.dynamic.keys() & now.dynamic.keys())
    reasons += [Reason(Dimension.CODE, f"{n} changed") for n in both if before.dynamic[n] != now.dynamic[n]]
    reasons += [Reason(Dimension.MODEL, text) for text in setting_changes(old.get("settings", {}), new["settings"])]
    reasons += interpreter_changes(old.get("interpreter", {}), new.get("interpreter", {}))
    return tuple(reasons)


def input_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Inputs of which a reader could notice a difference."""
    return [name for name, semantic in now.items() if before.get(name) != semantic]


def code_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Reason]:
    """Differences of two closure manifests; a library's version belongs to the runtime."""
    return [Reason(Dimension.RUNTIME if " -> " in text else Dimension.CODE, text) for text in explain(before, now)]


def interpreter_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Reason]:
    """Another minor version of Python, or another platform."""
    return [
        Reason(Dimension.RUNTIME, f"{part} {before.get(part)} -> {value}")
        for part, value in now.items()
        if before.get(part) != value
    ]


def setting_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Settings that differ, with the value before and after."""
    texts: list[str] = []
    for name in {**now, **before}:
        old, value, word = before.get(name), now.get(name), _WORDS.get(name, name)
        if old == value:
            continue
        if name == "space":
            old, value = _by_name(old or []), _by_name(value)
        if isinstance(value, dict) and isinstance(old, dict):
            parts = sorted(part for part in {*value, *old} if old.get(part) != value.get(part))
            lead = f"{word}: " if name == "space" else ""
            texts += [f"{lead}{part} {_told(old.get(part))} -> {_told(value.get(part))}" for part in parts]
        else:
            texts.append(f"{word} {_told(old)} -> {_told(value)}")
    return texts


def _by_name(space: Any) -> dict[str, Any]:
    return {parameter["name"]: parameter for parameter in space}


def _told(value: Any) -> str:
    """A setting in a few words."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if not isinstance(value, dict):
        return "none" if value is None else str(value)
    if value.get("kind") in ("choice", "fixed"):
        return "/".join(map(str, value["choices"]))
    if "kind" not in value:  # a setting of the pipeline that is a dict
        return json.dumps(value, sort_keys=True)
    return f"{value['low']:g} to {value['high']:g}" + (" log" if value.get("log") else "")
