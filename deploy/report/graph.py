"""What a .tflite file holds: operators, multiply-accumulates, and what XNNPACK leaves over."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from deploy.quantization.export import Graph
from deploy.report.content import GraphFacts

_DELEGATE = "DELEGATE"


def graph_facts(model: Path) -> GraphFacts:
    """Read a model, and let LiteRT delegate it to XNNPACK to see what is left."""
    interpreter = Interpreter(str(model), num_threads=1)
    interpreter.allocate_tensors()
    # LiteRT tells it nowhere else: the list holds all operators, and behind them the delegates.
    details = interpreter._get_ops_details()
    delegates = [d for d in details if d["op_name"] == _DELEGATE]
    operators = [d for d in details if d["op_name"] != _DELEGATE]
    taken = _delegated(operators, delegates)
    return GraphFacts(
        macs=count_macs(Graph(flatbuffer_utils.read_model(str(model)))),
        operators=_by_type(operators),
        not_delegated=_by_type([d for d in operators if d["index"] not in taken]),
        delegates=len(delegates),
    )


def _by_type(operators: list[dict]) -> dict[str, int]:
    return dict(Counter(d["op_name"] for d in operators).most_common())


def _delegated(operators: list[dict], delegates: list[dict]) -> set[int]:
    """Indices of the operators between a delegate's inputs and its outputs."""
    producer = {int(t): d for d in operators for t in d["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        given = {int(t) for t in delegate["inputs"]}
        wanted = [int(t) for t in delegate["outputs"]]
        while wanted:
            operator = producer.get(wanted.pop())
            if operator is None or operator["index"] in taken:
                continue
            taken.add(operator["index"])
            wanted += [int(t) for t in operator["inputs"] if int(t) not in given]
    return taken


def count_macs(graph: Graph) -> int:
    """Multiply-accumulates of convolutions and fully connected layers; the rest has hardly any."""
    return sum(_macs(graph, operator) for operator in graph.subgraph.operators)


def _macs(graph: Graph, operator: schema.OperatorT) -> int:
    def shape(tensor: int) -> list[int]:
        return [int(n) for n in graph.subgraph.tensors[tensor].shape]

    code = graph.code(operator)
    match code:
        case schema.BuiltinOperator.CONV_2D | schema.BuiltinOperator.FULLY_CONNECTED:
            # (outputs, rows, columns, inputs) or (outputs, inputs)
            per_output = math.prod(shape(operator.inputs[1])[1:])
            return math.prod(shape(operator.outputs[0])) * per_output
        case schema.BuiltinOperator.DEPTHWISE_CONV_2D:
            _, rows, columns, _ = shape(operator.inputs[1])
            return math.prod(shape(operator.outputs[0])) * rows * columns
        case schema.BuiltinOperator.TRANSPOSE_CONV:
            outputs, rows, columns, _ = shape(operator.inputs[1])
            return math.prod(shape(operator.inputs[2])) * outputs * rows * columns
    return 0
