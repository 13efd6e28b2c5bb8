"""filiera: the file is a source (its ingest is the step "load"), every other step is a table."""

import numpy as np
import pyarrow as pa
from steps import maths

import filiera as fl


def matrix(rows: pa.Table) -> maths.Matrix:
    return np.column_stack([column.to_numpy() for column in rows.drop_columns("row").columns])


@fl.table
def clean(raw: pa.Table) -> pa.Table:
    return raw.filter(pa.array(maths.inliers(matrix(raw))))


@fl.table
def features(clean: pa.Table) -> pa.Table:
    scale = 1.0
    found = maths.standardised(matrix(clean), scale)
    names = clean.drop_columns("row").column_names
    return pa.table({"row": clean.column("row")} | {name: found[:, i] for i, name in enumerate(names)})


@fl.table(key=["column"])
def train(features: pa.Table, *, ridge=1.0) -> pa.Table:
    found = maths.weights(matrix(features), ridge)
    return pa.table({"column": np.arange(len(found)), "weight": found})


@fl.table(key=["score"])
def evaluate(features: pa.Table, train: pa.Table) -> pa.Table:
    return pa.table({"score": ["mse"], "value": [maths.mean_squared_error(matrix(features), weights(train))]})


@fl.table(key=["name"])
def package(train: pa.Table, evaluate: pa.Table) -> pa.Table:
    content = maths.packed(weights(train), evaluate.column("value")[0].as_py())
    return pa.table({"name": ["package.zip"], "content": [content.hex()]})


def weights(train: pa.Table) -> maths.Matrix:
    return train.column("weight").to_numpy()
