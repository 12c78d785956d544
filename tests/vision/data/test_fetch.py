import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from vision.data import Batch, FileSplit, RangeSplit, Split, eval_batches
from vision.data.decoding.bad_files import BadFiles
from vision.data.decoding.decode import decode, decode_traced, fit

SIDE = 24


def _image(seed: int, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, [height, width, 3], np.uint8)


def _turned(image: np.ndarray) -> bytes:
    """A JPEG whose EXIF data want it turned by a quarter."""
    tags = Image.Exif()
    tags[0x112] = 6
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'JPEG', exif=tags)
    return file.getvalue()


GOOD = {
    'a.png': tf.io.encode_png(_image(1)).numpy(),
    'b.jpg': tf.io.encode_jpeg(_image(2)).numpy(),
    'c.jpg': _turned(_image(3)),
    'grey.png': tf.io.encode_png(_image(4)[..., :1]).numpy(),
    'large.jpg': tf.io.encode_jpeg(_image(5, 150, 120)).numpy(),
    'large turned.jpg': _turned(_image(6, 150, 120)),
    'wide.png': tf.io.encode_png(_image(7, 30, 50)).numpy(),
}
BAD = {
    'empty.png': b'',
    'text.jpg': b'<html>404 Not Found</html>',
    'cut.png': GOOD['wide.png'][:-200],
    'cut.jpg': GOOD['large.jpg'][:2000],
}
PLAIN = ['a.png', 'b.jpg', 'grey.png']


@pytest.fixture
def folder(tmp_path):
    """The good and bad files, and a folder that has the name of one."""
    for name, contents in {**GOOD, **BAD}.items():
        (tmp_path / name).write_bytes(contents)
    (tmp_path / 'folder.jpg').mkdir()
    return tmp_path


def _split(folder, names: list[str], **options) -> Split:
    return FileSplit(
        np.zeros(len(names), np.int32),
        names,
        paths=[str(folder / name) for name in names],
        **options,
    )


def _batches(split: Split, batch_size: int, bad: BadFiles) -> list[Batch]:
    return list(
        eval_batches(
            split, batch_size=batch_size, image_size=SIDE, bad_files=bad
        ).as_numpy_iterator()
    )


# Traced, since step by step it takes as long as many images.
_shrunk = tf.function(
    functools.partial(decode, at_least=SIDE),
    input_signature=[tf.TensorSpec([], tf.string)],
    autograph=False,
)


def _expected(name: str, at_least: int | None) -> np.ndarray:
    if name not in GOOD:
        return np.zeros([SIDE, SIDE, 3], np.uint8)
    decoder = _shrunk if at_least else decode_traced
    return fit(decoder(tf.constant(GOOD[name])), SIDE).numpy()


@pytest.fixture(autouse=True)
def plain_graphs():
    """Without the graph optimizer, which takes longer than the tests."""
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
    yield
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})


@pytest.mark.parametrize(
    'side',
    [
        pytest.param(None, id='any side', marks=pytest.mark.slow),
        pytest.param(SIDE, id='one side'),
    ],
)
def test_bad_files_cost_their_own_place_only(folder, side):
    good = ['a.png', 'b.jpg', 'c.jpg', 'large.jpg', 'large turned.jpg', 'wide.png']
    # Where all have one side, a plain batch, and one with an image of another size,
    # are shortcuts of their own.
    rows = [
        [*PLAIN, *PLAIN],
        good,
        [*PLAIN, *PLAIN[:2], 'wide.png'],
        ['a.png', 'missing.png', 'c.jpg', 'text.jpg', 'large turned.jpg', 'b.jpg'],
        ['folder.jpg', 'b.jpg', 'cut.jpg', 'cut.png', 'empty.png', 'wide.png'],
    ]
    names = sum(rows, [])
    bad = BadFiles()
    batches = _batches(_split(folder, names, side=side), 6, bad)
    assert len(batches) == len(rows)
    at_least = SIDE if side is None else None
    for row, batch in zip(rows, batches):
        expected = np.stack([_expected(name, at_least) for name in row])
        np.testing.assert_array_equal(batch.images, expected)
        np.testing.assert_array_equal(
            batch.sample_weights, [name in GOOD for name in row]
        )
    # This one has the side already, so that nothing is resized.
    upright = ImageOps.exif_transpose(Image.open(folder / 'c.jpg'))
    for batch in (batches[1], batches[3]):
        np.testing.assert_array_equal(batch.images[2], upright)
    reasons = {file.name: file.reason for file in bad.items()}
    assert set(reasons) == set(names) - set(GOOD)
    assert reasons['missing.png'] == 'No such file or directory'
    assert reasons['folder.jpg'] == 'Is a directory'
    assert reasons['cut.jpg'] == 'Invalid JPEG data'
    assert reasons['cut.png'].startswith('Invalid PNG data, size ')
    for name in ('empty.png', 'text.jpg'):
        assert reasons[name] == 'Not a JPEG, PNG, GIF, BMP or WebP file'


def test_images_may_lie_within_one_file(folder):
    names = [*GOOD, 'cut.png']
    contents = {**GOOD, **BAD}
    lengths = [len(contents[name]) for name in names]
    starts = 7 + np.cumsum([0, *lengths[:-1]])
    (folder / 'all.bin').write_bytes(
        b'padding' + b''.join(contents[name] for name in names)
    )
    # One more lies beyond the end of the file.
    ranges = np.array([*zip(starts, lengths), (10**6, 50)], np.int64)
    names += ['beyond']
    split = RangeSplit(
        np.zeros(len(names), np.int32),
        names,
        paths=[str(folder / 'all.bin')] * len(names),
        ranges=ranges,
    )
    bad = BadFiles()
    batches = _batches(split, 3, bad)
    images = np.concatenate([batch.images for batch in batches])
    expected = np.stack([_expected(name, SIDE) for name in names])
    np.testing.assert_array_equal(images, expected)
    assert [file.name for file in bad.items()] == ['beyond', 'cut.png']
