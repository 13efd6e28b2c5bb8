"""The code dimension: does the digest change exactly when it should?

The edits are those of the design's table: eighteen that must change the digest and eight that must not, and more
constructs besides.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from filiera.dimensions.closure import Closure, Closures, explain
from filiera.dimensions.libraries import required
from filiera.dimensions.project import Project
from filiera.dimensions.shape import normalised_digest
from filiera.errors import CodeError

PIPELINE = '''
"""Doc of the module."""
import filiera as fl
import numpy as np
from helpers import scale, LIMIT
import helpers as h
import pkg.tools
from zoo import MODELS

RATE = 0.1
CFG = {"a": 1}
CFG["b"] = 2
double = lambda x: x * 2


def make(factor):
    def inner(x):
        return x * factor
    return inner


triple = make(3)


def used(x, n=5):
    """Doc."""
    return scale(x) + RATE + n


def unused(x):
    return x - 1


OTHER = 7


class Base:
    def fit(self, x):
        return x


@fl.table(partition="month")
def features(scada, *, window=3):
    """The features."""
    from late import later
    value = used(scada) + CFG["b"] + double(1) + triple(1) + LIMIT
    value += h.shift(scada) + pkg.tools.trim(scada) + later(scada) + Base().fit(1)
    return np.array(value) + MODELS["a"]
'''
FILES = {
    "pipeline.py": PIPELINE,
    "helpers.py": "import setup_effects\nLIMIT = 10\nTABLE = [1]\n\ndef scale(x):\n    return deep(x) * 2\n\n"
    "def deep(x):\n    return x\n\ndef shift(x):\n    return x + 1\n\ndef idle(x):\n    return 0\n",
    "setup_effects.py": "import warnings\nwarnings.simplefilter('ignore')\n",
    "pkg/__init__.py": "",
    "pkg/tools.py": "def trim(x):\n    return x\n\ndef other():\n    return 1\n",
    "late.py": "def later(x):\n    return x\n",
    "zoo.py": "import registry\nfrom registry import MODELS\nimport members\n",
    "registry.py": "MODELS = {}\n\ndef register(f):\n    MODELS[f.__name__] = f\n    return f\n",
    "members.py": "from registry import register\n\n@register\ndef a():\n    return 1\n",
}
LIBRARIES = {"numpy": "2.0.2", "pandas": "2.2.0"}

SAME = {
    "comment": ("pipeline.py", "RATE = 0.1", "RATE = 0.1  # tuned"),
    "docstring": ("pipeline.py", '"""Doc."""', '"""Another doc."""'),
    "module docstring": ("pipeline.py", '"""Doc of the module."""', '"""Changed."""'),
    "format": ("pipeline.py", "return scale(x) + RATE + n", "return (scale(x)\n            + RATE + n)"),
    "blank lines": ("pipeline.py", "def unused(x):", "\n\n\n\ndef unused(x):"),
    "unused function": ("pipeline.py", "return x - 1", "return x - 2"),
    "unused constant": ("pipeline.py", "OTHER = 7", "OTHER = 8"),
    "unused function elsewhere": ("helpers.py", "return 0", "return 1"),
    "unused function of a package": ("pkg/tools.py", "return 1", "return 2"),
    "partition, which is a setting": ("pipeline.py", 'partition="month"', 'partition="day"'),
    "default of a setting": ("pipeline.py", "window=3", "window=4"),
    "main guard": ("helpers.py", "LIMIT = 10", "LIMIT = 10\nif __name__ == '__main__':\n    print(1)"),
}
CHANGED = {
    "body": ("pipeline.py", "value = used(scada)", "value = 2 * used(scada)"),
    "helper in the module": ("pipeline.py", "return scale(x) + RATE", "return scale(x) - RATE"),
    "helper elsewhere": ("helpers.py", "return deep(x) * 2", "return deep(x) * 3"),
    "helper of a helper": ("helpers.py", "def deep(x):\n    return x", "def deep(x):\n    return x + 1"),
    "through a module attribute": ("helpers.py", "return x + 1", "return x + 2"),
    "through a package attribute": ("pkg/tools.py", "def trim(x):\n    return x", "def trim(x):\n    return -x"),
    "import inside the function": ("late.py", "return x", "return x * 2"),
    "global": ("pipeline.py", "RATE = 0.1", "RATE = 0.2"),
    "imported constant": ("helpers.py", "LIMIT = 10", "LIMIT = 11"),
    "default argument of a helper": ("pipeline.py", "n=5", "n=6"),
    "item assignment": ("pipeline.py", 'CFG["b"] = 2', 'CFG["b"] = 3'),
    "lambda": ("pipeline.py", "x * 2\n", "x * 4\n"),
    "factory closure": ("pipeline.py", "make(3)", "make(4)"),
    "factory body": ("pipeline.py", "return x * factor", "return x + factor"),
    "method": ("pipeline.py", "def fit(self, x):\n        return x", "def fit(self, x):\n        return -x"),
    "import side effect": ("setup_effects.py", "'ignore'", "'error'"),
    "registration by decorator": ("members.py", "def a():\n    return 1", "def a():\n    return 2"),
    "decorator body": ("registry.py", "MODELS[f.__name__] = f", "MODELS[f.__name__.upper()] = f"),
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def closure(root: Path, libraries: dict[str, str] | None = None) -> Closure:
    return Closures(Project(root, LIBRARIES if libraries is None else libraries)).of("pipeline", "features")


def edited(root: Path, edit: tuple[str, str, str]) -> Closure:
    name, old, new = edit
    assert FILES[name].count(old) >= 1, "the edit must apply"
    return closure(write(root, {**FILES, name: FILES[name].replace(old, new, 1)}))


@pytest.mark.parametrize("edit", SAME.values(), ids=list(SAME))
def test_an_edit_that_means_nothing_keeps_the_digest(tmp_path: Path, edit: tuple[str, str, str]) -> None:
    before = closure(write(tmp_path / "a", FILES))
    assert edited(tmp_path / "b", edit).digest == before.digest


@pytest.mark.parametrize("edit", CHANGED.values(), ids=list(CHANGED))
def test_an_edit_that_is_reached_changes_the_digest(tmp_path: Path, edit: tuple[str, str, str]) -> None:
    before = closure(write(tmp_path / "a", FILES))
    assert edited(tmp_path / "b", edit).digest != before.digest


def test_a_library_version_changes_the_digest_and_is_told(tmp_path: Path) -> None:
    root = write(tmp_path, FILES)
    before, after = closure(root), closure(root, {**LIBRARIES, "numpy": "2.1.0"})
    assert before.digest != after.digest
    assert explain(before.manifest(), after.manifest()) == ["numpy 2.0.2 -> 2.1.0"]


def test_a_library_that_is_not_reached_does_not_count(tmp_path: Path) -> None:
    root = write(tmp_path, FILES)
    assert closure(root).digest == closure(root, {**LIBRARIES, "pandas": "3.0.0"}).digest


def test_a_parameter_hides_the_module_name_it_shares(tmp_path: Path) -> None:
    text = "def features(x):\n    return {0}\n\ndef losses(features):\n    return features + 1\n"
    first = Closures(Project(write(tmp_path / "a", {"pipeline.py": text.format(1)}), {})).of("pipeline", "losses")
    second = Closures(Project(write(tmp_path / "b", {"pipeline.py": text.format(2)}), {})).of("pipeline", "losses")
    assert first.digest == second.digest


def test_computed_attribute_names_make_every_reached_module_count_whole(tmp_path: Path) -> None:
    dynamic = {**FILES, "late.py": "import helpers\n\ndef later(x):\n    return getattr(helpers, str(x))(x)\n"}
    before = closure(write(tmp_path / "a", dynamic))
    changed = {**dynamic, "helpers.py": FILES["helpers.py"].replace("return 0", "return 1")}
    after = closure(write(tmp_path / "b", changed))
    assert "whole:helpers" in before.flags
    assert before.digest != after.digest


def test_a_base_class_elsewhere_is_reached(tmp_path: Path) -> None:
    files = {
        "pipeline.py": "from bases import Base\n\nclass Mine(Base):\n    pass\n\ndef features(x):\n    return Mine()\n",
        "bases.py": "class Base:\n    size = 1\n",
    }
    first = closure(write(tmp_path / "a", files))
    second = closure(write(tmp_path / "b", {**files, "bases.py": "class Base:\n    size = 2\n"}))
    assert first.digest != second.digest


def test_a_compiled_extension_counts_by_its_bytes(tmp_path: Path) -> None:
    files = {"pipeline.py": "import fast\n\ndef features(x):\n    return fast.go(x)\n", "fast.so": "one"}
    first = closure(write(tmp_path / "a", files))
    second = closure(write(tmp_path / "b", {**files, "fast.so": "two"}))
    assert first.digest != second.digest


def test_reprinting_the_whole_project_keeps_the_digest(tmp_path: Path) -> None:
    reprinted = {name: ast.unparse(ast.parse(text)) for name, text in FILES.items()}
    first, second = write(tmp_path / "a", FILES), write(tmp_path / "b", reprinted)
    assert closure(first).digest == closure(second).digest
    assert normalised_digest(first) == normalised_digest(second)


def test_hash_seeds_of_python_do_not_matter(tmp_path: Path) -> None:
    root = write(tmp_path, FILES)
    program = (
        "import sys; from pathlib import Path; from filiera.dimensions.closure import Closures;"
        "from filiera.dimensions.project import Project;"
        f"print(Closures(Project(Path(sys.argv[1]), {LIBRARIES!r})).of('pipeline', 'features').digest)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program, str(root)],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert found == {closure(root).digest + "\n"}


def test_a_difference_is_told_by_the_function_that_changed(tmp_path: Path) -> None:
    before = closure(write(tmp_path / "a", FILES))
    after = edited(tmp_path / "b", CHANGED["helper of a helper"])
    assert explain(before.manifest(), after.manifest()) == ["helpers.deep changed"]


def test_a_file_that_is_no_python_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, {**FILES, "late.py": "def later(x:\n    return x\n"})
    with pytest.raises(CodeError) as caught:
        closure(tmp_path)
    assert caught.value.code == "code.syntax_error"
    assert caught.value.where.startswith("late.py:1")


def test_a_class_body_that_sets_a_name_reads_the_modules_before(tmp_path: Path) -> None:
    text = """
