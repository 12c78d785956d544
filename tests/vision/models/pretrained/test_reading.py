"""Files with other content than expected, damaged files and malicious ones."""

import zipfile

import h5py
import numpy as np
import pytest
from tiny_network import tiny_network

from vision.models import create
from vision.models.pretrained import variables_by_path


@pytest.fixture(scope='module')
def model():
    return create('mobilenet_v2', classes=2, image_size=32, alpha=0.35)


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'w.weights.h5'


def _npz(path, model):
    np.savez(path, **{n: v.numpy() for n, v in variables_by_path(model).items()})


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'it is empty'),
        (b'<html>404', "it begins with b'<html>40'"),
        (b'PK\x03\x04', 'File is not a zip file'),
        (b'\x89HDF\r\n\x1a\n', 'Unable to'),
    ],
)
def test_other_content(model, path, content, message, assert_refused):
    path.write_bytes(content)
    assert_refused(
        model,
        path,
        f'Expected weights at {path}, as a Keras .h5 or an .npz of plain arrays',
        message,
    )


def test_no_file_and_a_folder(model, tmp_path, assert_refused):
    assert_refused(model, tmp_path / 'absent.h5', 'No such file')
    assert_refused(model, tmp_path, 'Is a directory')


def test_a_single_array(model, tmp_path, assert_refused):
    np.save(tmp_path / 'w.npy', np.zeros(3))
    assert_refused(model, tmp_path / 'w.npy', 'it contains a single array')


@pytest.mark.parametrize('member', ['archive/data.pkl', 'config.json'])
def test_an_archive_of_something_else(model, path, member, assert_refused):
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(member, b'')
    assert_refused(
        model,
        path,
        f'it contains {member}, which is not an array',
        "(if it is a .keras file, save the model's weights as .weights.h5)",
    )


def test_an_array_that_its_header_makes_up(model, tmp_path, assert_refused):
    """No memory is allocated for arrays that the model does not have."""
    path = tmp_path / 'w.npz'
    _npz(path, model)
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr(
            'more.npy', b'\x93NUMPY\x01\x00v\x00' + header.ljust(117).encode() + b'\n'
        )
    assert_refused(model, path, 'more is unknown')


@pytest.mark.parametrize(
    'old, new',
    [
        (b"'descr'", b"'descrz"),
        (b'<f4', b'<f\0'),
        (b'False', b'Fals\n'),
        (b'{', b'\xff'),
    ],
)
def test_a_damaged_header(model, tmp_path, old, new, assert_refused):
    path = tmp_path / 'w.npz'
    _npz(path, model)
    with zipfile.ZipFile(path, 'a') as archive:
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
        archive.writestr(
            'more.npy',
            b'\x93NUMPY\x01\x00v\x00'
            + header.replace(old, new).ljust(117)
            + b'\n'
            + bytes(12),
        )
    assert_refused(model, path, f'Expected weights at {path}', 'could not be read')


@pytest.mark.parametrize(
    'version, more, message',
    [
        (b'\x03\x00', b'', 'the array format (3, 0) is unknown'),
        (b'\x01\x00', b'\0', 'bias.npy is longer than its array'),
    ],
)
def test_a_member_that_is_no_plain_array(
    tmp_path, version, more, message, assert_refused
):
    network = tiny_network()
    path = tmp_path / 'w.npz'
    arrays = {n: v.numpy() for n, v in variables_by_path(network).items()}
    bias = arrays.pop('stages/conv1/conv/bias')
    np.savez(path, **arrays)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"
    magic = b'\x93NUMPY' + version + b'v\x00'
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr(
            'stages/conv1/conv/bias.npy',
            magic + header.ljust(117) + b'\n' + bias.tobytes() + more,
        )
    assert_refused(network, path, 'could not be read', message)


@pytest.mark.parametrize('share', [0.1, 0.6, 0.99])
def test_a_truncated_archive(model, tmp_path, share, assert_refused):
    path = tmp_path / 'w.npz'
    _npz(path, model)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(model, path, f'Expected weights at {path}', 'could not be read')


def test_an_hdf5_file_that_keras_did_not_write(model, path, assert_refused):
    with h5py.File(path, 'w') as file:
        file['weights'] = np.zeros(3)
    assert_refused(model, path, 'an HDF5 file without layers of Keras')


