"""PyTorch: as its tutorials write it, compiled, by hand, and on compressed rows."""

import time
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from fastdigit.measure.contenders import Task
from fastdigit.measure.peers.work import Array, Work, one_hot, scaled


class Eager(Work):
    """`nn.Sequential`, cross-entropy, automatic gradients and SGD over all tensors at once."""

    backend = "torch"

    def __init__(self, task: Task, dtype: str) -> None:
        torch.set_num_threads(task.threads)
        super().__init__(task, dtype)

    def prepare(self, W1: Array, b1: Array, W2: Array, b2: Array) -> None:
        """Make network and optimizer."""
        inputs, hidden, outputs = self.task.sizes
        self._X = torch.from_numpy(scaled(self.task.images, self.dtype))
        self._Y = torch.from_numpy(self.task.labels.astype("int64"))
        self._network = torch.nn.Sequential(
            torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs)
        ).to(self._X.dtype)
        with torch.no_grad():
            for parameter, first in zip(self._network.parameters(), (W1, b1, W2, b2), strict=True):
                parameter.copy_(torch.from_numpy(first))
        self._optimizer = torch.optim.SGD(
            self._network.parameters(), lr=self.task.learning_rate, foreach=True
        )
        self._loss: Any = self._mean_loss

    def _mean_loss(self, X: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(self._network(X), Y)

    def advance(self, iterations: int) -> None:
        """Forward, backward, update."""
        for _ in range(iterations):
            self._optimizer.zero_grad(set_to_none=True)
            self._loss(self._X, self._Y).backward()
            self._optimizer.step()

    def layers(self) -> Sequence[Array]:
        """Return the weights and biases."""
        return [parameter.detach().numpy() for parameter in self._network.parameters()]


class Compiled(Eager):
    """The same, network and loss compiled by `torch.compile`, which needs a C++ compiler."""

    def prepare(self, W1: Array, b1: Array, W2: Array, b2: Array) -> None:
        """Make network and optimizer, and compile for these sizes."""
        super().prepare(W1, b1, W2, b2)
        started = time.perf_counter()
        self._loss = torch.compile(self._mean_loss, fullgraph=True, dynamic=False)
        self._loss(self._X, self._Y).backward()
        self.compile_seconds = time.perf_counter() - started


class Manual(Work):
    """The gradient written out, every large array made beforehand.

    The images are stored twice, by rows and transposed, so that the product of the gradient takes
    half the time. The softmax runs along columns, which takes a tenth. One-hot columns are stored,
    and each update is part of the product that gives its gradient.
    """

    backend = "torch"

    def __init__(self, task: Task, dtype: str) -> None:
        torch.set_num_threads(task.threads)
        super().__init__(task, dtype)

    def prepare(self, W1: Array, b1: Array, W2: Array, b2: Array) -> None:
        """Make all buffers; W1 is stored as (features, hidden), W2 as (outputs, hidden)."""
        self._W1, self._W2 = torch.from_numpy(W1.T.copy()), torch.from_numpy(W2)
        self._b1, self._b2 = torch.from_numpy(b1), torch.from_numpy(b2)
        self._Y = torch.from_numpy(one_hot(self.task, self.dtype).T.copy())
        rows = len(self.task.labels)
        self._A1, self._dZ1 = (self._b1.new_empty(rows, len(b1)) for _ in range(2))
        self._Z2 = torch.empty_like(self._Y)
        self._X, self._transposed = self._stored(scaled(self.task.images, self.dtype))

    def _stored(self, X: Array) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(X), torch.from_numpy(X.T.copy())

    def advance(self, iterations: int) -> None:
        """Forward, backward and update, into the same buffers."""
        rate = -self.task.learning_rate / len(self.task.labels)
        Y, W1, b1, W2, b2 = self._Y, self._W1, self._b1, self._W2, self._b2
        A1, Z2, dZ1 = self._A1, self._Z2, self._dZ1
        # What is added to a sparse product must have its shape.
        added1, added2 = b1.expand_as(A1), b2[:, None]
        with torch.inference_mode():
            for _ in range(iterations):
                torch.addmm(added1, self._X, W1, out=A1).clamp_min_(0)
                torch.addmm(added2, W2, A1.t(), out=Z2)
                dZ2 = torch.softmax(Z2, 0, out=Z2).sub_(Y)
                torch.mm(dZ2.t(), W2, out=dZ1)
                torch.ops.aten.threshold_backward.grad_input(dZ1, A1, 0, grad_input=dZ1)
                W2.addmm_(dZ2, A1, alpha=rate)
                b2.add_(dZ2.sum(1), alpha=rate)
                W1.addmm_(self._transposed, dZ1, alpha=rate)
                b1.add_(dZ1.sum(0), alpha=rate)

    def layers(self) -> Sequence[Array]:
        """Return the weights and biases."""
        return [self._W1.t().numpy(), self._b1.numpy(), self._W2.numpy(), self._b2.numpy()]


class Compressed(Manual):
    """The same on compressed rows (CSR) without zeros, and on their transpose."""

    def _stored(self, X: Array) -> tuple[torch.Tensor, torch.Tensor]:
        return _compressed(X), _compressed(X.T.copy())


def _compressed(X: Array) -> torch.Tensor:
    """Return a matrix by rows, with the 32-bit indices that MKL takes as they are."""
    with warnings.catch_warnings():
        # PyTorch calls the format a beta.
        warnings.simplefilter("ignore")
        rows = torch.from_numpy(X).to_sparse_csr()
        return torch.sparse_csr_tensor(
            rows.crow_indices().int(), rows.col_indices().int(), rows.values(), rows.shape
        )
