"""Does every seed learn what the reference learns? Trains both, 500 iterations, for ten seeds.

usage: python bench/parity.py [DATA] [--seeds 10] [--iterations 500]

Also answers what longer training gives: 1,000 iterations at a learning rate of 0.5.
"""

import argparse
import statistics

import numpy as np

import fastdigit as fd
from fastdigit.data import default_data


def train(train_set, dev, seed, dtype, backend, iterations, learning_rate):
    sizes = [train_set.images.shape[1], 10, 10]
    network = fd.Network(sizes, dtype=dtype, seed=seed, init="uniform")
    history = fd.fit(
        network,
        train_set,
        validation=dev,
        iterations=iterations,
        learning_rate=learning_rate,
        backend=backend,
        progress=False,
        every=iterations,
    )
    return network, history


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=500)
    options = parser.parse_args()
    data = fd.load_data(options.data) if options.data else default_data()
    train_set, dev = data.head(42_000).split(dev=1000, seed=0)
    print(f"{len(train_set):,} images, {options.iterations} iterations at 0.1, init uniform")
    print("seed  training %  held-out %  curves differ in  weights differ by (float64, float32)")
    reached = []
    for seed in range(options.seeds):
        run = (train_set, dev, seed)
        truth, expected = train(*run, "float64", "numpy", options.iterations, 0.1)
        fused, history = train(*run, "float64", "numba", options.iterations, 0.1)
        single, _ = train(*run, "float32", "numba", options.iterations, 0.1)
        accuracy = fused.accuracy(train_set.images, train_set.labels)
        reached.append(accuracy)
        curves = np.flatnonzero(np.array(history.accuracy) != np.array(expected.accuracy))
        apart = [np.abs(net.parameters - truth.parameters).max() for net in (fused, single)]
        print(
            f"{seed:4}  {accuracy:10.2%}  {history.validation[-1].accuracy:10.2%}"
            f"  {len(curves):4} iterations   {apart[0]:.1e}, {apart[1]:.1e}",
            flush=True,
        )
    print(f"mean {statistics.mean(reached):.2%}, from {min(reached):.2%} to {max(reached):.2%}")
    longer, history = train(train_set, dev, 0, "float32", "numba", 1000, 0.5)
    accuracy = longer.accuracy(train_set.images, train_set.labels)
    print(
        f"1,000 iterations at 0.5, seed 0: {accuracy:.2%} of the training images, "
        f"{history.validation[-1].accuracy:.2%} of those held out"
    )


if __name__ == "__main__":
    main()
