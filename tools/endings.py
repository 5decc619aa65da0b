"""Small classifiers that say nothing of themselves and end in whatever is wanted, made on the spot."""

from onnx import parser

ONE = "score = MatMul(colours, one)"
"""One number for each image: its red less its green and blue, shape [N, 1]."""
FIVE = "scores = MatMul(colours, five)"
"""Five numbers for each image, shape [N, 5]."""


def ending(body: str, outputs: str) -> bytes:
    """A model that does something to each image's mean `colours`, shape [N, 3].

    Args:
        body: what, in ONNX's textual form; it may read the weights `one` [3, 1] and `five` [3, 5].
        outputs: the model's outputs with their types, such as `float[N,1] score`.
    """
    text = f"""<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
        g (float[N,3,32,32] image) => ({outputs})
        <
            float[3,1] one = {{3, -2, -1}},
            float[3,5] five = {{1, 2, 3, 4, 5, 3, -1, 2, 0, 1, 0, 4, -2, 1, 2}}
        > {{
            pooled = GlobalAveragePool(image)
            colours = Flatten(pooled)
            {body}
        }}"""
    return bytes(parser.parse_model(text).SerializeToString(deterministic=True))


def logit() -> bytes:
    """Ends in a linear layer of one output, as torch's networks for two classes do."""
    return ending(ONE, "float[N,1] score")


def sigmoid() -> bytes:
    """Ends in a sigmoid of one output, as Keras's networks for two classes do; that of `logit`."""
    return ending(f"{ONE} confidence = Sigmoid(score)", "float[N,1] confidence")
