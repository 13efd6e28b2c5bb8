"""No tool: one function after the other, every result in a file."""

from pathlib import Path

from steps.clean import clean
from steps.evaluate import evaluate
from steps.features import features
from steps.files import reference
from steps.load import load
from steps.package import package
from steps.train import train

OUT, RIDGE = "out", float(Path("ridge.txt").read_text())

loaded = load(reference(Path("raw.parquet")), OUT)
prepared = features(clean(loaded, OUT), OUT)
trained = train(prepared, OUT, RIDGE)
package(trained, evaluate(trained, prepared, OUT), OUT)
