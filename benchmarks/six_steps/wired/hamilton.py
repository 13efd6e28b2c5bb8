"""Hamilton: the functions are the nodes; its cache compares the code and the arguments of each."""

from pathlib import Path

from hamilton import driver
from steps import clean, evaluate, features, load, package, train
from steps.files import reference

nodes = driver.Builder().with_modules(load, clean, features, train, evaluate, package).with_cache(path=".cache").build()
given = {"raw": reference(Path("raw.parquet")), "out": "out", "ridge": float(Path("ridge.txt").read_text())}
nodes.execute(["package"], inputs=given)
