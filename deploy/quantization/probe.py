"""Look into a .tflite file as it runs: every layer's output, and every layer on its own."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils
from numpy.typing import NDArray

from deploy.quantization.calibrate import THREADS
from deploy.quantization.export import INPUT, Graph
from deploy.quantization.layers import is_conversion, layers, source
from pi_detector.detector.tensors import TensorInfo, tensor_info

Values = Mapping[str, NDArray[np.float32]]


class Probe:
    """A network whose layers' outputs can be read.

    Attributes:
        layers: by name, in the order of execution.
    """

    def __init__(self, model: schema.ModelT) -> None:
        """Prepare the network of ``deploy.quantization.quantize.read_network``."""
        graph = Graph(model)
        self.layers = {layer.name: layer for layer in layers(graph)}
        self._input = graph.subgraph.inputs[0]
        self._interpreter = _open(model, keep=True)
        self._infos = _infos(self._interpreter)

    def info(self, name: str) -> TensorInfo:
        """Type and quantization of a layer's output."""
        return self._infos[self.layers[name].output]

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray]:
        """SinkSet of all layers for (1, H, W, 3) in -1..1, as they are stored."""
        info = self._infos[self._input]
        self._interpreter.set_tensor(self._input, quantized(image, info))
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(layer.output) for name, layer in self.layers.items()
        }


class LoneLayers:
    """The layers of a network, each of which takes its inputs from outside.

    In the network's graph the link between a layer and the next is cut: what a layer writes, nobody
    reads; what it reads is an input of the graph.
    """

    def __init__(self, model: schema.ModelT) -> None:
        """Prepare the network of ``deploy.quantization.quantize.read_network``."""
        cut = copy.deepcopy(model)
        graph = Graph(cut)
        names = {layer.output: layer.name for layer in layers(graph)}
        names[graph.subgraph.inputs[0]] = INPUT
        self._feeds: dict[int, str] = {}
        self._outputs: dict[str, int] = {}
        kept = []
        for operator in graph.subgraph.operators:
            if not is_conversion(graph, operator):
                # What it reads is told by the uncut graph: its producers are still there.
                sources = {t: source(graph, t) for t in operator.inputs if t >= 0}
                self._feeds |= {t: names[s] for t, s in sources.items() if s in names}
                kept.append(operator)
            elif source(graph, operator.outputs[0]) not in names:
                kept.append(operator)  # of constant weights
        for operator in kept:
            if not is_conversion(graph, operator):
                output = operator.outputs[0]
                graph.subgraph.tensors.append(copy.deepcopy(graph.subgraph.tensors[output]))
                operator.outputs = [len(graph.subgraph.tensors) - 1]
                self._outputs[names[output]] = operator.outputs[0]
        graph.subgraph.operators = kept
        graph.subgraph.inputs = sorted(self._feeds)
        graph.subgraph.outputs = list(self._outputs.values())
        cut.signatureDefs = []
        self._interpreter = _open(cut, keep=False)
        self._infos = _infos(self._interpreter)

    def run(self, values: Values) -> dict[str, NDArray]:
        """SinkSet of all layers, as they are stored, for real inputs.

        Args:
            values: by layer what it gives in the float network; and the image.
        """
        for tensor, name in self._feeds.items():
            self._interpreter.set_tensor(tensor, quantized(values[name], self._infos[tensor]))
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(t) for name, t in self._outputs.items()}


def quantized(values: NDArray[np.float32], info: TensorInfo) -> NDArray:
    """Real values as a tensor stores them."""
    if not info.quantized:
        return values.astype(info.dtype, copy=False)
    ends = np.iinfo(info.dtype)
    stored = np.rint(values / np.float32(info.scale)) + info.zero_point
    return stored.clip(ends.min, ends.max).astype(info.dtype)


def _open(model: schema.ModelT, *, keep: bool) -> Interpreter:
    with warnings.catch_warnings():
        # That all tensors are kept is what this is for.
        warnings.simplefilter("ignore", UserWarning)
        interpreter = Interpreter(
            model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
            num_threads=THREADS,
            experimental_preserve_all_tensors=keep,
            # The fast kernels fuse layers, whose outputs are then never written.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    return interpreter


def _infos(interpreter: Interpreter) -> dict[int, TensorInfo]:
    return {d["index"]: tensor_info(d) for d in interpreter.get_tensor_details()}
