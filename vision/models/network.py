"""A network: named stages in a row, auxiliary heads beside them, a head behind."""

from collections.abc import Iterator, Mapping

import tensorflow as tf

from vision.errors import suggestion
from vision.layers import AuxiliaryHead, BatchNorm, Dropout, Head
from vision.layers.modes import Estimation, Mode
from vision.models.outputs import Outputs
from vision.models.registry import NORMALIZATIONS


class Network(tf.Module):
    """Images `[B, H, W, 3]` in 0..255 → `Outputs` of float32 logits.

    Outside training any H and W from the model's smallest up will do, unless the head
    flattens its map. In training the auxiliary heads, where there are any, need square
    images.

    Args:
        stages: what the images pass through in turn, each called as
            `stage(x, training)`, a `Dropout` with the seed behind it.
        channels: channels of the last stage's output.
        map_size: its side in pixels for images of `image_size`.
        classes: number of classes.
        image_size: side in pixels of the images to train on.
        min_image_size: the smallest such side at which a pixel is left to classify.
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
            training: whether dropout, batch statistics and auxiliary heads are on.
            seed: integer tensor [2] that determines the dropout masks; needed in
                training unless all dropout rates are 0.
        """
        return self._run(images, training, seed, heads=training)

    def every_head(self, images: tf.Tensor) -> Outputs:
        """The logits of all heads in inference; as in training, of square images."""
        return self._run(images, training=False, seed=None, heads=True)

    def estimate_batch_statistics(self, images: tf.Tensor, share: tf.Tensor) -> None:
        """Takes the statistics of a batch into the averages of the batch norms.

        The averages that training leaves moved along while the weights changed and the
        images were augmented. These are of the final weights on images as in inference.
        Frozen norms stay unchanged.

        Args:
            images: as for the whole network.
            share: as of `Estimation`.
        """
        self._run(images, Estimation(share), seed=None, heads=True)

    def batch_norms(self) -> list[BatchNorm]:
        """All of them, auxiliary heads included."""
        return _batch_norms(self)

    def until(self, endpoint: str, images: tf.Tensor) -> tf.Tensor:
        """The map that leaves a stage in inference, `[B, H', W', C]`.

        `network.after(name, network.until(name, images))` is `network(images)`, so a
        gradient by any map needs nothing but a tape around the second half.

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
        """The logits in inference of what `until` the same endpoint returned.

        Raises:
            ValueError: there is no such stage.
        """
        for name in self._split(endpoint)[1]:
            x = self._stage(name, x)
        return Outputs(self.head(x))

    def classify(
        self, features: tf.Tensor, training: bool = False, seed: tf.Tensor | None = None
    ) -> Outputs:
        """Returns the logits of images whose `features` are known.

        Args:
            features: `[B, features]`, as `features` returns them.
            training: whether dropout is on.
            seed: as for the whole network.
        """
        return Outputs(self.head.classify(features, training, seed))

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """What the head pools out of images in inference, float32 `[B, features]`."""
        x = self.until(list(self.stages)[-1], images)
        return tf.cast(self.head.pool(x), tf.float32)

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
        names = list(self.stages)
        frozen = names
        if trainable_stages:
            frozen = names[: names.index(with_variables[-trainable_stages])]
        self._frozen = frozenset(frozen)
        for norm in self.batch_norms():
            norm.frozen = batch_norms
        for name in frozen:
            for norm in _batch_norms(self.stages[name]):
                norm.frozen = True

    @property
    def unfrozen_variables(self) -> tuple[tf.Variable, ...]:
        """What training can change, averages of batch norms included."""
        frozen = {id(variable) for variable in self._frozen_variables()}
        return tuple(v for v in self.variables if id(v) not in frozen)

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """What gradients change: not the variables of frozen parts."""
        return tuple(v for v in self.unfrozen_variables if v.trainable)

    def depths(self) -> list[tuple[int, tf.Variable]]:
        """Each trainable variable and how many stages lie between it and the head.

        The head's own are at 0, those of the last stage with variables at 1, and those
        of an auxiliary head at 0 like the main one's.
        """
        with_variables = [stage for stage in self.stages.values() if stage.variables]
        found = {
            id(variable): depth
            for depth, stage in enumerate(reversed(with_variables), start=1)
            for variable in stage.variables
        }
        return [(found.get(id(v), 0), v) for v in self.trainable_variables]

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
        """The names of the stages up to the endpoint, and of those behind it."""
        names = list(self.stages)
        if endpoint not in names:
            raise ValueError(
                f'Expected an endpoint of {self.name}, {", ".join(names)}; '
                f'received {endpoint!r}.{suggestion(endpoint, names)}'
            )
        at = names.index(endpoint) + 1
        return names[:at], names[at:]

    def _frozen_variables(self) -> Iterator[tf.Variable]:
        for name, stage in self.stages.items():
            if name in self._frozen:
                yield from stage.variables
        for norm in self.batch_norms():
            if norm.frozen:
                yield from norm.variables


def _batch_norms(module: tf.Module) -> list[BatchNorm]:
    return [m for m in (module, *module.submodules) if isinstance(m, BatchNorm)]
