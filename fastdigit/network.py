"""A network is its weights: how they begin, and what they say about an image."""

import operator
from collections.abc import Sequence
from numbers import Integral
from os import PathLike
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fastdigit.data.images import as_images
from fastdigit.data.labels import as_labels
from fastdigit.errors import DataError
from fastdigit.kernels import check_activation, classify, parameters

Init = Literal["he", "uniform"]

SEEDS = 2**32
"""Below this are those that NumPy takes."""


class Views(tuple[npt.NDArray[Any], ...]):
    """The weights or biases of a network: arrays that are written into, not replaced."""

    def __setitem__(self, layer: Any, value: Any) -> None:
        # weights[0] -= step ends here with the array itself, which was changed in place.
        if value is not self[layer]:
            raise TypeError(
                "the arrays of a network cannot be replaced; write into them, "
                "as in network.weights[0][:] = W"
            )


class Network:
    """A fully connected network: an activation in the hidden layers, softmax at the end.

    Parameters
    ----------
    sizes
        Units of each layer, inputs first: ``[784, 10, 10]`` has one hidden layer of 10. At most
        256 outputs, since labels are bytes.
    dtype
        ``"float32"`` or ``"float64"``: of the weights and of all arithmetic.
    seed
        What the first weights are drawn from; the same seed gives the same bits everywhere.
    init
        ``"he"``: weights uniform with variance 2 / inputs, biases 0 (He et al. 2015,
        arXiv:1502.01852), which learns well with ReLU. ``"uniform"``: weights and biases uniform
        in [-0.5, 0.5), drawn in the order W1, b1, W2, b2 as notebooks do after
        ``np.random.seed(seed)``.
    activation
        Of the hidden layers: ``"relu"``, ``"leaky_relu"`` (0.01 z below 0), ``"tanh"``,
        ``"logistic"`` or ``"identity"``.

    Attributes
    ----------
    parameters
        All weights and biases in one flat array.
    weights, biases
        For each layer an array (outputs, inputs) and one (outputs,): views of `parameters`, so
        writing into them changes the network: ``network.weights[0][:] = W1``.
    sizes, activation
        As given.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dtype: npt.DTypeLike = "float32",
        seed: int = 0,
        init: Init = "he",
        activation: str = "relu",
    ) -> None:
        self.sizes = _checked_sizes(sizes)
        check_activation(activation)
        self.activation = activation
        self._lay_out(np.empty(parameters.count(self.sizes), _checked_dtype(dtype)))
        self._initialise(seed, init)

    def _lay_out(self, flat: npt.NDArray[Any]) -> None:
        self._parameters = flat
        self._weights, self._biases = map(Views, parameters.views(flat, self.sizes))

    def _initialise(self, seed: int, init: str) -> None:
        if init not in get_args(Init):
            raise ValueError(f"init={init!r}; weights begin as 'he' or 'uniform'")
        if not isinstance(seed, Integral) or not 0 <= seed < SEEDS:
            raise ValueError(f"seed={seed!r}; it must be a whole number from 0 and below {SEEDS}")
        # RandomState, unlike Generator, promises the same stream in every NumPy; and uniform
        # numbers, unlike normal ones, need no logarithm of the C library.
        random = np.random.RandomState(seed)
        for W, b in zip(self.weights, self.biases, strict=True):
            if init == "uniform":
                W[:] = random.rand(*W.shape) - 0.5
                b[:] = random.rand(len(b)) - 0.5
            else:
                W[:] = (random.rand(*W.shape) * 2 - 1) * np.sqrt(6 / W.shape[1])
                b[:] = 0

    @property
    def parameters(self) -> npt.NDArray[Any]:
        """All weights and biases in one flat array."""
        return self._parameters

    @property
    def weights(self) -> Views:
        """The weights of each layer, (outputs, inputs)."""
        return self._weights

    @property
    def biases(self) -> Views:
        """The biases of each layer, (outputs,)."""
        return self._biases

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the weights."""
        return self.parameters.dtype

    def predict(
        self, images: npt.ArrayLike, *, backend: str = "auto", threads: int | None = None
    ) -> npt.NDArray[np.intp]:
        """Return the most likely label of each image, (n,).

        Parameters
        ----------
        images
            (n, features): integers are pixels 0..255, floats are used as they are.
        backend, threads
            As for `fit`.

        Raises
        ------
        DataError
            If the images are not what the network was made for.
        ValueError
            If the network's weights are not finite.
        """
        labels, _ = self._classify(self._inputs(images), False, backend, threads)
        return labels.astype(np.intp, copy=False)

    def predict_proba(
        self, images: npt.ArrayLike, *, backend: str = "auto", threads: int | None = None
    ) -> npt.NDArray[Any]:
        """Return the probability of each label for each image, (n, outputs); see `predict`."""
        _, probabilities = self._classify(self._inputs(images), True, backend, threads)
        assert probabilities is not None
        return probabilities

    def accuracy(
        self,
        images: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        backend: str = "auto",
        threads: int | None = None,
    ) -> float:
        """Return the share of images whose most likely label is the right one; see `predict`."""
        inputs, expected = self.checked(images, labels)
        found, _ = self._classify(inputs, False, backend, threads)
        return float((found == expected).mean())

    def _classify(
        self, inputs: npt.NDArray[Any], probabilities: bool, backend: str, threads: int | None
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
        self.check_finite()
        return classify(
            self.parameters, self.sizes, inputs, probabilities, backend, threads, self.activation
        )

    def checked(
        self, images: npt.ArrayLike, labels: npt.ArrayLike
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
        """Return images and labels as the kernels take them.

        Raises
        ------
        DataError
            If there are none, if their numbers differ, or if either does not fit the network.
        """
        inputs = self._inputs(images)
        expected = as_labels(labels, classes=self.sizes[-1])
        if len(inputs) != len(expected):
            raise DataError(f"{len(inputs)} images, but {len(expected)} labels")
        if not len(inputs):
            raise DataError("there are no images")
        return inputs, expected

    def _inputs(self, images: npt.ArrayLike) -> npt.NDArray[Any]:
        if hasattr(images, "images"):
            raise DataError("this is a whole data set; pass its images: predict(data.images)")
        inputs = as_images(images)
        if inputs.shape[1] != self.sizes[0]:
            raise DataError(
                f"the images have {inputs.shape[1]} pixels each, "
                f"but the network has {self.sizes[0]} inputs"
            )
        if inputs.dtype.kind == "f" and inputs.dtype.itemsize > self.dtype.itemsize:
            largest = np.finfo(self.dtype).max
            if inputs.size and max(-inputs.min(), inputs.max()) > largest:
                raise DataError(
                    f"there are pixels beyond {largest:.3g}, the largest number of a {self.dtype} "
                    "network; scale the images to 0..1"
                )
        return inputs

    def check_finite(self) -> None:
        """Raise ValueError if any weight or bias is NaN or infinite: then there are no answers."""
        if not np.isfinite(self.parameters).all():
            raise ValueError("the network's weights contain NaN or infinity; train it anew")

    def save(self, path: str | PathLike[str]) -> None:
        """Write the network to a safetensors file; what was there is replaced as a whole.

        Raises
        ------
        ValueError
            If its weights are not finite: no file with such would be read again.
        """
        from fastdigit.storage import save

        self.check_finite()
        save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Network":
        """Return the network in a file that `save` wrote.

        Raises
        ------
        DataError
            If the file is no such network; the message says what is wrong with it.
        """
        from fastdigit.storage import load

        return load(path)

    def __getstate__(self) -> tuple[tuple[int, ...], str, npt.NDArray[Any]]:
        return self.sizes, self.activation, self.parameters

    def __setstate__(self, state: tuple[tuple[int, ...], str, npt.NDArray[Any]]) -> None:
        # A copy of the views would not follow a copy of the parameters.
        self.sizes, self.activation, flat = state
        self._lay_out(flat)

    def __repr__(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        count = self.parameters.size
        return f"<Network {sizes}, {self.activation}, {self.dtype}, {count:,} parameters>"


def _checked_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        # NumPy takes None for float64.
        kind = None if dtype is None else np.dtype(dtype)
    except TypeError:
        kind = None
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype={dtype!r}; a network is 'float32' or 'float64'")
    return kind


def _checked_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    try:
        if any(isinstance(size, bool) for size in sizes):
            raise TypeError("True and False are no sizes")
        whole = tuple(operator.index(size) for size in sizes)
    except TypeError as error:
        raise ValueError(f"sizes={sizes!r}; layers are whole numbers: [784, 10, 10]") from error
    if len(whole) < 2 or min(whole) < 1:
        raise ValueError(f"sizes={sizes!r}; a network has inputs and outputs, at least 1 of each")
    if whole[-1] > 256:
        raise ValueError(f"{whole[-1]} outputs; labels are bytes, so there can be 256 at most")
    return whole
