"""What is known of each image, from wherever it comes."""

import dataclasses
from pathlib import Path

import numpy as np
import odd_images
import pytest

from vision.data import SPLITS, ArraySplit, FileSplit, Source
from vision.data.decoding.decode import decode_traced, fit
from vision.survey import problems, statistics
from vision.survey.describing import FACTS, Decoded, describe, describe_file
from vision.survey.survey import Survey, survey


def problems_of(seen) -> set[tuple[str, str]]:
    return {(p.kind, seen.name(p.image).split('/', 1)[1]) for p in problems.find(seen)}


def test_problems_are_those_that_were_planted(seen):
    assert problems_of(seen) == {
        ('undecodable', 'cat/broken.jpg'),
        ('wrong extension', 'cat/wrong.png'),
        ('tiny', 'cat/thin.png'),
        ('extreme aspect', 'cat/thin.png'),
        ('single colour', '<b>dog/flat.png'),
        ('converted', '<b>dog/clear.png'),
        ('rotated', '<b>dog/turned.jpg'),
    }
    details = {p.kind: p.detail for p in problems.find(seen)}
    assert details['wrong extension'] == 'a JPEG file named .png'
    assert details['extreme aspect'] == '120x12'
    assert details['converted'] == 'RGBA'
    assert details['rotated'] == 'orientation 6'
    assert 'Invalid JPEG data' in details['undecodable']
    assert details['undecodable'].endswith('; Pillow: opens it as JPEG')


def test_a_missing_file_is_a_problem_of_its_own(source):
    train = source.splits['train']
    gone = dataclasses.replace(train, paths=['/no/such/file', *train.paths[1:]])
    twice = dataclasses.replace(source, splits={**source.splits, 'train': gone})
    assert survey(twice).reasons[0] == 'No such file or directory'


def test_formats_modes_and_sizes_are_counted(seen):
    assert statistics.common(seen.facts['format']) == {'JPEG': 15, 'PNG': 7}
    assert statistics.common(seen.facts['mode']) == {'RGB': 20, 'L': 1, 'RGBA': 1}
    width = statistics.sizes(seen, seen.members('validation'))['width']
    values = [64, 96, 96, 120]
    assert width['count'] == 4 and width['min'] == 64 and width['max'] == 120
    assert width['mean'] == np.mean(values) and width['50%'] == 96
    assert width['std'] == pytest.approx(np.std(values, ddof=1))
    assert width['25%'] == np.quantile(values, 0.25)


def test_sizes_of_system_a_are_of_train_only(seen):
    # One of the 15 training images cannot be decoded.
    assert statistics.sizes_of_system_a(seen)['height']['count'] == 14
    assert statistics.sizes_of_system_a(seen)['classes'] == 2


