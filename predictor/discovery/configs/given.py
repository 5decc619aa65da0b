"""What a configuration says: some of the fields of a preprocessing, in this service's terms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from predictor.model.spec import Activation


@dataclass(frozen=True)
class Given:
    """What somebody said about a model; whatever is left out was not said.

    Attributes:
        source: where it was said, as it stands in a sentence.
        values: fields of `Preprocessing` by their names, but `size` for height and width, and perhaps
            `crop_pct`, the part of the resized picture that the cut keeps, in place of `resize_to`.
            `mean` and `std` may have one number for all channels.
        names: how the source calls those of these fields that it calls otherwise.
        literal: whether the values describe the tensor itself, so that they hold whatever the graph does
            with it. The configurations of other tools describe what the network was trained on.
        output: the output that holds the class scores.
        activation: what is to be applied to them.
        multi_label: whether any number of classes may apply.
        warnings: sentences for the uploader.
    """

    source: str
    values: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)
    literal: bool = False
    output: str | None = None
    activation: Activation | None = None
    multi_label: bool | None = None
    warnings: tuple[str, ...] = ()

    def name(self, value: str) -> str:
        """How the source calls a field."""
        return self.names.get(value, value)


NOTHING = Given("nothing", {})
"""Nobody said anything."""
