"""The specification of a model, which is stored with its weights."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from vision import models


@dataclasses.dataclass(frozen=True)
class Specification:
    """How images are prepared for a network, and the classes of its logits.

    It is stored with the weights, so that evaluation, prediction and exports prepare
    images as training does.

    Attributes:
        model: a key of `vision.models.MODELS`.
        classes: names of the classes in the order of the logits.
        image_size: side in pixels that images are resized to.
        normalization: a key of `NORMALIZATIONS`; the model applies it itself.
        channels: order of the channels of the images.
        options: the other options that the model was made with, except for those that
            change no shape.
    """

    model: str
    classes: tuple[str, ...]
    image_size: int
    normalization: str
    channels: str = 'RGB'
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def build(self, **options) -> models.Network:
        """Makes the model with random weights; options are those of `models.create`."""
        return models.create(
            self.model,
            classes=len(self.classes),
            image_size=self.image_size,
            normalization=self.normalization,
            **self.options,
            **options,
        )

    def to_dict(self) -> dict[str, Any]:
        """The specification as JSON values."""
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
