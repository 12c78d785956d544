"""Images and lists of images that come through a stream."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.predict.standard_input import images


def read(contents: bytes) -> list:
    with tempfile.TemporaryFile() as spool:
        return list(images(io.BufferedReader(io.BytesIO(contents)), spool))


@pytest.mark.parametrize(
    'contents, expected',
    [
        (b'a.png\nb c.png\n', ['a.png', 'b c.png']),
        (b'a.png\nb.png', ['a.png', 'b.png']),
        (b'a.png\r\n\r\nb.png\r\n', ['a.png', 'b.png']),
        (b'a.png\0new\nline.png\0', ['a.png', 'new\nline.png']),
        (b'new\nline.png\0b.png', ['new\nline.png', 'b.png']),
        (b'BMW.png\nGIF89a.gif\n', ['BMW.png', 'GIF89a.gif']),
        (b'GIF89a.gif\nRIFF.png\n', ['GIF89a.gif', 'RIFF.png']),
        (b'*.png\n-\n--top.png\n', ['*.png', '-', '--top.png']),
        (b'\n\n', []),
        (b'x', ['x']),
        (b'n\xff.png\n', [os.fsdecode(b'n\xff.png')]),
    ],
)
def test_a_list_of_names(tmp_path, monkeypatch, contents, expected):
    monkeypatch.chdir(tmp_path)
    listed = read(contents)
    assert [image.name for image in listed] == expected
    assert {image.error for image in listed} <= {'No such file or directory'}


def test_a_long_list_comes_in_parts(tmp_path):
    count = 20_000
    reader, writer = os.pipe()
    with os.fdopen(reader, 'rb') as stream, tempfile.TemporaryFile() as spool:
        os.write(writer, b'0.png\n1.png\n2.png\n3.png')
        listed = images(stream, spool)
        assert [next(listed).name for _ in range(3)] == ['0.png', '1.png', '2.png']
        os.close(writer)
        assert [image.name for image in listed] == ['3.png']
    names = [f'{i}.png' for i in range(count)]
    assert [image.name for image in read('\n'.join(names).encode())] == names


def test_files_of_a_list_are_looked_up_and_folders_are_not_searched(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'1234')
    file, folder = read(f'{tmp_path}/a.png\n{tmp_path}\n'.encode())
    assert file == (f'{tmp_path}/a.png', f'{tmp_path}/a.png', 4, '')
    assert (folder.name, folder.error) == (str(tmp_path), 'A folder, not a file')


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'GIF', 'BMP', 'WEBP', 'TIFF'])
def test_an_image(tmp_path, kind):
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, [40, 300, 3], np.uint8)).save(
        tmp_path / 'x', kind
    )
    contents = (tmp_path / 'x').read_bytes()
    with tempfile.TemporaryFile() as spool:
        (image,) = images(io.BufferedReader(io.BytesIO(contents)), spool)
        assert Path(image.path).read_bytes() == contents
    assert (image.name, image.size, image.error) == ('-', len(contents), '')


def test_nothing():
    (image,) = read(b'')
    assert (image.name, image.error) == ('-', 'Standard input is empty')
