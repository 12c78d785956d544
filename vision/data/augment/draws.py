"""Random numbers that depend on nothing but a seed of each image.

A seed is an int64; what is drawn from it is the same in any batch,
on any thread, compiled or not. The generator is SplitMix64 (Steele, Lea and Flood
2014, doi:10.1145/2660193.2660195), which is a few integer operations on a whole batch:
TensorFlow's own stateless operations take one seed a call.
"""

import tensorflow as tf

_GAMMA = 0x9E3779B97F4A7C15  # The golden ratio; odd, so every 64-bit state occurs.
_CHILD = 0xD1342543DE82EF95  # Another odd number, so that seeds do not coincide.


def uniform(seeds: tf.Tensor, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
    """Numbers in low..high, one for each of the int64 seeds; float32 of their shape."""
    bits = tf.bitwise.right_shift(_mix(_unsigned(seeds), 1, _GAMMA), _constant(40))
    # 24 bits are what a float32 holds exactly.
    return low + (high - low) * (tf.cast(bits, tf.float32) * 2.0**-24)


def integers(seeds: tf.Tensor, count: int) -> tf.Tensor:
    """Whole numbers in 0..count - 1; int32 of the shape of the int64 seeds."""
    return tf.minimum(tf.cast(uniform(seeds) * count, tf.int32), count - 1)


def split(seeds: tf.Tensor, count: int) -> list[tf.Tensor]:
    """`count` independent seeds for each of the int64 seeds."""
    unsigned = _unsigned(seeds)
    return [tf.bitcast(_mix(unsigned, i + 1, _CHILD), tf.int64) for i in range(count)]


def of_examples(key: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """A seed for each image; int64 of the shape of the indices.

    Args:
        key: int64 [2], the run's seed and the epoch.
        indices: int64, which of the split's images.
    """
    first, second = tf.unstack(_unsigned(key))
    drawn = _mix(_mix(first, 1, _GAMMA) + second, 1, _GAMMA)
    return tf.bitcast(
        _mix(drawn + _unsigned(indices) * _constant(_CHILD), 1, _GAMMA), tf.int64
    )


def _mix(state: tf.Tensor, steps: int, gamma: int) -> tf.Tensor:
    state = state + _constant(steps * gamma)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = tf.bitwise.bitwise_xor(
            state, tf.bitwise.right_shift(state, _constant(shift))
        )
        state = state * _constant(factor)
    return tf.bitwise.bitwise_xor(state, tf.bitwise.right_shift(state, _constant(31)))


def _unsigned(seeds: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(tf.convert_to_tensor(seeds, tf.int64), tf.uint64)


def _constant(value: int) -> tf.Tensor:
    return tf.constant(value % 2**64, tf.uint64)
