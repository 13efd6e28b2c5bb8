import numpy as np
import pyarrow.parquet as pq

from steps.files import command, kept, path_of


def load(raw: str, out: str) -> str:
    table = pq.read_table(path_of(raw), use_threads=False).drop_columns("row")
    return kept(out, "load.npy", np.column_stack([column.to_numpy() for column in table.columns]))


if __name__ == "__main__":
    command(load)
