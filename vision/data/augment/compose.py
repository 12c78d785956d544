"""What a list of augmentations does to the images of a batch."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from vision.data.augment import draws, geometry, mixing
from vision.data.augment.specs import (
    GEOMETRIC,
    MIXING,
    PHOTOMETRIC,
    Augmentation,
    checked,
    parameters,
)
from vision.data.decoding import decode
from vision.errors import UserError


class Augmenter:
    """A list of augmentations, applied in order to images of any size.

    A crop that comes first is taken from the full resolution; everything else happens
    at the size that the network wants, so that numbers in pixels are the network's.
    Each entry draws from a seed of its own.

    Args:
        augmentations: the list.
        size: side in pixels of the images that come out.

    Raises:
        UserError: an augmentation is not as `checked` expects it, or one that mixes
            images is not the last.
    """

    def __init__(self, augmentations: Sequence[Augmentation], size: int):
        self.size = size
        self._steps = [checked(augmentation) for augmentation in augmentations]
        for step in self._steps[:-1]:
            if step.name in MIXING:
                raise UserError(
                    f'Expected {step.name}, which mixes images, as the last '
                    f'augmentation; received {",".join(map(str, self._steps))}.',
                    'augment',
                )
        self.crops = bool(self._steps) and self._steps[0].name == 'random_resized_crop'
        # Compiled, all of it is a few loops over the pixels: five times as fast.
        self._compiled = tf.function(self._apply, jit_compile=True, autograph=False)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with others, and labels with theirs."""
        return bool(self._steps) and self._steps[-1].name in MIXING

    def takes(self, side: int) -> bool:
        """Whether whole batches of such a side will do, without `prepare`."""
        # See `decode.resize` for the bound: here nothing is antialiased.
        return side <= 2 * self.size if self.crops else side == self.size

    def prepare(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Crops or fits uint8 [h, w, 3] to [size, size, 3]."""
        if not self.crops:
            return decode.fit(image, self.size)
        height, width, _ = tf.unstack(tf.shape(image))
        top, left, rows, columns = tf.unstack(self._window(seed)(height, width))
        return self._resize(image[top : top + rows, left : left + columns])

    def prepare_contents(
        self, contents: tf.Tensor, seed: tf.Tensor, plain: bool = False
    ) -> tf.Tensor:
        """The same from a file's bytes; plain: whether `decode.is_plain` holds."""
        if self.crops:
            return self._resize(decode.crop(contents, self._window(seed), plain))
        decoder = decode.decode_plain if plain else decode.decode
        return decode.fit(decoder(contents, at_least=self.size), self.size)

    def _window(self, seed: tf.Tensor) -> Callable[..., tf.Tensor]:
        crop = self._steps[0]
        numbers = [p.default for p in parameters(crop.name)]
        numbers[: len(crop.numbers)] = crop.numbers
        own_seed = draws.split(seed, len(self._steps))[0]
        return lambda height, width: geometry.crop_window(
            own_seed, height, width, *numbers
        )

    def _resize(self, image: tf.Tensor) -> tf.Tensor:
        resized = decode.resize(image, self.size)
        return tf.ensure_shape(resized, [self.size, self.size, 3])

    def __call__(
        self,
        images: tf.Tensor,
        seeds: tf.Tensor,
        weights: tf.Tensor,
        prepared: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Augments a batch; returns uint8 [B, size, size, 3] and shares.

        Args:
            images: uint8 [B, h, w, 3].
            seeds: int64 [B].
            weights: float32 [B]; what is mixed with an image of weight 0 stays whole.
            prepared: whether `prepare` has been at them.

        Returns:
            The images, and the share of each that is its own, float32 [B]; None
            where nothing is mixed.
        """
        if not self._steps[1 if prepared and self.crops else 0 :]:
            return images, None
        augmented, shares = self._compiled(images, seeds, weights, prepared)
        return augmented, shares if self.mixes else None

    def _apply(
        self, images: tf.Tensor, seeds: tf.Tensor, weights: tf.Tensor, prepared: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(images, tf.float32)
        shares = tf.ones_like(weights)
        affine: geometry.Affine | None = None
        pairs = list(zip(self._steps, draws.split(seeds, len(self._steps))))
        for step, own in pairs[1 if prepared and self.crops else 0 :]:
            if step.name in GEOMETRIC:
                moved = step(own, affine.size if affine else images.shape[1], self.size)
                affine = affine.then(moved) if affine else moved
                continue
            images, affine = _warp(images, affine), None
            if step.name in PHOTOMETRIC:
                images = step(images, own)
            else:
                images, shares = _mix(step, images, own, weights)
        return decode.to_uint8(_warp(images, affine)), shares


def _warp(images: tf.Tensor, affine: geometry.Affine | None) -> tf.Tensor:
    return images if affine is None else geometry.warp(images, affine)


def _mix(
    step: Augmentation, images: tf.Tensor, seeds: tf.Tensor, weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    mixed, shares = step(images, seeds)
    usable = mixing.partners(weights) > 0
    return (
        tf.where(tf.reshape(usable, [-1, 1, 1, 1]), mixed, images),
        tf.where(usable, shares, 1.0),
    )
