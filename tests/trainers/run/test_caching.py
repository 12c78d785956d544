"""Which images are decoded before a run, and where they and features are kept."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainers.reporting import progress
from trainers.run.caching import decoded, extract_features
from trainers.run.signals import Stopped, StopRequest
from trainers.settings.config import Config, ConfigError
from vision import data
from vision.data import (
    SPLITS,
    ArraySplit,
    BadFiles,
    DatasetError,
    Features,
    FileSplit,
    Source,
    Split,
)
from vision.models import Network
from vision.models.specification import Specification

CROP = ('random_resized_crop', 'flip')


@pytest.fixture
def decoders(monkeypatch):
    """Decoders that take no time: black images, and an empty file on disk."""

    def to_memory(split: Split, side: int, *unused) -> Split:
        black = np.zeros([len(split), side, side, 3], np.uint8)
        return ArraySplit(split.labels, split.names, black)

    def to_disk(split: Split, side: int, folder: Path, *unused) -> Split:
        folder.mkdir(exist_ok=True)
        (folder / f'{len(list(folder.iterdir()))}.uint8').touch()
        return to_memory(split, side)

    monkeypatch.setattr(data, 'decode_to_memory', to_memory)
    monkeypatch.setattr(data, 'decode_to_disk', to_disk)


def _source(folder, sides, fixed_size: bool) -> Source:
    """Files of the sides, by turns; six in each split."""
    rng = np.random.default_rng(0)
    splits = {}
    for name in SPLITS:
        paths = [str(folder / f'{name}{i}.png') for i in range(6)]
        for i, path in enumerate(paths):
            side = sides[i % len(sides)]
            image = rng.integers(0, 256, [side, side, 3], np.uint8)
            tf.io.write_file(path, tf.io.encode_png(image))
        labels = (np.arange(6) % 2).astype(np.int32)
        splits[name] = FileSplit(labels, [f'{name}/{i}' for i in range(6)], paths=paths)
    return Source('images', ('a', 'b'), splits, 16, fixed_size)


@pytest.fixture(scope='module')
def fixed(tmp_path_factory) -> Source:
    return _source(tmp_path_factory.mktemp('fixed'), [16], True)


@pytest.fixture(scope='module')
def varied(tmp_path_factory) -> Source:
    return _source(tmp_path_factory.mktemp('varied'), [16, 20, 31], False)


def _decode(source: Source, **settings) -> Source:
    config = Config(**settings)
    return decoded(config, config.image_size or source.image_size, source, BadFiles())


def _sides(source: Source) -> dict[str, int | None]:
    """The side of each split's decoded images, None where they are files."""
    return {
        name: split.side if isinstance(split, ArraySplit) else None
        for name, split in source.splits.items()
    }


def _all(side: int | None) -> dict[str, int | None]:
    return dict.fromkeys(SPLITS, side)


@pytest.mark.usefixtures('decoders')
@pytest.mark.parametrize('cache', ['auto', 'ram', 'disk'])
@pytest.mark.parametrize(
    'settings, train, evaluated',
    [
        ({}, 16, 16),
        ({'image_size': 12}, 12, 12),
        ({'augment': ('flip', 'rotate')}, 16, 16),
        ({'augment': CROP}, 16, 16),
        # Crops and sizes that change need the full resolution.
        ({'augment': CROP, 'image_size': 12}, 16, 12),
        ({'image_size_schedule': ('8@0', '12@2'), 'image_size': 12}, 16, 12),
    ],
)
def test_images_of_one_size_are_decoded(
    fixed, cache, settings, train, evaluated, tmp_path
):
    source = _decode(fixed, cache=cache, cache_dir=str(tmp_path), **settings)
    assert _sides(source) == _all(evaluated) | {'train': train}
    assert bool(list(tmp_path.glob('*.uint8'))) is (cache == 'disk')
    for name, split in source.splits.items():
        assert split.names == fixed.splits[name].names and split.sample_weights.all()


