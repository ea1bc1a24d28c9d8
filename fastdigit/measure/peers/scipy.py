"""SciPy's compressed rows, and NumPy for the rest."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from fastdigit.measure.peers.work import Array, Work, one_hot, scaled


class Compressed(Work):
    """The gradient written out on compressed rows (CSR) and on their transpose, stored as well.

    SciPy's product with them uses one thread.
    """

    backend = "scipy"

    def prepare(self, W1: Array, b1: Array, W2: Array, b2: Array) -> None:
        """Compress; W1 is stored as (features, hidden), and the softmax runs along columns."""
        self._X = sparse.csr_array(scaled(self.task.images, self.dtype))
        self._transposed = self._X.T.tocsr()
        self._Y = np.ascontiguousarray(one_hot(self.task, self.dtype).T)
        self._W1, self._b1, self._W2, self._b2 = W1.T.copy(), b1, W2, b2

    def advance(self, iterations: int) -> None:
        """Forward, backward, update."""
        rate = self.task.learning_rate / len(self.task.labels)
        W1, b1, W2, b2 = self._W1, self._b1, self._W2, self._b2
        for _ in range(iterations):
            A1 = self._X @ W1
            A1 += b1
            np.maximum(A1, 0, out=A1)
            dZ2 = W2 @ A1.T
            dZ2 += b2[:, None]
            dZ2 -= dZ2.max(axis=0)
            np.exp(dZ2, out=dZ2)
            dZ2 /= dZ2.sum(axis=0)
            dZ2 -= self._Y
            dZ1 = dZ2.T @ W2
            dZ1 *= A1 > 0
            W2 -= rate * (dZ2 @ A1)
            b2 -= rate * dZ2.sum(axis=1)
            W1 -= rate * (self._transposed @ dZ1)
            b1 -= rate * dZ1.sum(axis=0)

    def layers(self) -> Sequence[Array]:
        """Return the weights and biases."""
        return [self._W1.T, self._b1, self._W2, self._b2]
