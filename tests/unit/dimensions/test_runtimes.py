"""Which libraries a result needs, and what of them another interpreter has."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from filiera.dimensions.runtimes import differences, wanted_runtime
from filiera.errors import ConflictError, NotFoundError

HERE = f"{platform.system()} {platform.machine()}"


def manifest(**libraries: str) -> dict[str, Any]:
    return {
        "code": {"libraries": {"filiera authoring": "1", **libraries}},
        "settings": {"predicts": "load"},
        "interpreter": {"python": "3.11", "platform": HERE},
    }


def runtime(**versions: str) -> dict[str, Any]:
    names = {"sklearn": "scikit-learn"}
    return {
        "python": "3.11",
        "platform": HERE,
        "libraries": versions,
        "distributions": {names.get(top, top): version for top, version in versions.items()},
        "providers": {top: names.get(top, top) for top in versions},
    }


FULL = {"numpy": "2.0", "sklearn": "1.6", "skops": "0.12", "pandas": "2.2", "pytest": "8"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"pytest": "9"}, []),  # the code does not reach it
        ({"pandas": "2.3"}, ["pandas 2.2 -> 2.3"]),
        ({"skops": "0.13"}, ["skops 0.12 -> 0.13"]),  # writes the package
        ({"sklearn": "1.7"}, ["scikit-learn 1.6 -> 1.7", "sklearn 1.6 -> 1.7"]),
    ],
)
def test_only_what_the_code_reaches_or_the_package_needs_counts(change: dict[str, str], told: list[str]) -> None:
    known = manifest(pandas="2.2", sklearn="1.6")
    assert differences(known, runtime(**FULL), runtime(**FULL | change)) == told


def test_another_python_counts() -> None:
    known = manifest(pandas="2.2")
    present = runtime(**FULL) | {"python": "3.12"}
    assert differences(known, runtime(**FULL), present) == ["python 3.11 -> 3.12"]


def test_a_runtime_is_made_of_what_the_code_reaches_and_of_what_filiera_needs() -> None:
    wanted = wanted_runtime(manifest(pandas="2.2"), runtime(**FULL))
    assert wanted.slice == {"pandas": "2.2", "numpy": "2.0", "scikit-learn": "1.6", "skops": "0.12"}
    assert wanted.all == {"pandas": "2.2", "numpy": "2.0", "scikit-learn": "1.6", "skops": "0.12", "pytest": "8"}
    other = wanted_runtime(manifest(pandas="2.2"), runtime(**FULL | {"pandas": "2.2", "pytest": "9"}))
    assert other.digest != wanted.digest


def test_a_runtime_has_the_parser_of_queries_where_the_recorded_one_had_it() -> None:
    assert wanted_runtime(manifest(pandas="2.2"), runtime(**FULL | {"sqlglot": "30.1"})).slice["sqlglot"] == "30.1"


def test_a_library_from_a_folder_or_another_platform_cannot_be_made_again() -> None:
    known = runtime(**FULL)
    known["libraries"]["own"] = known["distributions"]["own"] = "1.0"
    known["providers"]["own"] = "own"
    with pytest.raises(NotFoundError, match="own cannot be installed again"):
        wanted_runtime(manifest(own="1.0+abc"), known)
    with pytest.raises(NotFoundError, match="unknown"):
        wanted_runtime(manifest(other="unknown"), known)
    with pytest.raises(ConflictError, match="another platform"):
        wanted_runtime(manifest(pandas="2.2"), known | {"platform": "Plan9 sparc"})
