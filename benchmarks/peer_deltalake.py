"""The same race on a Delta table, with `deltalake`: peer_deltalake.py FOLDER SECONDS prints one JSON object.

Runs in the interpreter of the peers. deltalake retries a lost commit by itself; an error that still comes out is
tried again here, and counted. It compares no keys and encrypts nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import deltalake
import pyarrow as pa
from deltalake.exceptions import CommitFailedError

from race import batch, compare, race


class DeltaAppender:
    """A writer of the Delta table in `folder`."""

    def __init__(self, folder: Path, writer: int) -> None:
        self.path, self.writer = str(folder), writer

    def ready(self, rows: pa.Table, number: int) -> pa.Table:  # noqa: ARG002
        """The rows as they are."""
        return rows

    def append(self, made: pa.Table) -> int:
        """Append until the commit goes through."""
        retries = 0
        while True:
            try:
                deltalake.write_deltalake(self.path, made, mode="append")
                return retries
            except CommitFailedError:
                retries += 1


def main(folder: str, seconds: float) -> None:
    deltalake.write_deltalake(folder, batch(0, 0).slice(0, 0))
    ended = race(DeltaAppender, Path(folder), seconds=seconds)
    found = deltalake.DeltaTable(folder).to_pyarrow_table()
    facts = {"version": deltalake.__version__} | ended.figures() | compare(found, ended.commits)
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
