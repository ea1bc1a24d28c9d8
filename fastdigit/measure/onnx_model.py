"""A network as an ONNX model, for ONNX Runtime to predict with."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fastdigit.network import Network

OPSET = 17
IR_VERSION = 10
"""Newer ones, which onnx would write by itself, are refused by some versions of onnxruntime."""


def onnx_model(network: "Network", takes: str = "uint8", folded: bool = False) -> bytes:
    """Return the network as an ONNX model from ``images`` (n, features) to ``labels`` (n,).

    Parameters
    ----------
    network
        float32, with one hidden layer.
    takes
        "uint8": pixels 0..255, divided by 255 in the model; "float32": what is in 0..1.
    folded
        Whether the division is done once, in the weights, and not for every pixel.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    (W1, W2), (b1, b2) = network.weights, network.biases
    scale = np.array(1 / 255, np.float32)
    constants = {"W1": W1 * scale if folded else W1, "b1": b1, "W2": W2, "b2": b2}
    nodes = []
    pixels = "images"
    if takes == "uint8":
        nodes.append(helper.make_node("Cast", [pixels], ["floats"], to=TensorProto.FLOAT))
        pixels = "floats"
        if not folded:
            constants["scale"] = scale
            nodes.append(helper.make_node("Mul", [pixels, "scale"], ["X"]))
            pixels = "X"
    nodes += [
        helper.make_node("Gemm", [pixels, "W1", "b1"], ["Z1"], transB=1),
        helper.make_node("Relu", ["Z1"], ["A1"]),
        helper.make_node("Gemm", ["A1", "W2", "b2"], ["Z2"], transB=1),
        helper.make_node("ArgMax", ["Z2"], ["labels"], axis=1, keepdims=0),
    ]
    kind = TensorProto.UINT8 if takes == "uint8" else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("images", kind, ["n", network.sizes[0]])],
        [helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
