"""PyTorch with batches: as its tutorials write it, compiled, and by hand."""

import os
import time
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from fastdigit.kernels.parameters import count, views
from fastdigit.measure.batches import MOMENTUM, Loop, Task
from fastdigit.measure.peers.batch_work import Array, pixels, targets
from fastdigit.network import Network

Indices = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float64]


class PyTorch(Loop):
    """With the number of threads of the task."""

    backend = "torch"

    def __init__(self, task: Task, dtype: str) -> None:
        torch.set_num_threads(task.threads)
        # Velocities of pixels that are seldom lit fade to subnormal numbers, which are slow.
        # Threads that PyTorch starts from now on inherit this.
        torch.set_flush_denormal(True)
        super().__init__(task, dtype)


class Eager(PyTorch):
    """`nn.Sequential`, cross-entropy, automatic gradients, SGD over all tensors at once.

    Batches are rows picked from one tensor: a `DataLoader` makes them of single rows, in Python.
    """

    options = {"foreach": True}  # noqa: RUF012
    """Of the optimizer."""

    def prepare(self) -> None:
        """Make the network."""
        self._X = torch.from_numpy(pixels(self.task, self.dtype))
        self._Y = torch.from_numpy(self.task.labels.astype("int64"))
        layers: list[torch.nn.Module] = []
        for inputs, outputs in zip(self.task.sizes, self.task.sizes[1:], strict=False):
            layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        self._network = torch.nn.Sequential(*layers[:-1]).to(self._X.dtype)

    def load(self, network: Network) -> None:
        """Copy the weights, and make the optimizer."""
        weights, biases = network.weights, network.biases
        arrays = [array for pair in zip(weights, biases, strict=True) for array in pair]
        with torch.no_grad():
            for parameter, first in zip(self._network.parameters(), arrays, strict=True):
                parameter.copy_(torch.from_numpy(first))
        self._optimizer = torch.optim.SGD(
            self._network.parameters(),
            lr=self.task.learning_rate,
            momentum=MOMENTUM,
            nesterov=self.task.nesterov,
            **self.options,
        )

    def advance(self, order: Indices, rates: Rates) -> None:
        """Gather, forward, backward, update."""
        (group,) = self._optimizer.param_groups
        batches = torch.from_numpy(order).split(self.task.batch_size)
        for batch, rate in zip(batches, rates.tolist(), strict=True):
            group["lr"] = rate
            X, Y = self._X.index_select(0, batch), self._Y.index_select(0, batch)
            self._optimizer.zero_grad(set_to_none=True)
            smoothing = self.task.label_smoothing
            functional.cross_entropy(self._network(X), Y, label_smoothing=smoothing).backward()
            self._optimizer.step()

    def parameters(self) -> Array:
        """Return the weights and biases."""
        arrays = [parameter.detach().numpy().ravel() for parameter in self._network.parameters()]
        return np.concatenate(arrays)


class Fused(Eager):
    """The same with the optimizer's fused kernel."""

    options = {"fused": True}  # noqa: RUF012