@pytest.mark.parametrize('older', [True, False])
@pytest.mark.parametrize('share', [0.1, 0.6, 0.99])
def test_a_truncated_file(model, path, older, share, assert_refused):
    with h5py.File(path, 'w') as file:
        _conv(file, older)[()] = np.ones((3, 3, 3, 16))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(model, path, 'could not be read')


def _conv(file, older, **options):
    """Makes the layer Conv1; returns its kernel, all zeros."""
    if older:
        file.attrs['layer_names'] = [b'Conv1']
        file.create_group('Conv1').attrs['weight_names'] = [b'Conv1/kernel:0']
        name = 'Conv1/Conv1/kernel:0'
    else:
        file.create_group('layers/conv2d/vars').attrs['name'] = 'Conv1'
        name = 'layers/conv2d/vars/0'
    return file.create_dataset(name, (3, 3, 3, 16), np.float32, **options)


@pytest.mark.parametrize('older', [True, False])
@pytest.mark.parametrize('link', [h5py.ExternalLink, h5py.SoftLink])
def test_links_are_not_followed(model, path, older, link, assert_refused):
    with h5py.File(path.with_name('other.h5'), 'w') as file:
        _conv(file, older)
    with h5py.File(path, 'w') as file:
        name = _conv(file, older).name
        file.move(name, 'kernel')
        file[name] = link('kernel') if link is h5py.SoftLink else link('other.h5', name)
    assert_refused(model, path, 'is a link, which is not followed')


def test_a_link_in_place_of_the_whole_is_not_followed(model, path, assert_refused):
    with h5py.File(path, 'w') as file:
        file['model_weights'] = h5py.ExternalLink('other.h5', '/')
    assert_refused(model, path, 'model_weights is a link')


@pytest.mark.parametrize('older', [True, False])
def test_arrays_kept_elsewhere_are_not_read(model, path, older, assert_refused):
    secret = path.with_name('secret')
    secret.write_bytes(bytes(1728))
    with h5py.File(path, 'w') as file:
        _conv(file, older, external=[(secret, 0, 1728)])
    assert_refused(model, path, 'is stored in another file, which is not read')


def test_virtual_arrays_are_not_read(model, path, assert_refused):
    layout = h5py.VirtualLayout((3, 3, 3, 16), np.float32)
    layout[:] = h5py.VirtualSource('other.h5', 'kernel', (3, 3, 3, 16))
    with h5py.File(path, 'w') as file:
        del file[_conv(file, older=False).name]
        file.create_virtual_dataset('layers/conv2d/vars/0', layout)
    assert_refused(model, path, 'is stored in another file, which is not read')


def test_a_group_in_place_of_an_array(model, path, assert_refused):
    with h5py.File(path, 'w') as file:
        name = _conv(file, older=False).name
        del file[name]
        file.create_group(name)
    assert_refused(model, path, f'{name} is not an array')


def test_groups_in_a_circle(model, path, assert_refused):
    with h5py.File(path, 'w') as file:
        _conv(file, older=False)
        file['layers/conv2d/again'] = file['layers']
    assert_refused(model, path, 'is in it twice')


def test_an_array_larger_than_its_file(model, path, assert_refused):
    with h5py.File(path, 'w') as file:
        del file[_conv(file, older=False).name]
        file.create_dataset(
            'layers/conv2d/vars/0', (1 << 40,), np.float32, chunks=(1 << 20,)
        )
    assert_refused(model, path, 'Conv1/kernel has shape (1099511627776,), the model')


def test_a_chunk_larger_than_its_array(model, path, assert_refused):
    with h5py.File(path, 'w') as file:
        _conv(file, older=False, maxshape=(None,) * 4, chunks=(1000, 1000, 3, 16))
    assert_refused(model, path, 'has chunks of 192,000,000 bytes')


@pytest.mark.parametrize('attribute', [3, b'\xff', h5py.Empty('S1'), [[b'a']]])
def test_names_that_are_none(model, path, attribute, assert_refused):
    with h5py.File(path, 'w') as file:
        file.attrs['layer_names'] = attribute
    assert_refused(model, path, 'could not be read')
