"""The notebook's whole run as a script, as one gets it by exporting its cells.

usage: python bench/notebook_script.py TRAIN.CSV [ITERATIONS]

Reads the table with pandas, shuffles it, holds 1,000 rows out, trains in float64 and prints the
accuracy every 10 iterations. Only the seeds are added, so that it has the rows and first weights
of `fastdigit train`, and the clocks.
"""

import sys
import time

import numpy as np
import pandas as pd

from fastdigit.cli.timing import since_process_start
from fastdigit.measure.baseline import Parameters, accuracy, backward, forward, update

path = sys.argv[1]
iterations = int(sys.argv[2]) if len(sys.argv) > 2 else 500
start_seconds = since_process_start()
started = time.perf_counter()

data = np.array(pd.read_csv(path))
loaded = time.perf_counter()

m, n = data.shape
np.random.seed(0)
np.random.shuffle(data)
data_dev = data[0:1000].T
Y_dev = data_dev[0]
X_dev = data_dev[1:n] / 255.0
data_train = data[1000:m].T
Y_train = data_train[0]
X_train = data_train[1:n] / 255.0
np.random.seed(0)
W1 = np.random.rand(10, n - 1) - 0.5
b1 = np.random.rand(10, 1) - 0.5
W2 = np.random.rand(10, 10) - 0.5
b2 = np.random.rand(10, 1) - 0.5
parameters = Parameters(W1, b1, W2, b2)
prepared = time.perf_counter()

for i in range(iterations):
    activations = forward(parameters, X_train)
    gradients = backward(activations, parameters.W2, X_train, Y_train)
    parameters = update(parameters, gradients, 0.1)
    if i % 10 == 0:
        print("Iteration: ", i, accuracy(activations.A2, Y_train))
trained = time.perf_counter()

print(f"training accuracy {accuracy(forward(parameters, X_train).A2, Y_train):.2%}")
print(f"held-out accuracy {accuracy(forward(parameters, X_dev).A2, Y_dev):.2%}")
parts = {
    "start": start_seconds,
    "load": loaded - started,
    "prepare": prepared - loaded,
    "train": trained - prepared,
}
print("time: " + ", ".join(f"{name} {seconds:.3f} s" for name, seconds in parts.items()))
