"""What a closure's flags mean, in sentences for people."""

from __future__ import annotations

from collections.abc import Iterable

_SENTENCES = {
    "dynamic": "names code by computed texts, so any change of the project counts; `uses=[...]` says what it reaches",
    "dynamic:uses": "names code by computed texts, and only what `uses` says counts",
    "variables": "reads environment variables by computed names: their values are not part of its key",
}
_WITH_NAME = {
    "dynamic": "imports modules of {0} by computed names, so any change there counts; `uses=[...]` says which",
    "whole": "uses the module {0} as a value, so any change of it counts",
    "unlocked": "reaches {0}, which is not installed: its version is not part of the key",
    "nondeterministic": "uses {0}: its result may not come out the same again",
    "outside": "reads from outside with {0}: a change there is not seen",
}


def sentences(asset: str, flags: Iterable[str]) -> tuple[str, ...]:
    """One sentence a flag, such as `features: uses the module helpers as a value, so any change of it counts`."""
    return tuple(f"{asset}: {sentence(flag)}" for flag in flags)


def sentence(flag: str) -> str:
    """What one flag means; a flag of an earlier release that nothing is known of as it is."""
    word, _, name = flag.partition(":")
    return _SENTENCES.get(flag) or _WITH_NAME.get(word, flag).format(name)
