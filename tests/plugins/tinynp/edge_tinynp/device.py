"""tinynp in the Python runner."""

from edge_runner import Engine


class TinyNp(Engine):
    """Multilayer perceptrons in numpy, on one thread."""

    name = "tinynp"

    def __init__(self):
        import numpy

        self.np = numpy

    def configure(self, job):
        self.model = job["files"]["model"]
        return str(self.np.__version__), {"arithmetic": "float32"}

    def load(self):
        with self.np.load(self.model, allow_pickle=False) as stored:
            self.input = str(stored["name"])
            count = len([name for name in stored.files if name.startswith("w")])
            self.layers = [(stored[f"w{n}"], stored[f"b{n}"]) for n in range(count)]
        return [self.input]

    def bind(self, inputs):
        self.given = inputs[self.input]
        if self.given.ndim != 2 or self.given.shape[1] != len(self.layers[0][0]):
            raise ValueError(f"the input is of shape {self.given.shape}")
        self.run = self.infer

    def infer(self):
        value = self.given
        for weights, biases in self.layers:
            value = self.np.maximum(value @ weights + biases, 0)
        self.result = value

    def fetch(self):
        return [("y", self.result)]


ENGINE = TinyNp
