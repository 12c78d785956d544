import inspect

import numpy as np
import pytest
import tensorflow as tf

from vision.data import augment, DatasetError, decode
from vision.data.augment import AUGMENTATIONS, compose, parse

NAMES = sorted(AUGMENTATIONS)


def _image(height: int = 24, width: int = 24) -> tf.Tensor:
    rng = np.random.default_rng(2)
    return tf.constant(rng.uniform(0, 255, [height, width, 3]), tf.float32)


def _seeds(count: int):
    return [tf.constant([9, i], tf.int64) for i in range(count)]


@pytest.mark.parametrize('name', NAMES)
def test_shape_dtype_and_range(name):
    for height, width in ((24, 24), (20, 31)):
        for seed in _seeds(8):
            out = AUGMENTATIONS[name](_image(height, width), seed, 24)
            cropped = name == 'random_resized_crop'
            assert out.shape == ((24, 24, 3) if cropped else (height, width, 3))
            assert out.dtype == tf.float32
            assert -1e-3 <= out.numpy().min() and out.numpy().max() <= 255 + 1e-3


@pytest.mark.parametrize('name', NAMES)
def test_the_seed_decides(name):
    function = tf.function(lambda seed: AUGMENTATIONS[name](_image(), seed, 24))
    first, again = ([function(s).numpy() for s in _seeds(8)] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len({image.tobytes() for image in first}) > 1
    assert any(not np.array_equal(image, _image()) for image in first)


@pytest.mark.parametrize('name', NAMES)
def test_seeds_may_be_int32(name):
    AUGMENTATIONS[name](_image(), tf.constant([1, 2]), 24)


@pytest.mark.parametrize('name', NAMES)
def test_works_on_pictures_of_unknown_size(name):
    signature = [tf.TensorSpec([None, None, 3]), tf.TensorSpec([2], tf.int64)]
    dynamic = tf.function(lambda x, seed: AUGMENTATIONS[name](x, seed, 24),
                          input_signature=signature)
    seed = _seeds(1)[0]
    np.testing.assert_allclose(dynamic(_image(), seed),
                               AUGMENTATIONS[name](_image(), seed, 24), atol=1e-2)


@pytest.mark.parametrize('spec', [
    'pad_crop:0', 'shift:0', 'rotate:0', 'zoom:0', 'brightness:0', 'contrast:0',
    'random_resized_crop:1:1'
])
def test_identity(spec):
    out = parse(spec)(_image(), _seeds(1)[0], 24)
    np.testing.assert_allclose(out, _image(), atol=1e-3)


def test_every_parameter_has_a_range_that_holds_its_default():
    for function in AUGMENTATIONS.values():
        for parameter in list(inspect.signature(function).parameters.values())[3:]:
            low, high = augment.RANGES[parameter.name]
            assert low <= parameter.default <= high


def test_flip_mirrors_half_of_the_time():
    image = _image()
    flipped = [
        not np.array_equal(augment.flip(image, s, 24), image) for s in _seeds(200)
    ]
    assert 70 < sum(flipped) < 130
    seed = _seeds(200)[flipped.index(True)]
    np.testing.assert_array_equal(augment.flip(image, seed, 24), image[:, ::-1])


@pytest.mark.parametrize('turns', [1, 2, 3])
def test_rotate_agrees_with_quarter_turns(turns):
    out = augment.rotate_by(_image(), turns * np.pi / 2)
    np.testing.assert_allclose(out, np.rot90(_image(), turns), atol=0.05)


def test_rotate_stays_within_its_degrees():
    ramp = tf.tile(tf.range(25.)[tf.newaxis, :, tf.newaxis], [25, 1, 3])
    slopes = []
    for seed in _seeds(50):
        out = augment.rotate(ramp, seed, 25, 30.).numpy()[..., 0]
        across, down = out[12, 14] - out[12, 10], out[14, 12] - out[10, 12]
        slopes.append(np.degrees(np.arctan2(down, across)))
    assert -30.5 < min(slopes) < -15 and 15 < max(slopes) < 30.5


def test_pad_crop_and_shift_move_by_whole_pixels_and_reflect():
    image = _image().numpy()
    for function, reach in ((augment.pad_crop, 4), (augment.shift, 5)):
        padded = np.pad(image, [[reach, reach], [reach, reach], [0, 0]], 'reflect')
        windows = {
            padded[y:y + 24, x:x + 24].tobytes(): (y, x) for y in range(2 * reach + 1)
            for x in range(2 * reach + 1)
        }
        found = [windows[function(image, s, 24).numpy().tobytes()] for s in _seeds(150)]
        for axis in (0, 1):
            assert {f[axis] for f in found} == set(range(2 * reach + 1))


@pytest.mark.parametrize('size', [16, 20, 40])
def test_random_resized_crop_is_a_crop_resized(size):
    image = _image(30, 40)
    for seed in _seeds(20):
        begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            [30, 40, 3], tf.zeros([1, 0, 4]), seed, min_object_covered=0.,
            aspect_ratio_range=(3 / 4, 4 / 3), area_range=(0.08, 1.),
            use_image_if_no_bounding_boxes=True)
        height, width, _ = extent.numpy()
        assert 0.06 < height * width / (30 * 40) <= 1
        assert 0.65 < width / height < 1.5
        crop = tf.slice(image, begin, extent)
        shrinks = bool(max(height, width) > 2 * size)
        expected = tf.image.resize(crop, [size, size], antialias=shrinks)
        np.testing.assert_allclose(augment.random_resized_crop(image, seed, size),
                                   expected, atol=1e-3)


