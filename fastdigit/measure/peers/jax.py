"""JAX: the loss as it is written, differentiated and compiled."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastdigit.measure.contenders import Task
from fastdigit.measure.peers.work import Array, Work, one_hot, scaled


class Steps(Work):
    """One compiled step an iteration; the weights' memory is reused, and only a turn waits."""

    backend = "jax"

    def __init__(self, task: Task, dtype: str) -> None:
        # XLA's own variable; read when its first thread starts.
        os.environ["PJRT_NPROC"] = str(task.threads)
        import jax

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_enable_x64", dtype == "float64")
        self._jax = jax
        super().__init__(task, dtype)

    def prepare(self, W1: Array, b1: Array, W2: Array, b2: Array) -> None:
        """Put everything where JAX computes, and compile."""
        # Always a copy, which JAX may overwrite; device_put may share NumPy's memory.
        put = partial(self._jax.tree.map, self._jax.numpy.array)
        self._data = put(self._stored())
        self._run = self._compiled(self._update)
        started = time.perf_counter()
        self._layers = put((W1, b1, W2, b2))
        self.advance(1)
        self.compile_seconds = time.perf_counter() - started
        self._layers = put((W1, b1, W2, b2))
        self._jax.block_until_ready(self._layers)

    def _stored(self) -> tuple[Array, ...]:
        # One-hot rows, not labels: the gradient of taking one entry a row is a scatter.
        return scaled(self.task.images, self.dtype), one_hot(self.task, self.dtype)

    def _loss(self, layers: Any, *data: Any) -> Any:
        W1, b1, W2, b2 = layers
        X, Y = data
        Z = self._jax.nn.relu(X @ W1.T + b1) @ W2.T + b2
        return (self._jax.nn.logsumexp(Z, axis=1) - (Y * Z).sum(axis=1)).mean()

    def _update(self, layers: Any, *data: Any) -> Any:
        rate = self.task.learning_rate
        gradients = self._jax.grad(self._loss)(layers, *data)
        return self._jax.tree.map(lambda a, d: a - rate * d, layers, gradients)

    def _compiled(self, update: Callable[..., Any]) -> Any:
        return self._jax.jit(update, donate_argnums=0)

    def advance(self, iterations: int) -> None:
        """Queue all steps, then wait."""
        for _ in range(iterations):
            self._layers = self._run(self._layers, *self._data)
        self._jax.block_until_ready(self._layers)

    def layers(self) -> Sequence[Array]:
        """Return the weights and biases."""
        return [np.asarray(layer) for layer in self._layers]


class Loop(Steps):
    """All iterations of a turn in one compiled loop."""

    def _compiled(self, update: Callable[..., Any]) -> Any:
        def run(layers: Any, iterations: Any, *data: Any) -> Any:
            def body(_: Any, layers: Any) -> Any:
                return update(layers, *data)

            return self._jax.lax.fori_loop(0, iterations, body, layers)

        return self._jax.jit(run, donate_argnums=0)

    def advance(self, iterations: int) -> None:
        """Call the loop, then wait."""
        self._layers = self._run(self._layers, iterations, *self._data)
        self._jax.block_until_ready(self._layers)


class Tuned(Steps):
    """Steps with the images stored twice: by rows, and transposed for the gradient.

    XLA computes the product of the gradient that JAX derives, dZ.T @ X, on one thread; this one
    takes it half the time. Activations are columns, along which a softmax is faster.
    """

    def _stored(self) -> tuple[Array, ...]:
        X, Y = super()._stored()
        return X, np.ascontiguousarray(X.T), np.ascontiguousarray(Y.T)

    def _loss(self, layers: Any, *data: Any) -> Any:
        W1, b1, W2, b2 = layers
        X, transposed, Y = data
        Z1 = self._first_layer(W1, X, transposed) + b1[:, None]
        Z = W2 @ self._jax.nn.relu(Z1) + b2[:, None]
        return (self._jax.nn.logsumexp(Z, axis=0) - (Y * Z).sum(axis=0)).mean()

    @property
    def _first_layer(self) -> Any:
        """Return W @ X.T, whose gradient reads the transposed images."""
        product = self._jax.custom_vjp(lambda W, X, transposed: W @ X.T)
        product.defvjp(
            lambda W, X, transposed: (W @ X.T, transposed),
            lambda transposed, dZ: ((transposed @ dZ.T).T, None, None),
        )
        return product
