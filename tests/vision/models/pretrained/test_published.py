import functools
import hashlib
import http.server
import importlib
import threading

import keras
import pytest
from tiny_network import tiny_network

from vision.data import DatasetError
from vision.models import Network, create
from vision.models.pretrained import (
    PretrainedError,
    Published,
    check_published,
    fetch_published,
    load,
    normalization_of,
    published,
)

# The package has a function of the same name.
module = importlib.import_module('vision.models.pretrained.published')
# Keras warns of NumPy 2 when it converts arrays.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning:keras')

MOBILENET = (
    'https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/'
    'mobilenet_v2_weights_tf_dim_ordering_tf_kernels_'
)


@functools.cache
def _model(name: str, **options) -> Network:
    return create(name, **{'classes': 2, 'image_size': 96, **options})


def _mobilenet(**options) -> Network:
    return _model('mobilenet_v2', **{'alpha': 0.35, **options})


class _Asked(Exception):
    """The file that Keras downloads."""


def _what_keras_loads(monkeypatch, make, **options):

    def get_file(fname, origin, cache_subdir, file_hash=None):
        assert origin.endswith(f'/{fname}')
        raise _Asked(origin, file_hash)

    monkeypatch.setattr('keras.src.utils.file_utils.get_file', get_file)
    with pytest.raises(_Asked) as asked:
        make(weights='imagenet', **options)
    return asked.value.args


@pytest.mark.parametrize(
    'size, alpha, top',
    [
        (192, 0.5, True),
        pytest.param(96, 0.35, False, marks=pytest.mark.slow),
        pytest.param(224, 1.0, True, marks=pytest.mark.slow),
    ],
)
def test_mobilenet_v2_is_the_file_that_keras_loads(monkeypatch, size, alpha, top):
    asked = _what_keras_loads(
        monkeypatch,
        keras.applications.MobileNetV2,
        input_shape=(size, size, 3),
        alpha=alpha,
        include_top=top,
    )
    model = _mobilenet(image_size=size, alpha=alpha, classes=1000 if top else 2)
    assert published(model) == asked


# The address and the MD5 with and without the classifier.
XCEPTION = {
    True: (
        'https://storage.googleapis.com/tensorflow/keras-applications/xception/'
        'xception_weights_tf_dim_ordering_tf_kernels.h5',
        '0a58e3b7378bc2990ea3b43d5981f1f6',
    ),
    False: (
        'https://storage.googleapis.com/tensorflow/keras-applications/xception/'
        'xception_weights_tf_dim_ordering_tf_kernels_notop.h5',
        'b0042744bf5b25fce3cb969f33bebb97',
    ),
}


@pytest.mark.parametrize('top', XCEPTION)
def test_the_file_of_xception(top):
    file = published(tiny_network(name='xception', classes=1000 if top else 2))
    assert file == XCEPTION[top]
    assert file.file == XCEPTION[top][0].rsplit('/', 1)[1]


@pytest.mark.slow
@pytest.mark.parametrize('top', XCEPTION)
def test_xception_is_the_file_that_keras_loads(monkeypatch, top):
    asked = _what_keras_loads(monkeypatch, keras.applications.Xception, include_top=top)
    assert asked == XCEPTION[top]
    assert published(_model('xception', classes=1000 if top else 2)) == asked


@pytest.mark.parametrize(
    'size, alpha, ending',
    [
        (32, 0.35, '0.35_96_no_top.h5'),
        (300, 0.5, '0.5_224_no_top.h5'),
        (160, 0.75, '0.75_160_no_top.h5'),
        (97, 1, '1.0_128_no_top.h5'),
        (96, 1.3, '1.3_224_no_top.h5'),
        (96, 1.4, '1.4_224_no_top.h5'),
    ],
)
def test_the_next_larger_size_is_taken(size, alpha, ending):
    assert published(_mobilenet(image_size=size, alpha=alpha)) == (
        MOBILENET + ending,
        None,
    )


@pytest.mark.parametrize(
    'options, top', [({}, True), ({'dense': (8,)}, False), ({'pooling': 'max'}, False)]
)
def test_the_classifier_is_included_for_a_head_like_keras_s(options, top):
    model = _mobilenet(classes=1000, image_size=96, **options)
    assert published(model).url.endswith('_96.h5' if top else '_96_no_top.h5')


@pytest.mark.parametrize(
    'name, message',
    [
        ('inception_v1', "mobilenet_v2 or xception; received 'inception_v1'."),
        (
            'googlenet',
            "received 'googlenet'. Pass the path of an .npz of BVLC's weights",
        ),
    ],
)
def test_models_without_a_file(name, message):
    with pytest.raises(PretrainedError) as error:
        published(tiny_network(name=name))
    assert message in str(error.value)


def test_a_width_without_a_file():
    with pytest.raises(
        PretrainedError,
        match=r'0.35, 0.5, 0.75, 1.0, 1.3, 1.4, for which .* '
        r'received a model of another width',
    ):
        published(_mobilenet(image_size=32, alpha=0.25))


def test_normalizations():
    assert normalization_of('googlenet') == 'caffe'
    assert normalization_of('xception') == normalization_of('mobilenet_v2')
    assert normalization_of('mobilenet_v2') == 'symmetric'
    assert normalization_of('inception_v1') is None


class _Site(http.server.ThreadingHTTPServer):
    """Serves `content` as the published file, with the MD5 `md5`."""

    content = b''
    md5: str | None = None


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Site

    def do_GET(self):
        self.send_response(200)
        self.send_header('Content-Length', str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    with _Site(('127.0.0.1', 0), _Handler) as server:
        url = f'http://127.0.0.1:{server.server_port}/w.h5'
        monkeypatch.setattr(module, 'published', lambda _: Published(url, server.md5))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_loaded(site, tmp_path):
    original = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, include_top=False
    )
    original.save(tmp_path / 'other.h5')
    site.content = (tmp_path / 'other.h5').read_bytes()
    site.md5 = hashlib.md5(site.content).hexdigest()
    model, calls = _mobilenet(image_size=32), []
    path = fetch_published(model, tmp_path / 'new', lambda *call: calls.append(call))
    assert path == tmp_path / 'new' / 'w.h5' and calls[-1] == (len(site.content),) * 2
    assert load(model, path).arrays == 260
    site.content = b''
    assert fetch_published(model, tmp_path / 'new') == path


def test_a_damaged_file_is_not_kept(site, tmp_path):
    site.content, site.md5 = b'\x89HDF\r\n\x1a\n', '0' * 32
    with pytest.raises(DatasetError, match='Expected md5 0000'):
        fetch_published(_mobilenet(image_size=32), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_page_in_its_place_is_named(site, tmp_path):
    site.content = b'<html>Please log in</html>'
    with pytest.raises(PretrainedError, match="begins with b'<html>Pl'. Remove the"):
        fetch_published(_mobilenet(image_size=32), tmp_path)


def test_a_file_that_was_there_is_held_against_its_md5(tmp_path):
    path = tmp_path / 'w.h5'
    path.write_bytes(b'\x89HDF\r\n\x1a\n' + bytes(100))
    wanted = Published(
        'https://example.org/w.h5', hashlib.md5(path.read_bytes()).hexdigest()
    )
    check_published(wanted, path)
    path.write_bytes(path.read_bytes()[:-1] + b'\1')
    with pytest.raises(
        PretrainedError,
        match=f'the MD5 {wanted.md5}; it has .* Remove the file and download',
    ):
        check_published(wanted, path)
