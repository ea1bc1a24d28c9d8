"""JAX with batches: a whole epoch in one compiled loop."""

import os
import time
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fastdigit.measure.batches import MOMENTUM, Loop, Task
from fastdigit.measure.peers.batch_work import Array, pixels, targets
from fastdigit.network import Network


class Scan(Loop):
    """`lax.scan` over the batches; gradients as JAX derives them, weights changed in place."""

    backend = "jax"

    def __init__(self, task: Task, dtype: str) -> None:
        # XLA's own variable; read when its first thread starts.
        os.environ["PJRT_NPROC"] = str(task.threads)
        import jax

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", dtype == "float64")
        self._jax = jax
        super().__init__(task, dtype)

    def prepare(self) -> None:
        """Put everything where JAX computes, and compile for both sizes of a batch."""
        # Targets, not labels: the gradient of taking one entry a row is a scatter.
        data = pixels(self.task, self.dtype), targets(self.task, self.dtype)
        self._data = self._put(data)
        self._run = self._jax.jit(self._scan, donate_argnums=0)
        started = time.perf_counter()
        self.load(Network(self.task.sizes, self.dtype))
        self.advance(np.arange(len(self.task.labels)), self.task.rates[: self.task.steps])
        self.compile_seconds = time.perf_counter() - started

    @property
    def _put(self) -> Any:
        # Always a copy, which JAX may overwrite; device_put may share NumPy's memory.
        return partial(self._jax.tree.map, self._jax.numpy.array)

    def load(self, network: Network) -> None:
        """Copy the weights; the velocities become 0."""
        weights = [self._stored(W) for W in network.weights]
        layers = list(zip(weights, network.biases, strict=True))
        self._state = self._put((layers, [tuple(map(np.zeros_like, layer)) for layer in layers]))
        self._jax.block_until_ready(self._state)

    def _stored(self, W: Array) -> Array:
        """Return weights (outputs, inputs) as they are stored, or the other way round."""
        return W

    def _product(self, A: Any, W: Any) -> Any:
        """Return what a layer makes of its inputs, before the bias."""
        return A @ W.T

    def _loss(self, layers: Any, X: Any, Y: Any) -> Any:
        *hidden, (W, b) = layers
        A = X
        for hidden_W, hidden_b in hidden:
            A = self._jax.nn.relu(self._product(A, hidden_W) + hidden_b)
        Z = self._product(A, W) + b
        return (self._jax.nn.logsumexp(Z, axis=1) - (Y * Z).sum(axis=1)).mean()

    def _scan(self, state: Any, X: Any, Y: Any, batches: Any, rates: Any) -> Any:
        tree = self._jax.tree

        def step(state: Any, now: Any) -> Any:
            layers, velocity = state
            batch, rate = now
            taken = [part.at[batch].get(mode="promise_in_bounds") for part in (X, Y)]
            gradients = self._jax.grad(self._loss)(layers, *taken)
            velocity = tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradients)
            way = velocity
            if self.task.nesterov:
                way = tree.map(lambda v, g: g + MOMENTUM * v, velocity, gradients)
            return (tree.map(lambda a, w: a - rate * w, layers, way), velocity), None

        return self._jax.lax.scan(step, state, (batches, rates))[0]

    def advance(self, order: npt.NDArray[np.int64], rates: npt.NDArray[np.float64]) -> None:
        """Call the loop, once more for a shorter last batch, then wait."""
        size = self.task.batch_size
        order, rates = order.astype(np.int32), rates.astype(self.dtype)
        full, rest = divmod(len(order), size)
        if full:
            batches = order[: full * size].reshape(full, size)
            self._state = self._run(self._state, *self._data, batches, rates[:full])
        if rest:
            self._state = self._run(self._state, *self._data, order[None, -rest:], rates[full:])
        self._jax.block_until_ready(self._state)

    def parameters(self) -> Array:
        """Return the weights and biases."""
        layers, _ = self._state
        pairs = [(self._stored(np.asarray(W)), np.asarray(b)) for W, b in layers]
        return np.concatenate([part.ravel() for pair in pairs for part in pair])


class Columns(Scan):
    """The same with weights as (inputs, outputs)."""

    def _stored(self, W: Array) -> Array:
        return W.T

    def _product(self, A: Any, W: Any) -> Any:
        return A @ W
