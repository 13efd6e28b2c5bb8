"""Run an asset's function in a fresh process, before and after an edit, and print what it gives.

`python execute.py ASSET FOLDER FOLDER`: one JSON list a folder.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys

INPUTS = (0, 1, -3, 7.5)


def results(folder: str, asset: str) -> list[str]:
    sys.path[:0] = [f"{folder}/project", f"{folder}/site", f"{folder}/path"]
    sys.dont_write_bytecode = True
    os.chdir(f"{folder}/project")
    function = getattr(importlib.import_module("pipeline"), asset)
    found = []
    for value in INPUTS:
        try:
            result = function(value)
            found.append(repr(asyncio.run(result) if inspect.iscoroutine(result) else result))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def main() -> None:
    import filiera.authoring  # noqa: F401  loaded once, before the children are forked

    asset, *folders = sys.argv[1:]
    for folder in folders:
        child = os.fork()
        if child == 0:
            print(json.dumps(results(folder, asset)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print(json.dumps(["failed"]), flush=True)


if __name__ == "__main__":
    main()
