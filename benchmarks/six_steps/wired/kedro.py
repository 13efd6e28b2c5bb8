"""Kedro: nodes over a catalogue of references; whoever runs it says from where it has to be done again."""

from pathlib import Path

from kedro.pipeline import Pipeline, node
from steps import clean as c
from steps import evaluate as e
from steps import features as f
from steps import load as lo
from steps import package as p
from steps import train as t
from steps.files import reference

OUT = "out"


def load():
    return lo.load(reference(Path("raw.parquet")), OUT)


def clean(loaded):
    return c.clean(loaded, OUT)


def features(cleaned):
    return f.features(cleaned, OUT)


def train(prepared, ridge):
    return t.train(prepared, OUT, ridge)


def evaluate(trained, prepared):
    return e.evaluate(trained, prepared, OUT)


def package(trained, score):
    return p.package(trained, score, OUT)


def register_pipelines():
    nodes = [
        node(load, None, "r_load", name="load"),
        node(clean, "r_load", "r_clean", name="clean"),
        node(features, "r_clean", "r_features", name="features"),
        node(train, ["r_features", "params:ridge"], "r_train", name="train"),
        node(evaluate, ["r_train", "r_features"], "r_evaluate", name="evaluate"),
        node(package, ["r_train", "r_evaluate"], "r_package", name="package"),
    ]
    return {"__default__": Pipeline(nodes)}
