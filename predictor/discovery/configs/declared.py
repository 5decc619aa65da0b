"""What a configuration declares: some of the fields of a preprocessing, in this service's terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from predictor.model.spec import Activation


@dataclass(frozen=True)
class DeclaredPreprocessing:
    """What was declared about a model; what is left out was not declared.

    Attributes:
        source: where it was declared, as it stands in a sentence.
        values: fields of `Preprocessing` by their names, but `size` for height and width, and perhaps
            `crop_pct`, the part of the resized picture that the cut keeps, in place of `resize_to`.
            `mean` and `std` may have one number for all channels.
        names: how the source calls those of these fields that it calls otherwise.
        exact: whether the values describe the tensor itself, so that they hold whatever the graph does
            with it. The configurations of other tools describe what the network was trained on.
        output: the output that holds the class scores.
        activation: what is to be applied to them.
        multi_label: whether any number of classes may apply.
        warnings: sentences for the uploader.
    """

    source: str
    values: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)
    exact: bool = False
    output: str | None = None
    activation: Activation | None = None
    multi_label: bool | None = None
    warnings: tuple[str, ...] = ()

    def name(self, value: str) -> str:
        """How the source calls a field."""
        return self.names.get(value, value)


EMPTY = DeclaredPreprocessing("nothing", {})
"""Nothing was declared."""