@pytest.mark.usefixtures('decoders')
@pytest.mark.parametrize('cache', ['auto', 'ram', 'disk'])
def test_images_of_many_sizes_are_fitted_where_nothing_is_cropped(
    varied, cache, tmp_path
):
    source = _decode(
        varied,
        cache=cache,
        cache_dir=str(tmp_path),
        image_size=12,
        augment=('flip', 'random_resized_crop'),
    )
    assert _sides(source) == _all(12)


@pytest.mark.usefixtures('decoders')
def test_auto_leaves_what_is_cropped_as_files(varied):
    source = _decode(varied, augment=CROP)
    assert _sides(source) == _all(16) | {'train': None}
    assert source.splits['train'] is varied.splits['train']


@pytest.mark.parametrize('cache', ['ram', 'disk'])
@pytest.mark.parametrize(
    'settings', [{'augment': CROP}, {'image_size_schedule': ('8@0', '12@2')}]
)
def test_crops_of_many_sizes_cannot_be_kept(varied, cache, settings, tmp_path):
    with pytest.raises(ConfigError) as error:
        _decode(varied, cache=cache, cache_dir=str(tmp_path), **settings)
    assert str(error.value) == (
        f'--cache={cache} keeps images of one size, but crops and '
        '--image_size_schedule need the full ones, and these differ in size. Pass '
        '--cache=auto or --cache=off.'
    )
    assert not list(tmp_path.iterdir())


def test_off_decodes_nothing(fixed, varied):
    for source in (fixed, varied):
        assert _decode(source, cache='off', augment=CROP) is source


@pytest.mark.usefixtures('decoders')
def test_auto_decodes_only_what_fits_a_quarter_of_memory(fixed, monkeypatch):
    asked = []

    def fits(images: int, side: int, share: float) -> bool:
        asked.append((images, side, share))
        return len(asked) < 3

    monkeypatch.setattr(data, 'fits_in_memory', fits)
    assert _decode(fixed) is fixed
    assert asked == 3 * [(6, 16, 0.25 / 3)]
    # Who asks for memory gets it.
    assert _sides(_decode(fixed, cache='ram')) == _all(16)
    assert len(asked) == 3


@pytest.mark.usefixtures('decoders')
def test_what_is_in_memory_already_stays(fixed):
    once = _decode(fixed)
    assert _decode(once, image_size=12, cache='ram') is once


def test_what_cannot_be_decoded_is_recorded_and_the_bar_moved_on(tmp_path, monkeypatch):
    source = _source(tmp_path, [16], True)
    (tmp_path / 'validation3.png').write_bytes(b'')
    bars, bad_files = [], BadFiles()

    class Bar:
        def __init__(self, **options):
            self.total, self.n = options['total'], 0
            bars.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def update(self, count: int):
            self.n += count

    monkeypatch.setattr(progress, 'tqdm', Bar)
    config = Config(cache='disk', cache_dir=str(tmp_path / 'cache'))
    splits = decoded(config, 16, source, bad_files).splits
    np.testing.assert_array_equal(
        splits['validation'].sample_weights, [1, 1, 1, 0, 1, 1]
    )
    assert [file.name for file in bad_files.items()] == ['validation/3']
    assert [(bar.n, bar.total) for bar in bars] == 3 * [(6, 6)]
    assert len(list((tmp_path / 'cache').glob('*.uint8'))) == 3


@pytest.mark.usefixtures('decoders')
def test_disk_lies_beside_the_images_unless_told_otherwise(fixed, tmp_path):
    _decode(fixed, cache='disk', data_dir=str(tmp_path))
    assert len(list((tmp_path / '.tapestry').glob('*.uint8'))) == 3
    with pytest.raises(DatasetError, match='pass a cache_dir'):
        _decode(fixed, cache='disk')


SPECIFICATION = Specification(
    'small_cnn', ('a', 'b'), 16, 'unit', options={'filters': (4,), 'dense': (3,)}
)


@pytest.fixture(scope='module')
def network() -> Network:
    return SPECIFICATION.build()


