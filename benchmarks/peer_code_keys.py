"""The peers of `bench_code_keys`, by their own code: `python peer_code_keys.py TOOL FOLDER...`.

Prints for each folder whether the tool would run the step again after the edit from `FOLDER/a` to `FOLDER/b`. Each of
the two is imported in a process of its own, as two runs of a program would.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any


def joblib_runs(function: Any, cache: str) -> str:
    """Whether a call through `joblib.Memory` runs the function."""
    import joblib

    cached = joblib.Memory(cache, verbose=0).cache(function)
    ran: list[bool] = []
    sys.setprofile(lambda frame, *_: ran.append(True) if frame.f_code is function.__code__ else None)
    cached(0)
    sys.setprofile(None)
    return str(bool(ran))


def redun_hash(function: Any, _cache: str) -> str:
    import redun

    return str(redun.task(name="features", namespace="bench")(function).hash)


def hamilton_hash(function: Any, _cache: str) -> str:
    from hamilton.graph_types import hash_source_code

    return str(hash_source_code(function, strip=True))


def dvc_hash(function: Any, _cache: str) -> str:
    """Of the step's file, as a dependency of a stage."""
    from dvc_data.hashfile.hash import file_md5
    from dvc_objects.fs.local import LocalFileSystem

    return str(file_md5(function.__code__.co_filename, LocalFileSystem()))


MODULES = {"joblib": "joblib", "redun": "redun", "hamilton": "hamilton.graph_types", "dvc": "dvc_data.hashfile.hash"}
TOOLS = {"joblib": joblib_runs, "redun": redun_hash, "hamilton": hamilton_hash, "dvc": dvc_hash}


def ask(tool: str, folder: str, cache: str) -> str:
    """A tool's answer about one folder, from a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        sys.path[:0] = [f"{folder}/project", f"{folder}/site"]
        sys.dont_write_bytecode = True
        answer = TOOLS[tool](importlib.import_module("pipeline").features, cache)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    assert status == 0, f"{tool} failed on {folder}"
    return answer


def main() -> None:
    tool, *folders = sys.argv[1:]
    sys.path.append(str(Path(__file__).resolve().parent.parent / "src"))  # the edits import filiera's decorators
    importlib.import_module(MODULES[tool])  # once, before the children are forked
    for folder in folders:
        one, other = (ask(tool, f"{folder}/{name}", f"{folder}/cache") for name in ("a", "b"))
        assert tool != "joblib" or one == "True", "the first call must run"
        print("runs" if (other == "True" if tool == "joblib" else one != other) else "keeps", flush=True)


if __name__ == "__main__":
    main()
