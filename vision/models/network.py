"""A network: a sequence of named stages, auxiliary heads, and a head at the end."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from vision.errors import suggestion
from vision.layers import AuxiliaryHead, BatchNorm, Dropout, Estimation, Head, Mode
from vision.models.registry import NORMALIZATIONS


class Outputs(NamedTuple):
    """Logits of a model's heads, each float32 `[B, classes]`.

    Attributes:
        main: logits of the classifier at the end.
        aux: logits of the auxiliary heads, the shallowest first; empty outside
            training.
    """

    main: tf.Tensor
    aux: tuple[tf.Tensor, ...] = ()


class Network(tf.Module):
    """Images `[B, H, W, 3]` in 0..255 → `Outputs` of float32 logits.

    In inference any H and W from `min_image_size` on are possible, unless the head
    flattens its map. In training auxiliary heads need square images.

    Args:
        stages: the layers in their order, called as `stage(x, training)`, a `Dropout`
            also with the seed.
        channels: channels of the last stage's output.
        map_size: side of that output in pixels for images of `image_size`.
        classes: number of classes.
        image_size: side in pixels of the images to train on.
        min_image_size: the smallest side for which the last map has a pixel.
        normalization: a key of `NORMALIZATIONS`, applied to the images first.
        heads: auxiliary heads by the stage whose output they take.
        dtype: floating-point type of the arithmetic; variables and logits are float32.
        **head: options of `Head`.

    Raises:
        ValueError: a number is out of range.
        UserError: the normalization is unknown.
    """

    def __init__(
        self,
        stages: Mapping[str, tf.Module],
        channels: int,
        map_size: int,
        *,
        classes: int,
        image_size: int,
        min_image_size: int,
        normalization: str,
        heads: Mapping[str, AuxiliaryHead] | None = None,
        dtype: tf.DType = tf.float32,
        name: str = 'network',
        **head,
    ):
        super().__init__(name=name)
        if classes < 2:
            raise ValueError(f'Expected at least 2 classes, received {classes}.')
        if image_size < min_image_size:
            raise ValueError(
                f'Expected images of at least {min_image_size} pixels '
                f'for {name}, received image_size={image_size}.'
            )
        self.classes = classes
        self.image_size = image_size
        self.min_image_size = min_image_size
        self.normalization = normalization
        self._normalize = NORMALIZATIONS.load(normalization)
        self.dtype = dtype
        self.stages = dict(stages)
        self.heads = dict(heads or {})
        self.head = Head(channels, map_size, classes, dtype=dtype, **head)
        self._frozen: frozenset[str] = frozenset()

    def __call__(
        self, images: tf.Tensor, training: bool = False, seed: tf.Tensor | None = None
    ) -> Outputs:
        """Returns the logits.

        Args:
            images: `[B, H, W, 3]` RGB in 0..255, uint8 or floating point.
            training: whether dropout, batch statistics and auxiliary heads are used.
            seed: integer tensor `[2]` that determines the dropout masks; required in
                training unless all dropout rates are 0.
        """
        return self._run(images, training, seed, heads=training)

    def every_head(self, images: tf.Tensor) -> Outputs:
        """The logits of all heads in inference, of square images."""
        return self._run(images, training=False, seed=None, heads=True)

    def estimate_batch_statistics(self, images: tf.Tensor, share: tf.Tensor) -> None:
        """Takes the statistics of a batch into the averages of the batch norms.

        The averages of training include earlier weights and augmented images; these are
        of the current weights and of images as in inference. Frozen batch norms are not
        changed.

        Args:
            images: as for the whole network.
            share: as of `Estimation`.
        """
        self._run(images, Estimation(share), seed=None, heads=True)

    def batch_norms(self) -> list[BatchNorm]:
        """All batch norms, those of auxiliary heads included."""
        return [m for m in self.submodules if isinstance(m, BatchNorm)]

    @property
    def dropout_rates(self) -> dict[str, float]:
        """The dropout rates of the heads, by the options of models that change them."""
        rates = {
            'dropout': self.head.dropout.rate,
            'feature_dropout': self.head.feature_dropout.rate,
        }
        for head in self.heads.values():
            rates['aux_dropout'] = head.dropout.rate
        return rates

    def until(self, endpoint: str, images: tf.Tensor) -> tf.Tensor:
        """The output of a stage in inference, `[B, H', W', C]`.

        `network.after(name, network.until(name, images))` equals `network(images)`, so
        that a gradient tape around the second half gives gradients by any map.

        Args:
            endpoint: the stage, a key of `stages`.
            images: as for the whole network.

        Raises:
            ValueError: there is no such stage.
        """
        x = self._prepared(images)
        for name in self._split(endpoint)[0]:
            x = self._stage(name, x)
        return x

    def after(self, endpoint: str, x: tf.Tensor) -> Outputs:
        """The logits in inference from the output of `until` with the same endpoint.

        Raises:
            ValueError: there is no such stage.
        """
        for name in self._split(endpoint)[1]:
            x = self._stage(name, x)
        return Outputs(self.head(x))

    def classify(
        self, features: tf.Tensor, training: bool = False, seed: tf.Tensor | None = None
    ) -> Outputs:
        """Returns the logits from the features of images.

        Args:
            features: `[B, features]`, as the method `features` returns them.
            training: whether dropout is used.
            seed: as for the whole network.
        """
        return Outputs(self.head.classify(features, training, seed))

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """The pooled features of images in inference, float32 `[B, features]`."""
        return tf.cast(
            self.head.pool(self.until(list(self.stages)[-1], images)), tf.float32
        )

    def freeze(
        self, trainable_stages: int | None = None, batch_norms: bool = False
    ) -> None:
        """Excludes parts of the network from training, and trains all others.

        Frozen parts run in inference mode in training too, batch norms by their moving
        averages, and their variables are not in `trainable_variables`. The choice is
        part of a trace: trace functions anew afterwards.

        Args:
            trainable_stages: how many of the stages that have variables are trained,
                counted from the last; 0 freezes the whole backbone, None no stage.
            batch_norms: whether all batch norms are frozen, those of auxiliary heads
                included.

        Raises:
            ValueError: there are fewer stages.
        """
        with_variables = [name for name, s in self.stages.items() if s.variables]
        if trainable_stages is None:
            trainable_stages = len(with_variables)
        if not 0 <= trainable_stages <= len(with_variables):
            raise ValueError(
                f'Expected trainable_stages in 0..{len(with_variables)}, the stages '
                f'of {self.name} with variables; received {trainable_stages}.'
            )
        frozen = list(self.stages)
        if trainable_stages:
            del frozen[frozen.index(with_variables[-trainable_stages]) :]
        self._frozen = frozenset(frozen)
        inside = {
            m for n in frozen for m in (self.stages[n], *self.stages[n].submodules)
        }
        for norm in self.batch_norms():
            norm.frozen = batch_norms or norm in inside

    @property
    def unfrozen_variables(self) -> tuple[tf.Variable, ...]:
        """The variables that training changes, averages of batch norms included."""
        parts = [self.stages[name] for name in self._frozen]
        parts += [norm for norm in self.batch_norms() if norm.frozen]
        frozen = {id(variable) for part in parts for variable in part.variables}
        return tuple(v for v in self.variables if id(v) not in frozen)

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The variables that gradients change; excludes those of frozen parts."""
        return tuple(v for v in self.unfrozen_variables if v.trainable)

    def depths(self) -> list[tuple[int, tf.Variable]]:
        """The trainable variables, each with its number of stages from the head.

        Variables of the head and of auxiliary heads have the depth 0, those of the last
        stage with variables 1.
        """
        with_variables = [stage for stage in self.stages.values() if stage.variables]
        depths = {
            id(variable): depth
            for depth, stage in enumerate(reversed(with_variables), start=1)
            for variable in stage.variables
        }
        return [(depths.get(id(v), 0), v) for v in self.trainable_variables]

    def _run(
        self, images: tf.Tensor, training: Mode, seed: tf.Tensor | None, heads: bool
    ) -> Outputs:
        x, aux = self._prepared(images), []
        for name in self.stages:
            x = self._stage(name, x, training, seed)
            if heads and name in self.heads:
                aux.append(self.heads[name](x, training, seed))
        return Outputs(self.head(x, training, seed), tuple(aux))

    def _prepared(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(self._normalize(tf.cast(images, tf.float32)), self.dtype)

    def _stage(
        self,
        name: str,
        x: tf.Tensor,
        training: Mode = False,
        seed: tf.Tensor | None = None,
    ) -> tf.Tensor:
        stage = self.stages[name]
        if name in self._frozen:
            training = False
        if isinstance(stage, Dropout):
            return stage(x, training, seed)
        return stage(x, training)

    def _split(self, endpoint: str) -> tuple[list[str], list[str]]:
        """The names of the stages up to the endpoint, and of the others."""
        names = list(self.stages)
        if endpoint not in names:
            raise ValueError(
                f'Expected an endpoint of {self.name}, {", ".join(names)}; '
                f'received {endpoint!r}.{suggestion(endpoint, names)}'
            )
        end = names.index(endpoint) + 1
        return names[:end], names[end:]
