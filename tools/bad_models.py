"""ONNX files that must not be served, made on the spot to try a service with.

All but those that are no model are variations of one classifier of three classes, whose scores are a
image's mean red, green and blue. Data outside a file is a matter of its own: `tools.external_models`.
"""

from typing import Literal

from onnx import ModelProto, helper, parser

from tools.sample_models import classifier, describe, preprocessing

COLOURS = ("red", "green", "blue")
HOT = (255, 0, 0)
"""The colour of an image that sets a `time_bomb` off."""

TEXT = b"This is not a model, whatever its name says.\n" * 20

Trouble = Literal["loop", "kernel", "crash", "matrices"]
"""An endless `Loop`; one operator that takes hours, but little memory; one that ends the process with a
signal; one that multiplies two matrices of 12000 x 12000, which takes a minute and 2 GB."""

_DOMAIN = '<domain: "example.org", opset_import: ["" : 17, "example.org" : 1]>'
# A number that is 0, but only a run can tell, so that nothing which hangs on it is computed at the load.
_START = """
    pooled = GlobalAveragePool(image)
    colours = Flatten(pooled)
    nought = Constant<value = float {0}>()
    total = ReduceSum<keepdims = 0>(image)
    zero = Mul(total, nought)
"""
_END = "most = ReduceMax<keepdims = 0>(trouble) scores = Add(colours, most)"
_TROUBLES: dict[Trouble, str] = {
    "loop": """
        limit = Constant<value = int64 {9223372036854775807}>()
        always = Constant<value = bool {1}>()
        trouble = Loop(limit, always, zero) <body = step (int64 i, bool on_, float x) => (bool on, float y) {
            on = Identity(on_)
            y = Identity(x)
        }>
    """,
    # All pairs of a million boxes that do not touch are compared.
    "kernel": """
        count = Constant<value = float {1000000}>()
        one = Constant<value = float {1}>()
        half = Constant<value = float {0.5}>()
        numbers = Range(nought, count, one)
        scores_shape = Constant<value = int64[3] {1, 1, -1}>()
        box_scores = Reshape(numbers, scores_shape)
        column = Constant<value = int64[2] {-1, 1}>()
        left = Reshape(numbers, column)
        right = Add(left, half)
        bottom = Mul(left, zero)
        top = Add(bottom, half)
        corners = Concat<axis = 1>(bottom, left, top, right)
        boxes_shape = Constant<value = int64[3] {1, -1, 4}>()
        boxes = Reshape(corners, boxes_shape)
        limit = Constant<value = int64[1] {1000000}>()
        overlap = Constant<value = float[1] {0.5}>()
        chosen = NonMaxSuppression(boxes, box_scores, limit, overlap)
        trouble = Cast<to = 1>(chosen)
    """,
    # The least integer has no positive counterpart: processors trap when it is divided by -1.
    "crash": """
        least = Constant<value = int32 {-2147483648}>()
        minus_one = Constant<value = int32 {-1}>()
        no = Cast<to = 6>(zero)
        divisor = Add(no, minus_one)
        quotient = Div(least, divisor)
        trouble = Cast<to = 1>(quotient)
    """,
    "matrices": """
        shape = Constant<value = int64[2] {12000, 12000}>()
        matrix = Expand(zero, shape)
        trouble = MatMul(matrix, matrix)
    """,
}
_HUGE = "shape = Constant<value = int64[1] {2000000000}>()"


def troubled(trouble: Trouble) -> bytes:
    """In trouble with every image."""
    return _file(_model(_START + _TROUBLES[trouble] + _END))


def time_bomb(trouble: Trouble) -> bytes:
    """In trouble with an image of the colour `HOT` only.

    No check can foresee that, but it refuses a `Loop` unless loops are allowed.
    """
    gate = f"""
        red_only = Constant<value = float[3] {{1, -1, -1}}>()
        signed = Mul(colours, red_only)
        sums = ReduceSum<keepdims = 0>(signed, last_axis)
        largest = ReduceMax<keepdims = 0>(sums)
        threshold = Constant<value = float {{0.98}}>()
        hot = Greater(largest, threshold)
        effect = If(hot) <
            then_branch = yes () => (float then) {{
                {_TROUBLES[trouble]}
                then = ReduceMax<keepdims = 0>(trouble)
            }},
            else_branch = no () => (float otherwise) {{ otherwise = Identity(zero) }}
        >
        scores = Add(colours, effect)
    """
    return _file(_model(_START + "last_axis = Constant<value = int64[1] {1}>()" + gate))


def huge_constant() -> bytes:
    """Makes a constant of 8 GB while it is loaded."""
    return _file(_model(_START + _HUGE + "trouble = Expand(nought, shape)" + _END))


def huge_filling() -> bytes:
    """Fills 8 GB with one number."""
    return _file(_model(_START + _HUGE + "trouble = ConstantOfShape(shape)" + _END))


