"""A small experiment and watchers for the tests of the lab."""

from tinygrad_bn import nn, random
from tinygrad_bn.lab.experiment import Experiment
from tinygrad_bn.lab.figures import band, finish
from tinygrad_bn.lab.networks import perceptron
from tinygrad_bn.lab.runner import Watcher
from tinygrad_bn.lab.statistics import Claim, Number
from tinygrad_bn.lab.training import Training, evaluate


class Tiny(Experiment):
    """Two small networks with dropout: their state includes a random stream."""

    name = "tiny"
    title = "Is it small?"
    question = "How small <is> it?"
    method = ("It takes {steps} steps.", "It is small.", "That is all.")
    source = "Nobody & sons"
    says = "It is small."
    full = {"steps": 40, "hidden": [8], "batch_size": 20}  # noqa: RUF012
    quick = {"steps": 12}  # noqa: RUF012

    def variants(self, settings):
        return ["plain", "batch norm"]

    def measure(self, cell):
        random.manual_seed(cell.seed)
        norm = None if cell.variant == "plain" else nn.BatchNorm
        network = perceptron(784, cell["hidden"], 10, norm=norm, dropout=0.3)
        training = Training(
            cell, network, cell.digits.train, rate=0.1, batch_size=cell["batch_size"]
        )
        test = cell.digits.evaluation("test", 100)
        at = range(0, cell["steps"] + 1, 4)
        records = training.run(cell["steps"], at, lambda: evaluate(network, test))
        return {key: [r[key] for r in records] for key in records[0]}

    def numbers(self, results):
        ends = [a[-1] for a in results.each("plain", "accuracy")]
        return [Number("accuracy | plain", ends, ".1%", "a note")]

    def claims(self, results):
        margins = [b[-1] - a[-1] for a, b in results.pairs("plain", "batch norm", "accuracy")]
        return [Claim("It is <better>.", margins), Claim("It is there.", [1.0])]

    def draw(self, figure, results):
        axes = figure.subplots()
        for variant in results.cells:
            values = results.of(variant)
            band(axes, values[0]["step"], [v["accuracy"] for v in values], variant, "#d1662a")
        finish(axes, "steps", "accuracy")


class StopAfter(Watcher):
    """Asks for a stop after so many steps, and notes what it is told."""

    def __init__(self, steps=None):
        self.left = steps
        self.told = []

    def begin(self, experiment, total, finished):
        self.told.append(("begin", experiment.name, total, finished))

    def working(self, variant, seed, fraction):
        assert 0 < fraction <= 1
        if self.left is not None:
            self.left -= 1

    def finished(self, variant, seed, seconds):
        self.told.append(("finished", variant, seed))

    def stop(self):
        return self.left is not None and self.left <= 0
