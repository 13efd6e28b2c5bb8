"""What a follow refuses: what would compute new rows in another way than the released ones."""

from __future__ import annotations

from typing import Any

from filiera.core.asset import Code, Graph, Table
from filiera.dimensions.follow import differences


def told(record: dict[str, Any], **manifest: Any) -> list[str]:
    code = Code(module="pipeline", name="features", digest="d", manifest=manifest)
    table = Table(name="features", inputs=(), settings={}, partition=None, lookback_us=0, key=None, code=code)
    runtime = {"python": "3.12", "platform": "Linux x86_64"}
    graph = Graph(sources=(), tables=(table,), models=(), runtime="r", runtime_manifest=runtime)
    return list(differences(record, table, graph))


def record(python: str = "3.12", **code: Any) -> dict[str, Any]:
    return {"code": code, "interpreter": {"python": python, "platform": "Linux x86_64"}}


def test_the_same_surroundings_are_no_difference() -> None:
    libraries, values = {"pandas": "2.2"}, {"REGION": "abc"}
    then = record(libraries=libraries, declared_variables=values)
    assert told(then, libraries=libraries, declared_variables=values) == []


def test_another_library_interpreter_or_value_is_told() -> None:
    then = record("3.11", libraries={"pandas": "2.2"}, declared_variables={"REGION": "abc"})
    assert told(then, libraries={"pandas": "2.3"}, declared_variables={"REGION": "xyz"}) == [
        "variable REGION has another value",
        "python is 3.12, another",
        "pandas is 2.3, another",
    ]
