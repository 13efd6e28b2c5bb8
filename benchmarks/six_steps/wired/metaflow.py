"""Metaflow: one step after the other; whoever runs it says from where it has to be done again."""

from pathlib import Path

from metaflow import FlowSpec, step
from steps.clean import clean
from steps.evaluate import evaluate
from steps.features import features
from steps.files import reference
from steps.load import load
from steps.package import package
from steps.train import train

OUT = "out"


class Six(FlowSpec):
    @step
    def start(self):
        self.next(self.load)

    @step
    def load(self):
        self.loaded = load(reference(Path("raw.parquet")), OUT)
        self.next(self.clean)

    @step
    def clean(self):
        self.cleaned = clean(self.loaded, OUT)
        self.next(self.features)

    @step
    def features(self):
        self.prepared = features(self.cleaned, OUT)
        self.next(self.train)

    @step
    def train(self):
        self.trained = train(self.prepared, OUT, float(Path("ridge.txt").read_text()))
        self.next(self.evaluate)

    @step
    def evaluate(self):
        self.score = evaluate(self.trained, self.prepared, OUT)
        self.next(self.package)

    @step
    def package(self):
        package(self.trained, self.score, OUT)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Six()