@pytest.fixture(scope='module')
def single() -> Source:
    """An image in each split, decoded."""
    return Source(
        'images',
        ('a', 'b'),
        {
            name: ArraySplit(
                np.zeros(1, np.int32), [name], np.full([1, 16, 16, 3], 99, np.uint8)
            )
            for name in SPLITS
        },
        16,
        True,
    )


def _with_stages(network: Network, specification: Specification, **options) -> Network:
    """Another network with the backbone's weights."""
    made = specification.build(**options)
    for name, stage in network.stages.items():
        for target, variable in zip(made.stages[name].variables, stage.variables):
            target.assign(variable)
    return made


def _features(
    source: Source,
    network: Network,
    run_dir: Path,
    specification: Specification = SPECIFICATION,
    stop: StopRequest | None = None,
    **settings,
) -> dict[str, Features]:
    return extract_features(
        Config(batch_size=4, **settings),
        specification,
        source,
        network,
        run_dir,
        BadFiles(),
        StopRequest() if stop is None else stop,
    )


def test_features_are_those_of_the_backbone_and_computed_once(
    fixed, network, tmp_path, caplog
):
    caplog.set_level('INFO')
    features = _features(fixed, network, tmp_path)
    assert caplog.messages == [
        f'Features    of 6 images of {name} are computed once.' for name in SPLITS
    ]
    for name, split in fixed.splits.items():
        pixels = np.stack(
            [tf.io.decode_png(tf.io.read_file(path)) for path in split.paths]
        )
        np.testing.assert_allclose(
            features[name].values, network.features(pixels), rtol=1e-4, atol=1e-5
        )
        np.testing.assert_array_equal(features[name].labels, split.labels)
    assert len(list((tmp_path / 'features').glob('*.float32'))) == 3
    caplog.clear()
    # Another head takes the same.
    other = dataclasses.replace(
        SPECIFICATION, options={**SPECIFICATION.options, 'dense': (5, 2)}
    )
    again = _features(fixed, _with_stages(network, other), tmp_path, other)
    assert not caplog.messages
    np.testing.assert_array_equal(again['test'].values, features['test'].values)


def test_features_of_another_kind_are_computed_anew(single, network, tmp_path):
    given = {**SPECIFICATION.options, 'filters': (4,)}
    kinds: list[tuple[dict, dict]] = [
        ({}, {}),
        ({'normalization': 'symmetric'}, {}),
        ({'options': {**given, 'pooling': 'max'}}, {}),
        ({'options': {**given, 'block_dropout': 0.5}}, {}),
        ({}, {'dtype': tf.bfloat16}),
    ]
    for count, (changes, options) in enumerate(kinds, start=1):
        specification = dataclasses.replace(SPECIFICATION, **changes)
        like = _with_stages(network, specification, **options)
        _features(single, like, tmp_path, specification)
        assert len(list(tmp_path.glob('features/*.float32'))) == 3 * count
    kernel, *_ = (v for stage in like.stages.values() for v in stage.variables)
    kernel.assign(kernel + 1)
    _features(single, like, tmp_path, specification)
    assert len(list(tmp_path.glob('features/*.float32'))) == 3 * len(kinds) + 3


@pytest.mark.parametrize(
    'place, folder',
    [
        ({}, 'run/features'),
        ({'data_dir': 'images'}, '.tapestry'),
        ({'cache_dir': 'cache'}, 'cache'),
        ({'cache_dir': 'cache', 'data_dir': 'images'}, 'cache'),
    ],
)
def test_features_lie_where_the_settings_say(
    single, network, tmp_path, monkeypatch, place, folder
):
    monkeypatch.chdir(tmp_path)
    _features(single, network, Path('run'), **place)
    kept = {str(path.parent) for path in Path().rglob('*.float32')}
    assert kept == {folder}


def test_a_stop_keeps_the_features_of_complete_splits(fixed, network, tmp_path):
    stop = StopRequest()
    stop.signal_name = 'SIGTERM'
    with pytest.raises(Stopped) as stopped:
        _features(fixed, network, tmp_path, stop=stop)
    assert str(stopped.value) == (
        'SIGTERM received: the features of 4 of 6 images of train are lost; those of '
        'complete splits are kept. Run the same command again to resume.'
    )