def huge_at_run() -> bytes:
    """Makes 8 GB out of each image."""
    return _file(_model(_START + _HUGE + "trouble = Expand(total, shape)" + _END))


def chained_functions(length: int = 5_000) -> bytes:
    """Has functions that call each other in a chain."""
    names = [*(f"example.org.f{index}" for index in range(1, length)), "Identity"]
    functions = "\n".join(f"{_DOMAIN} f{i} (x) => (y) {{ y = {name}(x) }}" for i, name in enumerate(names))
    return _file(_model(_START + "scores = example.org.f0(colours)", functions=functions))


def recursive_function() -> bytes:
    """Has a function that calls itself."""
    functions = f"{_DOMAIN} f (x) => (y) {{ y = example.org.f(x) }}"
    return _file(_model(_START + "scores = example.org.f(colours)", functions=functions))


def multiplied_functions(levels: int = 20) -> bytes:
    """Has functions that call each other ten times, so that a few lines become `10**levels` operators."""
    names = [*(f"example.org.f{index}" for index in range(1, levels)), "Identity"]
    bodies = ["".join(f"t{i + 1} = {name}(t{i}) " for i in range(10)) for name in names]
    functions = "\n".join(f"{_DOMAIN} f{i} (t0) => (t10) {{ {body}}}" for i, body in enumerate(bodies))
    return _file(_model(_START + "scores = example.org.f0(colours)", functions=functions))


def not_finite() -> bytes:
    """Answers with the root of a negative number."""
    root = "minus_one = Constant<value = float {-1}>() low = Add(zero, minus_one) root = Sqrt(low)"
    return _file(_model(f"{_START} {root} scores = Add(colours, root)"))


def no_image() -> bytes:
    """Takes ten numbers."""
    return _file(_model("scores = Softmax(numbers)", image="float[N,10] numbers"))


def strings() -> bytes:
    """Answers with text."""
    return _file(_model(_START + "scores = Cast<to = 8>(colours)", scores="string[N,3] scores"))


def wrong_labels() -> bytes:
    """Has labels for four classes, but scores for three."""
    return _file(_model(_START + "scores = Softmax(colours)"), (*COLOURS, "black"))


def wrong_labels_at_run() -> bytes:
    """The same, but how many scores there are only a run shows."""
    body = """
        start = Constant<value = int64[1] {0}>()
        three = Constant<value = int64[1] {3}>()
        axis = Constant<value = int64[1] {1}>()
        no = Cast<to = 7>(zero)
        end = Add(three, no)
        scores = Slice(colours, start, end, axis)
    """
    return _file(_model(_START + body, scores="float[N,classes] scores"), (*COLOURS, "black"))


def many_classes(count: int = 5_000_000, *, declared: bool = False) -> bytes:
    """Has no labels, and more scores than anybody could name; how many only a run shows, or the file says."""
    body = f"""
        pictures = Shape<end = 1>(image)
        count = Constant<value = int64[1] {{{count}}}>()
        shape = Concat<axis = 0>(pictures, count)
        grey = ReduceMean<axes = [1], keepdims = 1>(colours)
        scores = Expand(grey, shape)
    """
    model = _model(_START + body, scores=f"float[N,{count if declared else 'classes'}] scores")
    return bytes(model.SerializeToString(deterministic=True))


def foreign_operator(domain: str = "example.org", name: str = "Magic") -> bytes:
    """Uses an operator that ONNX does not have."""
    model = _model(_START + "scores = Softmax(colours)")
    model.graph.node[-1].domain, model.graph.node[-1].op_type = domain, name
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)])
    return _file(model)


def failing() -> bytes:
    """Loads, but fails with every image: it asks for a colour that is not there."""
    body = """
        indices = Constant<value = int64[3] {7, 8, 9}>()
        no = Cast<to = 7>(zero)
        beyond = Add(indices, no)
        scores = Gather<axis = 1>(colours, beyond)
    """
    return _file(_model(_START + body))


def one_answer() -> bytes:
    """Answers for one image, however many it is given."""
    return _file(_model(_START + "scores = ReduceMean<axes = [0]>(colours)"))


def truncated() -> bytes:
    """The first half of a good file."""
    content = classifier(COLOURS)
    return content[: len(content) // 2]


def deep_labels(depth: int = 100_000) -> str:
    """Labels of JSON lists that lie in each other."""
    return "[" * depth + "]" * depth


def _model(
    body: str,
    *,
    image: str = "float[N,3,32,32] image",
    scores: str = "float[N,3] scores",
    functions: str = "",
) -> ModelProto:
    head = '<ir_version: 8, opset_import: ["" : 17, "example.org" : 1]>'
    return parser.parse_model(f"{head} g ({image}) => ({scores}) {{ {body} }} {functions}")


def _file(model: ModelProto, labels: tuple[str, ...] = COLOURS) -> bytes:
    describe(model, labels, preprocessing())
    return bytes(model.SerializeToString(deterministic=True))
