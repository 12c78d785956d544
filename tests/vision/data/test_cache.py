import numpy as np
import tensorflow as tf

from vision.data import decode, decode_to_memory, fits_in_memory, Split


def test_decoding_gives_the_pictures_and_reports_progress(noise, files):
    seen = []
    split = decode_to_memory(files, 24, progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(split.images, noise.images)
    np.testing.assert_array_equal(split.labels, noise.labels)
    assert split.paths is None and split.names == files.names
    assert seen == [(23, 23)]


def test_more_than_one_group_of_files(files):
    count = 300
    order = np.arange(count) % 23
    many = Split(files.labels[order], [str(i) for i in range(count)],
                 paths=[files.paths[i] for i in order])
    seen = []
    split = decode_to_memory(many, 24, progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(split.images, split.images[:23][order])
    assert seen == [(128, 300), (256, 300), (300, 300)]


def test_other_sizes_are_fitted(noise, files):
    split = decode_to_memory(files, 16)
    assert split.images.shape == (23, 16, 16, 3)
    for image, original in zip(split.images, noise.images):
        np.testing.assert_array_equal(image, decode.fit(tf.constant(original), 16))


def test_fits_in_memory_by_size_and_share(files):
    assert fits_in_memory(files, 64)
    assert not fits_in_memory(files, 10_000_000)
    assert not fits_in_memory(files, 64, share=0.)