class Flat(PyTorch):
    """All parameters in one tensor and all velocities in another: an update is one operation."""

    columns = False
    """Whether weights are stored as (inputs, outputs)."""

    def prepare(self) -> None:
        """Make all that does not depend on the weights."""
        self._X = torch.from_numpy(pixels(self.task, self.dtype))
        self._Y = torch.from_numpy(targets(self.task, self.dtype))
        size = count(self.task.sizes)
        self._flat, self._velocity = (torch.zeros(size, dtype=self._X.dtype) for _ in range(2))
        self._W, self._b = self._views(self._flat)
        self._vW, self._vb = self._views(self._velocity)

    def _views(self, flat: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the weights as (outputs, inputs), however they are stored, and the biases."""
        weights, biases = views(flat.numpy(), self.task.sizes)
        if self.columns:
            weights = [W.reshape(W.shape[::-1]).T for W in weights]
        return [torch.from_numpy(W) for W in weights], [torch.from_numpy(b) for b in biases]

    def load(self, network: Network) -> None:
        """Copy the weights; the velocities become 0."""
        for mine, first in zip(self._W, network.weights, strict=True):
            mine.copy_(torch.from_numpy(first))
        for mine, first in zip(self._b, network.biases, strict=True):
            mine.copy_(torch.from_numpy(first))
        self._velocity.zero_()

    def parameters(self) -> Array:
        """Return the weights and biases."""
        pairs = zip(self._W, self._b, strict=True)
        return np.concatenate([part.numpy().ravel() for pair in pairs for part in pair])


class Buffers(NamedTuple):
    """Where a batch is worked on, (rows, units) each."""

    inputs: list[torch.Tensor]
    """Of each layer: the images first, then activations."""
    deltas: list[torch.Tensor]
    """Of each layer: the gradient by what goes into its activation; the last is first its logits.
    """
    target: torch.Tensor
    ones: torch.Tensor


class Manual(Flat):
    """The gradient written out, into memory that is made once for each size of a batch.

    What a gradient adds to the velocity is part of the product that computes it.
    """

    def prepare(self) -> None:
        """Make the buffers, too."""
        super().prepare()
        batch = min(self.task.batch_size, len(self._Y))
        self._buffers = {rows: self._made(rows) for rows in {batch, len(self._Y) % batch or batch}}

    def _made(self, rows: int) -> Buffers:
        make = partial(torch.empty, dtype=self._X.dtype)
        return Buffers(
            [make(rows, units) for units in self.task.sizes[:-1]],
            [make(rows, units) for units in self.task.sizes[1:]],
            make(rows, self.task.sizes[-1]),
            torch.ones(rows, dtype=self._X.dtype),
        )

    def advance(self, order: Indices, rates: Rates) -> None:
        """Gather, forward, backward, update."""
        batches = torch.from_numpy(order).split(self.task.batch_size)
        with torch.inference_mode():
            for batch, rate in zip(batches, rates.tolist(), strict=True):
                self._step(batch, rate, self._buffers[len(batch)])

    def _step(self, batch: torch.Tensor, rate: float, buffers: Buffers) -> None:
        inputs, deltas, target, ones = buffers
        weights = self._W
        last = len(weights) - 1
        torch.index_select(self._X, 0, batch, out=inputs[0])
        torch.index_select(self._Y, 0, batch, out=target)
        for layer in range(last):
            A = inputs[layer + 1]
            torch.addmm(self._b[layer], inputs[layer], weights[layer].t(), out=A).clamp_min_(0)
        torch.addmm(self._b[last], inputs[last], weights[last].t(), out=deltas[last])
        torch.softmax(deltas[last], 1, out=deltas[last]).sub_(target)
        for layer in range(last, 0, -1):
            dZ, A = deltas[layer - 1], inputs[layer]
            torch.mm(deltas[layer], weights[layer], out=dZ)
            torch.ops.aten.threshold_backward.grad_input(dZ, A, 0, grad_input=dZ)
        if self.task.nesterov:
            # g + mu v' = (1 + mu) v' - mu v, where v' = mu v + g.
            self._flat.add_(self._velocity, alpha=rate * MOMENTUM)
            rate *= 1 + MOMENTUM
        share = 1 / len(batch)
        for A, dZ, vW, vb in zip(inputs, deltas, self._vW, self._vb, strict=True):
            if self.columns:
                vW.t().addmm_(A.t(), dZ, beta=MOMENTUM, alpha=share)
            else:
                vW.addmm_(dZ.t(), A, beta=MOMENTUM, alpha=share)
            vb.addmv_(dZ.t(), ones, beta=MOMENTUM, alpha=share)
        self._flat.add_(self._velocity, alpha=-rate)


class Columns(Manual):
    """The same with weights as (inputs, outputs)."""

    columns = True


class Compiled(Flat):
    """A whole step, gathering and update included, compiled by `torch.compile`.

    That needs a C++ compiler. The gradient is written out: as PyTorch derives it, the graph would
    be the same.
    """

    def prepare(self) -> None:
        """Compile for both sizes of a batch."""
        super().prepare()
        started = time.perf_counter()
        # Here, not in processes that would live on beside it.
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        # Without recompiling for a batch of any size, which would be slower for all.
        self._compiled: Any = torch.compile(self._step, fullgraph=True, dynamic=False)
        batch = min(self.task.batch_size, len(self._Y))
        for rows in {batch, len(self._Y) % batch or batch}:
            self.advance(np.arange(rows), np.zeros(1))
        self.compile_seconds = time.perf_counter() - started

    def advance(self, order: Indices, rates: Rates) -> None:
        """Call the step, which gets the rate as a tensor: as a number it would be compiled in."""
        batches = torch.from_numpy(order).split(self.task.batch_size)
        shares = torch.from_numpy(rates).to(self._X.dtype).unbind()
        with torch.inference_mode():
            for batch, rate in zip(batches, shares, strict=True):
                self._compiled(self._X, self._Y, batch, rate, self._W, self._b, self._vW, self._vb)

    def _step(
        self,
        X: torch.Tensor,
        Y: torch.Tensor,
        batch: torch.Tensor,
        rate: torch.Tensor,
        weights: list[torch.Tensor],
        biases: list[torch.Tensor],
        weight_velocities: list[torch.Tensor],
        bias_velocities: list[torch.Tensor],
    ) -> None:
        inputs = [X.index_select(0, batch)]
        for W, b in zip(weights[:-1], biases[:-1], strict=True):
            inputs.append(functional.linear(inputs[-1], W, b).relu())
        logits = functional.linear(inputs[-1], weights[-1], biases[-1])
        delta = (logits.softmax(1) - Y.index_select(0, batch)) / len(batch)
        deltas = [delta]
        for W, A in zip(weights[:0:-1], inputs[:0:-1], strict=True):
            deltas.insert(0, (deltas[0] @ W) * (A > 0))
        for A, dZ, W, b, vW, vb in zip(
            inputs, deltas, weights, biases, weight_velocities, bias_velocities, strict=True
        ):
            self._update(W, vW, dZ.t() @ A, rate)
            self._update(b, vb, dZ.sum(0), rate)

    def _update(
        self,
        parameter: torch.Tensor,
        velocity: torch.Tensor,
        gradient: torch.Tensor,
        rate: torch.Tensor,
    ) -> None:
        velocity.mul_(MOMENTUM).add_(gradient)
        way = gradient + MOMENTUM * velocity if self.task.nesterov else velocity
        parameter.sub_(rate * way)
