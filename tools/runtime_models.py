"""Small classifiers of operators that ONNX itself does not have, but the runtime has, made on the spot."""

from onnx import ModelProto, parser

from tools.bad_models import COLOURS
from tools.sample_models import describe, preprocessing

_FUSED = """<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (float[N,3,32,32] image) => (float[N,3] scores)
    <
        float[3,3,1,1] kernel = {1, 0, 0, 0, 1, 0, 0, 0, 1},
        float[3] bias = {0.1, 0.2, 0.3},
        float[3,3] weight = {2, -1, 0, 0, 2, -1, -1, 0, 2}
    > {
        planes = com.microsoft.FusedConv<activation = "Relu">(image, kernel)
        pooled = GlobalAveragePool(planes)
        colours = Flatten(pooled)
        bent = com.microsoft.BiasGelu(colours, bias)
        logits = com.microsoft.FusedMatMul<alpha = 3.0>(bent, weight)
        scores = Softmax<axis = 1>(logits)
    }"""
_TREE = """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
    g (float[N,3,32,32] image) => (int64[N] label, float[N,3] probabilities) {
        pooled = GlobalAveragePool(image)
        colours = Flatten(pooled)
        label, probabilities = ai.onnx.ml.TreeEnsembleClassifier<
            classlabels_int64s = [0, 1, 2], post_transform = "NONE",
            nodes_treeids = [0, 0, 0, 0, 0], nodes_nodeids = [0, 1, 2, 3, 4],
            nodes_modes = ["BRANCH_GT", "LEAF", "BRANCH_GT", "LEAF", "LEAF"],
            nodes_featureids = [0, 0, 1, 0, 0], nodes_values = [0.5, 0.0, 0.5, 0.0, 0.0],
            nodes_truenodeids = [1, 0, 3, 0, 0], nodes_falsenodeids = [2, 0, 4, 0, 0],
            class_treeids = [0, 0, 0, 0], class_nodeids = [1, 3, 4, 4], class_ids = [0, 1, 2, 1],
            class_weights = [1.0, 1.0, 0.75, 0.25]
        >(colours)
    }"""


def fused_classifier() -> bytes:
    """Judges a image by its mean colour, with operators that optimisers put in place of others."""
    return _file(parser.parse_model(_FUSED))


def tree_classifier() -> bytes:
    """A decision tree over the mean colour, as the tools of tables and trees write it, beside its label."""
    return _file(parser.parse_model(_TREE))


def _file(model: ModelProto) -> bytes:
    describe(model, COLOURS, preprocessing())
    return bytes(model.SerializeToString(deterministic=True))
