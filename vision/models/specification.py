"""What must be known of a model beside its weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vision import models


@dataclasses.dataclass(frozen=True)
class Specification:
    """What an image must look like to enter a network, and what its answers mean.

    It is stored with the weights, so that evaluation, prediction and exports cannot
    prepare images in another way than training did.

    Attributes:
        model: a key of `vision.models.MODELS`.
        classes: names of the classes in the order of the logits.
        image_size: side in pixels that images are resized to.
        normalization: a key of `NORMALIZATIONS`; the model applies it itself.
        channels: order of the channels that the model takes.
        options: what else the model was made with: its own options, and those of its
            head that shape it.
    """

    model: str
    classes: tuple[str, ...]
    image_size: int
    normalization: str
    channels: str = 'RGB'
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def build(self, **options) -> models.Network:
        """Makes the model with fresh weights; options are those of `models.create`."""
        return models.create(
            self.model,
            classes=len(self.classes),
            image_size=self.image_size,
            normalization=self.normalization,
            **self.options,
            **options,
        )

    def to_dict(self) -> dict[str, Any]:
        """The specification as JSON has it."""
        return {**dataclasses.asdict(self), 'classes': list(self.classes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> 'Specification':
        """The specification that `to_dict` wrote."""
        options = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.get('options', {}).items()
        }
        return cls(
            **{**values, 'classes': tuple(values['classes']), 'options': options}
        )
