"""A query as words, and one text for all ways to write it.

The SQL parser is loaded when a pipeline has a table in SQL. What runs is the canonical text, and the key is made of
the same text: two queries with one key cannot differ in what they do, whatever the parser makes of them. That the
canonical text does what its author wrote is told by polars, which runs it: the plans of both are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from filiera.errors import CodeError, nearest

if TYPE_CHECKING:
    from sqlglot.exp import Expression

#: What has another value tomorrow.
_MOMENTS = frozenset({"NOW", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"})
_FILES = ("read_", "scan_")  #: how the functions begin that read a file


@dataclass(frozen=True, slots=True)
class Word:
    """One token."""

    text: str
    start: int
    kind: str  #: "setting", "name" (of a table or column), "word" (of the language) or "mark"
    glued: bool  #: nothing may stand before it: a part of `t.load` or `.5`


@dataclass(frozen=True)
class Query:
    """One parsed query."""

    text: str
    where: str  #: file and line
    tree: Expression
    words: tuple[Word, ...]

    @property
    def exact(self) -> tuple[str, ...]:
        """The text as it was written, cut at its settings."""
        parts, begin = [""], 0
        for word in (word for word in self.words if word.kind == "setting"):
            parts[-1] = self.text[begin : word.start]
            parts += [word.text, ""]
            begin = word.start + 1 + len(word.text)
        parts[-1] = self.text[begin:]
        return tuple(parts)

    @property
    def named(self) -> list[str]:
        """Every name of a column, whether an input has it or the query makes it."""
        from sqlglot import exp

        return sorted({column.name for column in self.tree.find_all(exp.Column)})

    @property
    def moments(self) -> list[str]:
        """Functions whose value depends on the time of the run."""
        return sorted({word.text.upper() for word in self.words if word.kind == "word"} & _MOMENTS)


def parse(text: str, where: str, settings: Sequence[str]) -> Query:
    """Read a query.

    Args:
        text: of the query; `:least` stands for the setting `least`.
        where: file and line of its definition.
        settings: names of the settings.

    Raises:
        CodeError: the parser is not installed; the text is no query, more than one, or reads a file; or a setting has
            no value or no place. With line and column of the query.
    """
    glot = _parser(where)
    dialect = glot.Dialect.get_or_raise("")
    try:
        tokens = dialect.tokenize(text)
        trees = dialect.parser(error_level=glot.ErrorLevel.IMMEDIATE).parse(tokens, text)
    except glot.errors.SqlglotError as error:
        raise _syntax_error(error, text, where) from error
    (tree, *more) = trees or [None]
    if more or not isinstance(tree, glot.exp.Query):
        raise CodeError(
            "code.sql", "a table in SQL is one query", where=where, expected="one text that begins with SELECT or WITH"
        )
    words = tuple(_words(text, tokens, tree))
    query = Query(text, where, tree, words[:-1] if words[-1].text == ";" else words)
    _require_settings(query, settings)
    for word, after in pairwise(words):
        if word.text.strip('"').lower().startswith(_FILES) and after.text == "(":
            raise refuse(query, word.start, f"`{word.text}` reads a file", next="make it a source in filiera.toml")
    return query


def _parser(where: str) -> Any:
    try:
        import sqlglot
    except ImportError as error:
        raise CodeError(
            "code.sql_extra", "tables in SQL need sqlglot, which is not installed", where=where,
            next="install filiera with its extra: pip install 'filiera[sql]'",
        ) from error  # fmt: skip
    return sqlglot


def _words(text: str, tokens: Sequence[Any], tree: Expression) -> list[Word]:
    from sqlglot import exp

    names = {identifier.meta.get("start") for identifier in tree.find_all(exp.Identifier)}
    placeholders = {node.name for node in tree.find_all(exp.Placeholder)}
    found: list[Word] = []
    end = -1
    for token in tokens:
        part, glued = text[token.start : token.end + 1], token.start == end
        end = token.end + 1
        if glued and found[-1].text == ":" and part in placeholders:
            found[-1] = replace(found[-1], text=part, kind="setting")
            continue
        kind = "name" if token.start in names else "word" if part[0].isalpha() and "'" not in part else "mark"
        found.append(Word(part, token.start, kind, glued and "." in (part, found[-1].text)))
    return found


def _require_settings(query: Query, settings: Sequence[str]) -> None:
    """Every setting has its place and every place its setting."""
    from sqlglot import exp

    places = [word for word in query.words if word.kind == "setting"]
    if len(list(query.tree.find_all(exp.Placeholder))) != len(places):
        raise CodeError("code.sql", "a place in the query has no name", where=query.where, expected=":least")
    for word in places:
        if word.text not in settings:
            raise refuse(
                query, word.start, f"`:{word.text}` has no value",
                next=f"{nearest(word.text, settings)} Say {word.text}=... in the call of fl.sql",
            )  # fmt: skip
    for name in settings:
        if name not in {word.text for word in places}:
            raise CodeError(
                "code.sql_setting", f"setting `{name}` is not in the query", where=query.where,
                next=f"write :{name} where its value belongs; partition, lookback and key need no place",
            )  # fmt: skip


def refuse(query: Query, start: int, message: str, *, next: str) -> CodeError:
    """A mistake at one position of a query."""
    return CodeError("code.sql", message, where=f"{query.where}, {place(query.text, start)}", next=next)


def place(text: str, start: int) -> str:
    """Line and column of a position, from 1."""
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return f"line {line}, column {column} of the query"


def _syntax_error(error: Any, text: str, where: str) -> CodeError:
    known = getattr(error, "errors", None)
    if not known:  # a text or a name that nobody closed
        return CodeError("code.sql_syntax", "a quote in the query is not closed", where=where, next="close it")
    first = known[0]
    column = max(int(first["col"]) - len(first["highlight"]) + 1, 1)
    lines = text.splitlines() or [""]
    return CodeError(
        "code.sql_syntax", f"the query is not understood at `{first['highlight']}`",
        where=f"{where}, line {first['line']}, column {column} of the query",
        found=lines[min(int(first["line"]), len(lines)) - 1].strip(), next="mend the line and run again",
    )  # fmt: skip


def canonical(query: Query, plan: Callable[[Sequence[str]], Any]) -> tuple[str, ...]:
    """One text for all ways to write a query: layout, comments, letter case of the language and needless brackets.

    Args:
        query: parsed.
        plan: what polars would do for a text, as of `exact`; None where it cannot be told. Brackets go only where the
            plan stays the same. Without a plan that repeats, brackets stay, and the parser compares the rest. Where the
            meaning would not be the same, the exact text is kept.

    Returns:
        The text, cut at its settings.
    """
    wanted, again = plan(query.exact), plan(query.exact)
    words = [replace(word, text=" ".join(word.text.upper().split())) if word.kind == "word" else word
             for word in query.words]  # fmt: skip
    if wanted is None or again != wanted:
        return _text(words) if _same_tree(query, words) else query.exact
    if plan(_text(words)) != wanted:
        return query.exact
    for first, last in _brackets(words):
        fewer = [word for word in words if word not in (first, last)]
        if plan(_text(fewer)) == wanted:
            words = fewer
    return _text(words)


def _same_tree(query: Query, words: Sequence[Word]) -> bool:
    import sqlglot

    text = "".join(f":{part}" if at % 2 else part for at, part in enumerate(_text(words)))
    try:
        return bool(sqlglot.parse_one(text) == query.tree)
    except sqlglot.errors.SqlglotError:
        return False


def _text(words: Sequence[Word]) -> tuple[str, ...]:
    parts = [""]
    for word in words:
        space = " " if parts != [""] and not word.glued else ""
        if word.kind == "setting":
            parts[-1] += space
            parts += [word.text, ""]
        else:
            parts[-1] += space + word.text
    return tuple(parts)


def _brackets(words: Sequence[Word]) -> list[tuple[Word, Word]]:
    """Pairs of brackets."""
    waiting: list[Word] = []
    pairs: list[tuple[Word, Word]] = []
    for word in words:
        if word.text == "(":
            waiting.append(word)
        elif word.text == ")" and waiting:
            pairs.append((waiting.pop(), word))
    return pairs