def test_zoom_keeps_the_centre_and_magnifies_either_way():
    y, x = np.mgrid[:25, :25] - 12.
    distance = tf.constant(np.stack([np.hypot(x, y)] * 3, 2), tf.float32)
    factors = []
    for seed in _seeds(50):
        out = augment.zoom(distance, seed, 25, 0.5).numpy()[..., 0]
        assert out[12, 12] < 0.01 and abs(out[12, 6] - out[12, 18]) < 0.01
        factors.append(6 / out[12, 18])
    assert 0.49 < min(factors) < 0.8 and 1.2 < max(factors) < 1.51


def test_brightness_and_contrast_do_what_they_say():
    image = 100 + _image() / 10  # Far from the ends of the range.
    for seed in _seeds(10):
        offset = augment.brightness(image, seed, 24, 0.1) - image
        assert np.ptp(offset) < 1e-3 and np.abs(offset).max() <= 25.5
        scaled = augment.contrast(image, seed, 24, 0.5)
        np.testing.assert_allclose(np.mean(scaled, (0, 1)), np.mean(image, (0, 1)),
                                   atol=1e-2)
        factor = np.std(scaled) / np.std(image)
        assert 0.49 < factor < 1.51


def test_compose_without_specs_is_fit():
    for height, width in ((24, 24), (20, 31)):
        image = decode.to_uint8(_image(height, width))
        np.testing.assert_array_equal(
            compose((), 16)(image, _seeds(1)[0]), decode.fit(image, 16))


@pytest.mark.parametrize('name', NAMES)
def test_compose_makes_uint8_of_the_size(name):
    out = compose([name, 'flip'], 16)(decode.to_uint8(_image(20, 31)), _seeds(1)[0])
    assert out.dtype == tf.uint8 and out.shape == (16, 16, 3)


def test_compose_gives_each_spec_a_seed_of_its_own():
    image = decode.to_uint8(_image())
    twice = compose(['flip', 'flip'], 24)
    unchanged = [np.array_equal(twice(image, s), image) for s in _seeds(40)]
    assert 5 < sum(unchanged) < 35  # With one seed for both it would be all of them.


def test_compose_crops_from_the_full_resolution():
    image = np.zeros([64, 64, 3], np.uint8)
    image[:, ::2] = 255  # Stripes that survive only where nothing shrank before.
    spreads = [
        np.std(compose(['flip', 'random_resized_crop:0.05'], 16)(image, s))
        for s in _seeds(20)
    ]
    assert max(spreads) > 60 > np.std(decode.fit(tf.constant(image), 16))


@pytest.mark.parametrize('spec, parameters', [
    ('flip', ()),
    ('rotate', ()),
    ('rotate:20', (20.,)),
    ('pad_crop:2', (2,)),
    ('random_resized_crop:0.3', (0.3,)),
    ('random_resized_crop:0.3:1.5', (0.3, 1.5)),
])
def test_parse_reads(spec, parameters):
    assert parse(spec) == (spec.split(':')[0], parameters)


@pytest.mark.parametrize('spec, message', [
    ('rotat:20', "Unknown augmentation 'rotat'.*Did you mean rotate"),
    ('', "Unknown augmentation ''"),
    ('flip:1', 'too many numbers; expected at most flip'),
    ('rotate:20:3', 'too many numbers; expected at most rotate:degrees'),
    ('rotate:left', "degrees must be a number in 0..180, got 'left'"),
    ('rotate:', "degrees must be a number in 0..180, got ''"),
    ('rotate:-20', "got '-20'"),
    ('rotate:nan', "got 'nan'"),
    ('shift:0.7', 'fraction must be a number in 0..0.5'),
    ('pad_crop:1.5', 'padding must be a whole number in 0..16'),
])
def test_parse_refuses(spec, message):
    with pytest.raises(DatasetError, match=message):
        parse(spec)
