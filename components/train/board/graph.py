"""The model's layers as TensorBoard's Graphs tab draws them.

The tab opens on a run's graph of operations and calls a run without one malformed, so the layers are written as one:
a node a layer, its operation the layer's type. It costs no tracing, and is the same on every backend.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def layer_graph(model: "keras.Model") -> Any:
    """A TensorBoard GraphDef of a model that is a chain of layers (model.py builds no other to train): what goes from
    which to which in what shape and precision, and how many parameters each has."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.tensorflow_stub import dtypes

    graph = GraphDef()
    before: list[str] = []
    for layer in model.layers:
        node = graph.node.add(name=layer.name, op=type(layer).__name__, input=before)
        node.attr["parameters"].i = layer.count_params()
        node.attr["dtype"].type = dtypes.as_dtype(layer.output.dtype).as_datatype_enum
        shape = node.attr["_output_shapes"].list.shape.add()
        for side in layer.output.shape:
            shape.dim.add(size=-1 if side is None else side)
        before = [layer.name]
    return graph