import filiera as fl
RATE = {}
class Config:
    RATE = RATE
@fl.table
def features(scada):
    return scada * Config.RATE
"""
    one, other = (
        Closures(Project(write(tmp_path / str(n), {"pipeline.py": text.format(n)}), {})).of("pipeline", "features")
        for n in (2, 3)
    )
    assert one.digest != other.digest
    assert explain(one.manifest(), other.manifest()) == ["pipeline.RATE changed"]


def test_a_decorator_of_the_project_is_not_filieras_own_because_of_its_name(tmp_path: Path) -> None:
    pipeline = "import deco\nimport filiera as fl\n@fl.table\n@deco.table({})\ndef features(scada):\n    return scada\n"
    deco = "def table(n):\n    return lambda f: (lambda scada: f(scada) + n)\n"
    one, other = (
        Closures(Project(write(tmp_path / str(n), {"pipeline.py": pipeline.format(n), "deco.py": deco}), {})).of(
            "pipeline", "features"
        )
        for n in (5, 6)
    )
    assert one.digest != other.digest
    assert "deco.table" in one.units


def test_frames_and_requirements_belong_to_the_libraries(tmp_path: Path) -> None:
    root = write(tmp_path, {"pipeline.py": "import filiera as fl\n@fl.table\ndef features(scada):\n    return scada\n"})
    versions = {"pandas": "3.0", "numpy": "2.0", "polars": "1.0"}
    found = Closures(Project(root, versions, {"pandas": ("numpy",)})).of("pipeline", "features", ["pandas"])
    assert found.libraries == {"pandas": "3.0", "numpy": "2.0"}


def test_what_is_required_here_is_found_by_module_name() -> None:
    needs = required()
    assert {"numpy", "scipy"} <= set(needs["sklearn"])
    assert "pytest" not in needs["pandas"], "extras are left out"
