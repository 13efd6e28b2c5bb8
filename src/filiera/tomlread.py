"""Reading TOML for people: every complaint names file, line, what is allowed and the nearest name."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from filiera.errors import SettingsError, nearest

_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(r"^\s*((?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")
_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")  #: how a file in UTF-16 begins
_LARGEST = 1e300  #: beyond it, sums of a few overflow
_FOUND_LETTERS = 120  #: of a wrong value, in a complaint


def decode(name: str, raw: bytes) -> str:
    """The text of a settings file; a byte order mark, which Notepad writes, is skipped.

    Raises:
        SettingsError: the bytes are not UTF-8; names the first line that is not.
    """
    try:
        return raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        wide = raw.startswith(_WIDE)
        bad = 0 if wide else error.start + (len(_BOM) if raw.startswith(_BOM) else 0)
        raise SettingsError(
            "settings.encoding",
            f"the file is not UTF-8 but {'UTF-16' if wide else 'some other encoding, such as cp1252'}",
            expected="UTF-8, as TOML prescribes",
            found=f"byte 0x{raw[bad]:02x}",
            next="save the file as UTF-8 in your editor, or type the marked letters of that line anew",
            where=f"{name}:{raw.count(10, 0, bad) + 1}",
        ) from error


def _toml_advice(error: str) -> str:
    """What to do about the parser's message, for the mistakes that people make most."""
    if "Invalid value" in error or "after a statement" in error:
        return "put texts in quotes, and one setting on a line"
    if "backslash" in error or "escape" in error or "hex value" in error or "Unescaped" in error:
        return r"write paths with /, or in single quotes: 'C:\data\file.csv'"
    if "twice" in error or "overwrite" in error or "mutate" in error:
        return "the same key or [table] is there already, further up: keep one of them"
    return "mend the line and run again"


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
            SettingsError: the text is not TOML; names the line.
        """
        try:
            return cls(name, text, tomllib.loads(text))
        except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and endless brackets
            line = re.search(r"line (\d+)", str(error))
            number = line[1] if line else max(1, len(text.splitlines()))
            raise SettingsError(
                "settings.not_toml",
                f"cannot be read as TOML: {error}",
                next=_toml_advice(str(error)),
                where=f"{name}:{number}",
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


def shown(value: Any) -> str:
    """A wrong value as a complaint shows it: in one line, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than some thousand digits
        return "a number of thousands of digits"
    return text if len(text) <= _FOUND_LETTERS else f"{text[:_FOUND_LETTERS]}..."


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
                raise self.missing(key, f"[{'.'.join(self.path)}] lacks `{key}`", wanted)
            return default
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind not in (bool, object)):
            raise self.error(key, f"`{key}` has the wrong type", expected=wanted, found=shown(value))
        return value

    def missing(self, key: str, message: str, wanted: str) -> SettingsError:
        """A SettingsError about a key that is not there; a key that may be its misspelling is named."""
        close = difflib.get_close_matches(key, self.values.keys() - self._asked, n=1)
        advice = f"`{close[0]}` is there: did you mean {key}?" if close else ""
        found = close[0] if close else key
        return self.error(found, message, code="settings.missing_key", expected=wanted, next=advice)

    def text(self, key: str, default: Any = ...) -> Any:
        """A text, or `default` when the key is absent (no default = required)."""
        return self._take(key, str, "a text in quotes", default)

    def whole(self, key: str, default: Any = ..., *, least: int = 0, most: int = 10**9) -> Any:
        """A whole number from `least` to `most`."""
        value = self._take(key, int, "a whole number", default)
        if value is not default and not least <= value <= most:
            raise self.error(
                key, f"`{key}` is out of range", expected=f"a whole number from {least} to {most}", found=shown(value)
            )
        return value

    def number(self, key: str, default: Any = ..., *, least: float = -math.inf) -> Any:
        """A finite number of at least `least`."""
        value = self._take(key, (int, float), "a number", default)
        if value is not default and not (least <= value and abs(value) <= _LARGEST):
            bound = "a finite number" if least == -math.inf else f"a number of at least {least:g}"
            raise self.error(key, f"`{key}` is out of range", expected=bound, found=shown(value))
        return value

    def flag(self, key: str, default: Any = ...) -> Any:
        """True or false."""
        return self._take(key, bool, "true or false", default)

    def texts(self, key: str, default: Any = ...) -> Any:
        """A list of texts, as a tuple."""
        values = self._take(key, list, 'a list of texts, such as ["a", "b"]', default)
        if values is default and default is not ...:
            return default
        if not all(isinstance(value, str) for value in values):
            raise self.error(
                key, f"`{key}` holds something else than texts", expected="a list of texts", found=shown(values)
            )
        return tuple(values)

    def choice(self, key: str, allowed: tuple[str, ...], default: Any = ...) -> Any:
        """One of `allowed`."""
        value = self.text(key, default)
        if value is not default and value not in allowed:
            raise self.error(
                key,
                f"`{key}` is not one of its words",
                expected=" or ".join(allowed),
                found=shown(value),
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
            raise self.error(key, f"`{key}`: {error}", expected=wanted, found=shown(text)) from error

    def raw(self, key: str, default: Any = ...) -> Any:
        """Any value; the caller checks it."""
        return self._take(key, object, "a value", default)

    def table(self, key: str) -> Section:
        """A nested table; an empty one when absent."""
        return Section(self.document, (*self.path, key), self._take(key, dict, "a table", {}))

    def below(self, *path: str) -> Section:
        """A table somewhere below, for a complaint about it; it counts as asked for nowhere."""
        return Section(self.document, (*self.path, *path), {})

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
