"""What a list of augmentations does to the images of a batch."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from vision.data.augment import colour, draws, geometry, mixing
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

    A crop that comes first is taken from the full resolution. All others are applied at
    the size of the network's images, so that numbers in pixels refer to these. Each
    augmentation draws from a separate seed.

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

    def decode(
        self, contents: tf.Tensor, seed: tf.Tensor, plain: bool = False
    ) -> tf.Tensor:
        """Decodes a file's bytes, cropped or fitted, to uint8 [size, size, 3].

        Args:
            contents: string scalar.
            seed: int64 scalar.
            plain: whether `decode.is_plain` holds.
        """
        if self.crops:
            return self._resize(decode.crop(contents, self._window(seed), plain))
        decoder = decode.decode_plain if plain else decode.decode
        return decode.fit(decoder(contents, at_least=self.size), self.size)

    def __call__(
        self,
        images: tf.Tensor,
        seeds: tf.Tensor,
        sample_weights: tf.Tensor,
        prepared: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Crops or fits a batch, and augments it.

        Args:
            images: uint8 [B, h, w, 3].
            seeds: int64 [B].
            sample_weights: float32 [B]; an image is not mixed with one of weight 0.
            prepared: whether the images come from `decode`, cropped or fitted.

        Returns:
            The images, uint8 [B, size, size, 3], and the share of each result that is
            the image itself, float32 [B]; None where nothing is mixed.
        """
        if not prepared and not self._takes(*images.shape[1:3]):
            images, prepared = self._prepared(images, seeds), True
        if not self._steps[1 if prepared and self.crops else 0 :]:
            return images, None
        augmented, shares = self._compiled(images, seeds, sample_weights, prepared)
        return augmented, shares if self._steps[-1].name in MIXING else None

    def _takes(self, height: int, width: int) -> bool:
        """Whether whole batches of such images can be augmented at once."""
        if self.crops:
            # See `decode.resize` for the bound: here nothing is antialiased.
            return height == width <= 2 * self.size
        return height == width == self.size

    def _prepared(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Crops or fits uint8 [B, h, w, 3] to [B, size, size, 3]."""
        if not self.crops:
            return decode.fit(images, self.size)

        def crop(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            return self._resize(decode.cut(image, self._window(seed)))

        return for_each(crop, images, seeds, self.size)

    def _window(self, seed: tf.Tensor) -> Callable[..., tf.Tensor]:
        crop = self._steps[0]
        numbers = [p.default for p in parameters(crop.name)]
        numbers[: len(crop.numbers)] = crop.numbers
        crop_seed = draws.split(seed, len(self._steps))[0]
        return lambda height, width: geometry.crop_window(
            crop_seed, height, width, *numbers
        )

    def _resize(self, image: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(
            decode.resize(image, self.size), [self.size, self.size, 3]
        )

    def _apply(
        self, images: tf.Tensor, seeds: tf.Tensor, weights: tf.Tensor, prepared: bool
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.cast(images, tf.float32)
        shares = tf.ones_like(weights)
        affine: geometry.Affine | None = None
        pairs = list(zip(self._steps, draws.split(seeds, len(self._steps))))
        for step, step_seeds in pairs[1 if prepared and self.crops else 0 :]:
            if step.name in GEOMETRIC:
                moved = step(
                    step_seeds, affine.size if affine else images.shape[1], self.size
                )
                affine = affine.then(moved) if affine else moved
                continue
            images, affine = _warp(images, affine), None
            if step.name in PHOTOMETRIC:
                images = step(images, step_seeds)
            else:
                mixed, mixed_shares = step(images, step_seeds)
                usable = mixing.partners(weights) > 0
                images = tf.where(colour.per_image(usable), mixed, images)
                shares = tf.where(usable, mixed_shares, 1.0)
        return decode.to_uint8(_warp(images, affine)), shares


def for_each(
    function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    examples: tf.Tensor,
    seeds: tf.Tensor,
    size: int,
) -> tf.Tensor:
    """Applies a function to each example of a batch and its seed.

    Args:
        function: `(example, seed) -> image`, uint8 [size, size, 3].
        examples: [B, ...].
        seeds: int64 [B].
        size: side of the images in pixels.

    Returns:
        uint8 [B, size, size, 3].
    """
    # One after the other: the batches run in parallel, that is cheaper, and only one
    # large image a batch is in memory.
    return tf.map_fn(
        lambda args: function(*args),
        (examples, seeds),
        parallel_iterations=1,
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
    )


def _warp(images: tf.Tensor, affine: geometry.Affine | None) -> tf.Tensor:
    return images if affine is None else geometry.warp(images, affine)