def test_channels_are_those_of_all_fitted_training_images(source, seen):
    split = source.splits['train']
    fitted = []
    for path in split.paths:
        if 'broken' not in path:
            with open(path, 'rb') as file:
                fitted.append(fit(decode_traced(file.read()), 32).numpy())
    pixels = np.stack(fitted).reshape(-1, 3) / 255
    channels = statistics.channels(seen)
    assert channels['images'] == 14
    np.testing.assert_allclose(channels['mean'], pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(channels['std'], pixels.std(0), rtol=1e-5)
    np.testing.assert_allclose(channels['mean_255'], 255 * pixels.mean(0), rtol=1e-5)


def _described(count: int, classes: int = 1, **columns) -> Survey:
    """A survey of training images of which these facts are known."""
    labels = np.arange(count, dtype=np.int32) % classes
    split = FileSplit(labels, [f'{i}.png' for i in range(count)], [''] * count)
    names = tuple(f'class {i}' for i in range(classes))
    facts = np.zeros(count, FACTS)
    facts['good'] = True
    for name, values in columns.items():
        facts[name] = values
    return Survey(
        Source('described', names, dict.fromkeys(SPLITS, split), 32, fixed_size=False),
        32,
        split=np.zeros(count, np.uint8),
        index=np.arange(count),
        labels=labels,
        facts=facts,
        thumbnails=np.zeros([count, 12, 12, 3], np.uint8),
        reasons=[''] * count,
    )


def test_dark_bright_and_dull_images_are_far_from_the_median():
    # The median deviation is 4: a score of 3.5 is 20.76 away.
    values = np.array([*range(-4, 5), -20.9, -20.9, -20.6, 20.6, 20.6, 20.9])
    seen = _described(15, brightness=50 + values, contrast=50 - values)
    light = statistics.brightness(seen)
    assert (light['dark'], light['bright'], light['low_contrast']) == (2, 1, 1)
    assert light['brightness']['count'] == light['contrast']['count'] == 15
    none = _described(2, good=False)
    assert statistics.brightness(none) == {'brightness': {'count': 0}}
    assert statistics.channels(none) == {'images': 0}


def test_the_extremes_come_first_and_bad_images_are_none_of_them():
    seen = _described(
        5,
        brightness=[0.3, 0.1, 0.5, 0.2, 0],
        contrast=[0.2, 0.4, 0.1, 0.3, 0],
        good=[True] * 4 + [False],
    )
    extremes = {name: at.tolist() for name, at in statistics.extremes(seen, 2).items()}
    assert extremes == {
        'darkest': [1, 3],
        'brightest': [2, 0],
        'least contrast': [2, 0],
    }


def test_sizes_of_system_a_are_of_25_classes():
    seen = _described(30, classes=30, width=np.arange(30), height=2 * np.arange(30))
    sizes = statistics.sizes_of_system_a(seen)
    assert sizes['classes'] == sizes['width']['count'] == 25
    assert (sizes['width']['max'], sizes['height']['max']) == (24, 48)


def test_one_value_has_no_deviation_and_none_has_nothing():
    assert statistics.describe(np.array([])) == {'count': 0}
    one = statistics.describe(np.array([3], np.int32))
    assert (one['count'], one['std'], one['min'], one['75%']) == (1, 0, 3, 3)


def test_a_class_without_images_has_no_ratio():
    labels = np.zeros(3, np.int32)
    split = FileSplit(labels, ['a', 'b', 'c'], ['', '', ''])
    splits = dict.fromkeys(SPLITS, split)
    source = Source('empty', ('a', 'b'), splits, 32, fixed_size=False)
    assert statistics.imbalance(source) == {
        'largest': ['a', 3],
        'smallest': ['b', 0],
        'ratio': None,
    }
    assert {k: v.tolist() for k, v in statistics.class_counts(source).items()} == (
        dict.fromkeys(SPLITS, [3, 0])
    )


def test_problems_begin_just_beyond_their_bounds():
    seen = _described(
        6,
        width=[16, 15, 64, 65, 16, 16],
        height=[16, 16, 16, 16, 64, 65],
        mode=[b'RGB', b'L', b'', b'P', b'1', b'RGBA'],
        orientation=[0, 1, 2, 8, 1, 1],
        animated=[False, True, False, False, False, False],
        format=[b'PNG', b'MPO', b'JPEG', b'PNG', b'PNG', b'PNG'],
        good=[True] * 5 + [False],
    )
    seen.reasons[4:] = ['not known', 'broken']
    listed = [(p.kind, p.image, p.detail) for p in problems.find(seen)]
    assert listed == [
        ('undecodable', 5, 'broken'),
        ('refused by Pillow', 4, 'not known'),
        ('wrong extension', 1, 'a JPEG file named .png'),
        ('wrong extension', 2, 'a JPEG file named .png'),
        ('tiny', 1, '15x16'),
        ('extreme aspect', 3, '65x16'),
        ('converted', 3, 'P'),
        ('converted', 4, '1'),
        ('rotated', 2, 'orientation 2'),
        ('rotated', 3, 'orientation 8'),
        ('animated', 1, '15x16'),
    ]


def test_rare_kinds_of_files_are_described(tmp_path):
    rows = np.zeros([odd_images.HEIGHT, 3 * odd_images.WIDTH], np.uint8)
    unknown = odd_images.chunk(b'zTXt', b'Comment\0\7x')
    files = {
        **odd_images.whole(),
        **{name: contents for name, (contents, _) in odd_images.broken().items()},
        'unknown.png': odd_images.png(2, 8, rows, unknown),
    }
    kinds = {
        '16_bit_grey.png': (b'PNG', b'I;16', 0, False, ''),
        '16_bit.png': (b'PNG', b'RGB;16', 0, False, ''),
        'grey.png': (b'PNG', b'L', 0, False, ''),
        'turned_8.jpg': (b'JPEG', b'RGB', 8, False, ''),
        'animated.gif': (b'GIF', b'P', 0, True, ''),
        'still.gif': (b'GIF', b'P', 0, False, ''),
        'unknown.png': (b'', b'', 0, False, 'cannot identify image file'),
        'tiff.jpg': (
            b'TIFF',
            b'RGB',
            0,
            False,
            'Not a JPEG, PNG, GIF, BMP or WebP file; Pillow: opens it as TIFF',
        ),
        'text.jpg': (
            b'',
            b'',
            0,
            False,
            'Not a JPEG, PNG, GIF, BMP or WebP file; '
            'Pillow: cannot identify image file',
        ),
    }
    paths = [str(tmp_path / name) for name in kinds]
    for name, path in zip(kinds, paths):
        Path(path).write_bytes(files[name])
    split = FileSplit(np.zeros(len(paths), np.int32), list(kinds), paths)
    for i, (name, expected) in enumerate(kinds.items()):
        (facts,) = np.zeros(1, FACTS)
        reason = describe_file(split, i, 16, facts, np.zeros([12, 12, 3], np.uint8))
        columns = ('format', 'mode', 'orientation', 'animated')
        assert (*(facts[c].item() for c in columns), reason) == expected, name
        assert facts['good'].item() is (name not in ('tiff.jpg', 'text.jpg'))


def test_images_are_fitted_to_the_size_that_is_asked_for(source):
    part = survey(source, image_size=8, max_images=3)
    assert part.image_size == 8
    image = fit(decode_traced(source.splits['train'].read(0)), 8)
    np.testing.assert_allclose(
        part.facts['means'][0], image.numpy().mean((0, 1)), rtol=1e-6
    )


def test_a_single_colour_has_no_other_in_any_channel():
    images = np.full([4, 8, 8, 3], 100, np.uint8)
    images[1, 0, 0] = 102, 101, 100  # What JPEG makes of it.
    images[2, 0, 0, 2] = 103
    images[3, :4] = 140, 80, 98  # Another hue of this luminance.
    facts = np.zeros(4, FACTS)
    for i, image in enumerate(images):
        shown = Decoded(0, b'', image, image)
        assert not describe(shown, facts[i], np.zeros([12, 12, 3], np.uint8))
    assert facts['single_colour'].tolist() == [True, True, False, False]


def test_pixels_in_another_shape_are_others():
    facts = np.zeros(2, FACTS)
    for i, shape in enumerate(([8, 2, 3], [2, 8, 3])):
        image = np.full(shape, 100, np.uint8)
        describe(
            Decoded(0, b'', image, image), facts[i], np.zeros([12, 12, 3], np.uint8)
        )
    assert facts['pixel_digest'][0] != facts['pixel_digest'][1]


def test_majority_and_imbalance_by_hand(source):
    majority = statistics.majority(source)
    assert majority['class'] == 'cat'
    assert majority['accuracy'] == {'train': 8 / 15, 'validation': 2 / 4, 'test': 1 / 3}
    assert statistics.imbalance(source) == {
        'largest': ['cat', 8],
        'smallest': ['<b>dog', 7],
        'ratio': 8 / 7,
    }


def test_brightness_and_contrast(seen):
    flat = [i for i in range(len(seen)) if seen.facts['single_colour'][i]]
    teal, navy = seen.facts['brightness'][flat]
    # Luminance is 0.299 R + 0.587 G + 0.114 B; teal is (0, 128, 128), navy the blue.
    assert teal == pytest.approx((0.587 + 0.114) * 128 / 255, abs=0.003)
    assert navy == pytest.approx(0.114 * 128 / 255, abs=0.003)
    assert (seen.facts['contrast'][flat] == 0).all()
    extremes = statistics.extremes(seen, 2)
    assert extremes['darkest'][0] == flat[1]
    assert set(extremes['least contrast']) == set(flat)


def test_outliers_are_by_median_and_median_deviation():
    scores = statistics.outliers(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    np.testing.assert_allclose(scores, 0.6745 * np.array([-2, -1, 0, 1, 97]))
    assert (statistics.outliers(np.array([5.0, 5.0, 5.0, 9.0])) == 0).all()


def test_byte_ranges_give_the_same_facts(seen, ranges):
    steps: list[int] = []
    # A limit of more than there are is none.
    within = survey(ranges, max_images=50, progress=steps.append)
    assert sum(steps) == len(within) == 22
    for field in seen.facts.dtype.names:
        np.testing.assert_array_equal(within.facts[field], seen.facts[field], field)
    assert within.reasons == seen.reasons
    assert problems_of(within) == problems_of(seen)


def test_images_in_memory_have_pixels_but_no_file():
    rng = np.random.default_rng(1)
    images = {name: rng.integers(0, 256, [9, 32, 32, 3], np.uint8) for name in SPLITS}
    splits = {
        name: ArraySplit(
            np.arange(9, dtype=np.int32) % 3, [f'{name}/{i}' for i in range(9)], pixels
        )
        for name, pixels in images.items()
    }
    memory = survey(Source('noise', ('a', 'b', 'c'), splits, 32, fixed_size=True))
    assert len(memory) == 27 and memory.good.all()
    assert (memory.facts['file_digest'] == 0).all()
    assert (memory.facts['format'] == b'').all()
    assert (memory.facts['width'] == 32).all()
    np.testing.assert_allclose(
        memory.facts['means'],
        np.concatenate(list(images.values())).mean((1, 2)),
        rtol=1e-5,
    )
    assert problems_of(memory) == set()


def test_a_limit_spreads_evenly_and_keeps_every_split(source):
    steps: list[int] = []
    part = survey(source, max_images=11, progress=steps.append)
    assert sum(steps) == len(part) == 10
    assert [int(part.members(name).sum()) for name in SPLITS] == [7, 2, 1]
    assert part.index.tolist() == [0, 2, 4, 6, 8, 10, 12, 0, 2, 0]
