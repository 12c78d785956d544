import numpy as np
import pytest
import tensorflow as tf

from vision.data.augment import draws

COUNT = 100_000
SEEDS = tf.range(COUNT, dtype=tf.int64)
FAR = tf.range(-(2**62), -(2**62) + COUNT, dtype=tf.int64)  # Seeds of any size will do.

GAMMA, CHILD = 0x9E3779B97F4A7C15, 0xD1342543DE82EF95


def splitmix64(state: int, steps: int = 1, gamma: int = GAMMA) -> int:
    """The generator as its paper has it, in Python's own numbers."""
    z = (state + steps * gamma) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def signed(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def shares(seeds: tf.Tensor) -> np.ndarray:
    return draws.uniform(seeds).numpy().astype(float)


# Published: the first three of state 0, the first five of state 1234567.
@pytest.mark.parametrize(
    'state, outputs',
    [
        (0, (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)),
        (
            1234567,
            (
                6457827717110365317,
                3203168211198807973,
                9817491932198370423,
                4593380528125082431,
                16408922859458223821,
            ),
        ),
    ],
)
def test_uniform_draws_the_first_24_bits_of_splitmix64(state, outputs):
    seeds = [signed(state + i * GAMMA) for i in range(len(outputs))]
    assert [splitmix64(seed) for seed in seeds] == list(outputs)
    np.testing.assert_array_equal(shares(seeds), [(n >> 40) / 2**24 for n in outputs])


@pytest.mark.parametrize('state', [0, 1, -1, 2**63 - 1, -(2**63)])
def test_split_and_of_examples_are_splitmix64_too(state):
    expected = [signed(splitmix64(state, i + 1, CHILD)) for i in range(3)]
    assert [
        int(child) for child in draws.split(tf.constant(state, tf.int64), 3)
    ] == expected
    drawn = splitmix64(splitmix64(state) + 6)
    expected = [signed(splitmix64(drawn + i * CHILD)) for i in range(3)]
    seeds = draws.of_examples(tf.constant([state, 6], tf.int64), SEEDS[:3])
    np.testing.assert_array_equal(seeds, expected)


@pytest.mark.parametrize(
    'seeds',
    [
        SEEDS,
        FAR,
        2 * SEEDS,
        2**32 * SEEDS,
        draws.split(SEEDS, 3)[2],
        draws.of_examples(tf.constant([3, 1], tf.int64), SEEDS),
    ],
    ids=['consecutive', 'far', 'even', 'high_bits', 'children', 'examples'],
)
def test_uniform_is_uniform(seeds):
    drawn = shares(seeds)
    assert 0 <= drawn.min() < 1e-4 and 1 - 1e-4 < drawn.max() < 1
    # Five standard deviations of each.
    assert abs(drawn.mean() - 1 / 2) < 5 * (1 / 12 / COUNT) ** 0.5
    assert abs(drawn.var() - 1 / 12) < 5 * (1 / 180 / COUNT) ** 0.5
    for digits in (drawn, drawn * 256 % 1, drawn * 2**16 % 1):
        counts = np.bincount((digits * 256).astype(int), minlength=256)
        chi_square = np.sum((counts - COUNT / 256) ** 2) / (COUNT / 256)
        assert abs(chi_square - 255) < 5 * (2 * 255) ** 0.5


def test_uniform_scales_to_its_bounds():
    drawn = draws.uniform(SEEDS, -3.0, 7.0).numpy()
    assert -3 <= drawn.min() < -2.99 and 6.99 < drawn.max() <= 7
    np.testing.assert_allclose(drawn, 10 * shares(SEEDS) - 3, atol=1e-5)


def test_integers_are_all_as_likely():
    drawn = draws.integers(SEEDS, 14).numpy()
    assert drawn.dtype == np.int32
    counts = np.bincount(drawn)
    assert len(counts) == 14 and np.ptp(counts) < 10 * (COUNT / 14) ** 0.5
    assert not draws.integers(SEEDS, 1).numpy().any()


def test_neighbours_children_and_parents_are_not_correlated():
    key = tf.constant([0, 0], tf.int64)
    next_epoch, next_seed = tf.constant([0, 1], tf.int64), tf.constant([1, 0], tf.int64)
    drawn = [
        shares(seeds)
        for seeds in (
            SEEDS,
            SEEDS + 1,
            SEEDS + 2,
            *draws.split(SEEDS, 4),
            *draws.split(SEEDS + 1, 2),
            draws.split(draws.split(SEEDS, 1)[0], 1)[0],
            draws.of_examples(key, SEEDS),
            draws.of_examples(next_epoch, SEEDS),
            draws.of_examples(next_seed, SEEDS),
        )
    ]
    correlations = np.corrcoef(drawn) - np.eye(len(drawn))
    assert np.abs(correlations).max() < 5 / COUNT**0.5


def test_an_element_is_the_same_in_any_batch():
    key = tf.constant([5, 2], tf.int64)
    for draw in (
        draws.uniform,
        lambda s: draws.integers(s, 9),
        lambda s: tf.stack(draws.split(s, 3), -1),
        lambda s: draws.of_examples(key, s),
    ):
        whole = draw(SEEDS[:60])
        np.testing.assert_array_equal(draw(tf.reverse(SEEDS[:60], [0])), whole[::-1])
        np.testing.assert_array_equal(draw(SEEDS[17]), whole[17])
        np.testing.assert_array_equal(
            draw(tf.reshape(SEEDS[:60], [3, 20]))[1], whole[20:40]
        )


def test_split_starts_alike_for_any_count():
    few, many = draws.split(SEEDS[:9], 2), draws.split(SEEDS[:9], 5)
    np.testing.assert_array_equal(few, many[:2])


def test_examples_of_any_seed_epoch_and_index_differ():
    seeds = [
        draws.of_examples(tf.constant(key, tf.int64), SEEDS).numpy()
        for key in ((0, 0), (0, 1), (1, 0), (1, 1), (-1, 2**40))
    ]
    assert len(np.unique(seeds)) == 5 * COUNT


@pytest.mark.parametrize('compiled', [False, True])
def test_graphs_draw_what_eager_code_draws(compiled):

    def draw(key: tf.Tensor, indices: tf.Tensor) -> list[tf.Tensor]:
        seeds = draws.of_examples(key, indices)
        children = draws.split(seeds, 3)
        return [
            seeds,
            *children,
            draws.uniform(children[2]),
            draws.integers(children[1], 1000),
        ]

    key = tf.constant([3, 8], tf.int64)
    graph = tf.function(draw, jit_compile=compiled)
    for expected, drawn in zip(draw(key, SEEDS), graph(key, SEEDS)):
        np.testing.assert_array_equal(drawn, expected)
