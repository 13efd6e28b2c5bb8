"""Reading TOML for people: every complaint names file, line, what is allowed and the nearest name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from filiera.errors import SettingsError, nearest

_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(r"^\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file that still knows its lines."""

    name: str
    text: str
    values: dict[str, Any]

    @classmethod
    def parse(cls, name: str, text: str) -> Document:
        """Parse TOML.

        Raises:
            SettingsError: the text is not TOML; the parser's message names the line.
        """
        try:
            return cls(name, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"line (\d+)", str(error))
            where = f"{name}:{line[1]}" if line else name
            raise SettingsError(
                "settings.not_toml", f"cannot be read as TOML: {error}", next="mend the line and run again", where=where
            ) from error

    def where(self, path: tuple[str, ...]) -> str:
        """`file:line` of the entry at `path`, or of the nearest entry that encloses it."""
        best_length, best_line = 0, 1
        for line, found in self._paths():
            if len(found) > best_length and found == path[: len(found)]:
                best_length, best_line = len(found), line
        return f"{self.name}:{best_line}"

    def _paths(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        header: tuple[str, ...] = ()
        for number, line in enumerate(self.text.splitlines(), start=1):
            if match := _HEADER.match(line):
                header = _split(match[1])
                yield number, header
            elif match := _ENTRY.match(line):
                yield number, header + _split(match[1])

    def root(self) -> Section:
        """The outermost table."""
        return Section(self, (), self.values)


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(a or b or c for a, b, c in _PART.findall(dotted))


@dataclass(slots=True)
class Section:
    """One table of a document while it is read: each key is taken once, and what is left over is an error."""

    document: Document
    path: tuple[str, ...]
    values: dict[str, Any]
    _asked: set[str] = field(default_factory=set)

    def error(self, key: str, message: str, *, code: str = "settings.bad_value", **parts: str) -> SettingsError:
        """A SettingsError about `key`, with its file and line."""
        return SettingsError(code, message, where=self.document.where((*self.path, key)), **parts)

    def _take(self, key: str, kind: type | tuple[type, ...], wanted: str, default: Any) -> Any:
        self._asked.add(key)
        if key not in self.values:
            if default is ...:
                raise self.error(
                    key, f"[{'.'.join(self.path)}] lacks `{key}`", code="settings.missing_key", expected=wanted
                )
            return default
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.error(key, f"`{key}` has the wrong type", expected=wanted, found=repr(value))
        return value

    def text(self, key: str, default: Any = ...) -> Any:
        """A text, or `default` when the key is absent (no default = required)."""
        return self._take(key, str, "a text in quotes", default)

    def whole(self, key: str, default: Any = ...) -> Any:
        """A whole number."""
        return self._take(key, int, "a whole number", default)

    def number(self, key: str, default: Any = ...) -> Any:
        """A number."""
        return self._take(key, (int, float), "a number", default)

    def flag(self, key: str, default: Any = ...) -> Any:
        """True or false."""
        return self._take(key, bool, "true or false", default)

    def texts(self, key: str, default: Any = ...) -> Any:
        """A list of texts, as a tuple."""
        values = self._take(key, list, 'a list of texts, such as ["a", "b"]', default)
        if values is default and default is not ...:
            return default
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, f"`{key}` holds something else than texts", expected="a list of texts")
        return tuple(values)

    def choice(self, key: str, allowed: tuple[str, ...], default: Any = ...) -> Any:
        """One of `allowed`."""
        value = self.text(key, default)
        if value is not default and value not in allowed:
            raise self.error(
                key,
                f"`{key}` is not one of its words",
                expected=" or ".join(allowed),
                found=repr(value),
                next=nearest(value, allowed),
            )
        return value

    def parsed(self, key: str, parse: Callable[[str], Any], wanted: str, default: Any = ...) -> Any:
        """A text turned into a value by `parse`, whose ValueError becomes a complaint with its line."""
        text = self.text(key, default)
        if text is default and default is not ...:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(key, f"`{key}`: {error}", expected=wanted, found=repr(text)) from error

    def raw(self, key: str, default: Any = ...) -> Any:
        """Any value; the caller checks it."""
        return self._take(key, object, "a value", default)

    def table(self, key: str) -> Section:
        """A nested table; an empty one when absent."""
        return Section(self.document, (*self.path, key), self._take(key, dict, "a table", {}))

    def tables(self, key: str) -> Iterator[tuple[str, Section]]:
        """The named tables below `key`, such as every `[source.NAME]`."""
        group = self.table(key)
        for name in group.values:
            yield name, group.table(name)

    def finish(self) -> None:
        """Refuse keys that nobody asked for.

        Raises:
            SettingsError: an unknown key, with the nearest known one.
        """
        for key in self.values:
            if key not in self._asked:
                place = f"[{'.'.join(self.path)}]" if self.path else "the file"
                raise self.error(
                    key,
                    f"`{key}` is not a key of {place}",
                    code="settings.unknown_key",
                    expected=", ".join(sorted(self._asked)),
                    next=nearest(key, self._asked),
                )
