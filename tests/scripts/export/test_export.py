"""The command `python -m scripts.export`, on a tiny run."""

import copy
import dataclasses
import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import run_command, run_here, run_python
from PIL import Image

from scripts.export import export, images, report, staging
from scripts.export.settings import Settings
from scripts.export.staging import OutputError, staged
from trainers.inference import classifier
from trainers.settings.config import Config, ConfigError
from vision import files
from vision.data import load
from vision.errors import UserError
from vision.export import FORMATS
from vision.export.processes import Predictions
from vision.export.saved_model import SavedModel

ROOT = Path(__file__).resolve().parents[3]
PYTHON_FORMATS = [name for name in FORMATS if name != 'tensorflowjs']


@pytest.fixture(scope='module')
def trained(trained_run) -> classifier.Classifier:
    return classifier.from_run(trained_run, temperature=0.5)


def start(*arguments: str, **options) -> subprocess.Popen:
    command = [sys.executable, '-m', 'scripts.export', *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


call = functools.partial(run_here, 'export')


def everything_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def few(monkeypatch) -> None:
    """Fewer images, for speed."""
    monkeypatch.setattr(images, 'COMPARED', 10)
    monkeypatch.setattr(images, 'CALIBRATION', 10)


def test_writes_an_export_with_a_readme(few, trained, tmp_path, capsys):
    output = tmp_path / 'out'
    for overwrite in (False, True):  # It recognizes its export.
        export.export(
            trained,
            export.choose(['tflite_float32']),
            Settings(output=str(output), overwrite=overwrite),
        )
    stdout = capsys.readouterr().out
    assert '10 images of the validation split of shapes' in stdout
    assert everything_in(tmp_path) == {'out'}
    assert everything_in(output) == {
        'README.md',
        'export.json',
        'labels.txt',
        'model.json',
        'model_float32.tflite',
    }
    check_readme(output, trained, ['tflite_float32'])


@pytest.mark.slow
def test_exports_a_run_with_a_readme(trained_run, trained, tmp_path):
    run_dir = shutil.copytree(trained_run, tmp_path / 'run')
    done = run_command(
        'export',
        f'--run_dir={run_dir}',
        '--temperature=0.5',
        '--formats=saved_model,tflite_float32,onnx',
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert '100 images of the validation split of shapes' in done.stdout
    assert done.stdout.count('passed') == 3
    folder = run_dir / 'export'
    assert everything_in(folder) == {
        'README.md',
        'export.json',
        'labels.txt',
        'model.json',
        'saved_model',
        'model_float32.tflite',
        'model.onnx',
    }
    assert (folder / 'labels.txt').read_text().split() == list(trained.classes)
    model = json.loads((folder / 'model.json').read_text())
    assert (model['image_size'], model['temperature']) == (32, 0.5)
    record = json.loads((folder / 'export.json').read_text())
    assert [entry['format'] for entry in record['exports']] == [
        'saved_model',
        'tflite_float32',
        'onnx',
    ]
    for entry in record['exports']:
        assert entry['largest_difference'] <= entry['tolerance']
    check_readme(folder, trained, ['saved_model', 'tflite_float32', 'onnx'])


def check_readme(
    folder: Path, trained: classifier.Classifier, names: list[str]
) -> None:
    """Runs the lines of the README one after the other, in one process."""
    text = (folder / 'README.md').read_text('utf-8')
    image = Image.fromarray(load('shapes').splits['test'].images[0])
    image = np.asarray(image.resize([trained.image_size] * 2))
    Image.fromarray(image).save(folder / 'image.png')
    blocks = [block.partition('```')[0] for block in text.split('```python\n')[1:]]
    prepare = blocks[0].replace('image.jpg', 'image.png')
    lines = [prepare, 'all_of_them = {}']
    for name in names:
        block = next(b for b in blocks if b == report.USAGE[name])
        lines += [block, f'all_of_them["{name}"] = probabilities[0].tolist()']
    lines.append('import json; print(json.dumps(all_of_them))')
    # TensorFlow is needed for one format alone.
    options = () if 'saved_model' in names else ('-E',)
    done = run_python(('-c', '\n'.join(lines)), python=options, cwd=folder)
    assert done.returncode == 0, done.stderr
    expected = trained.probabilities(trained.logits(image[np.newaxis]).main.numpy())[0]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert list(answers) == names
    for name in names:
        np.testing.assert_allclose(
            answers[name], expected, rtol=0, atol=FORMATS.load(name).tolerance
        )


def test_an_export_that_differs_leaves_nothing(few, trained, tmp_path, capsys):
    demanding = copy.copy(FORMATS.load('tflite_int8'))
    demanding.tolerance = 0.0
    with pytest.raises(
        UserError,
        match='nothing was written:\n  tflite_int8: the '
        r'largest difference of a probability is .*, at most 0 is[\s\S]*'
        'Leave these formats out of --formats, or pass more images of the domain of '
        'the network with --images.$',
    ):
        export.export(trained, [demanding], Settings(output=str(tmp_path / 'out')))
    assert everything_in(tmp_path) == set()
    assert 'failed' in capsys.readouterr().out


class Failing(SavedModel):
    """Fails after a part is written."""

    name = 'failing'
    path = 'failing'

    def convert(self, bundle, saved_model, target, sample):
        target.mkdir()
        raise UserError('There is no such operation.')


def test_a_converter_that_fails_leaves_the_old_export(few, trained, tmp_path):
    output = tmp_path / 'out'
    output.mkdir()
    fill(output, 'old')
    with pytest.raises(UserError, match='no such operation'):
        export.export(
            trained, [Failing()], Settings(output=str(output), overwrite=True)
        )
    assert everything_in(tmp_path) == {'out'}
    assert text_in(output) == 'old'


class Reading(SavedModel):
    """Converts a SavedModel, which is no export here."""

    name = 'tensorflowjs'
    path = 'web'
    reads_saved_model = True

    def convert(self, bundle, saved_model, target, sample):
        (saved_model / 'saved_model.pb').rename(target)

    def run(self, target, images):
        return Predictions(self.expected, 1.0)


def test_a_saved_model_is_made_where_a_converter_reads_one(few, trained, tmp_path):
    form = Reading()
    compared = images.choose(trained, '').compared
    form.expected = export.probabilities(trained, compared)
    export.export(trained, [form], Settings(output=str(tmp_path / 'out')))
    assert {'web', 'model.json'} < everything_in(tmp_path / 'out')
    assert 'saved_model' not in everything_in(tmp_path / 'out')
    assert [n for n in FORMATS if FORMATS.load(n).reads_saved_model] == ['tensorflowjs']


class Full(SavedModel):
    """Meets a full disk."""

    name = 'full'

    def convert(self, bundle, saved_model, target, sample):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Lost(Full):
    """Fails with an error of the system that is not about the output."""

    def convert(self, bundle, saved_model, target, sample):
        target.mkdir()

    def run(self, target, images):
        raise FileNotFoundError('the runtime is gone')


@pytest.mark.parametrize(
    'form, error, message',
    [
        (Full(), OutputError, 'Expected --output to be .*No space left on device'),
        (Lost(), FileNotFoundError, '^the runtime is gone$'),
    ],
)
def test_only_errors_of_the_output_are_output_errors(
    few, trained, tmp_path, form, error, message
):
    with pytest.raises(error, match=message):
        export.export(trained, [form], Settings(output=str(tmp_path / 'out')))
    assert everything_in(tmp_path) == set()


def test_a_diverged_network_is_reported_before_the_conversion(few, trained, tmp_path):
    network = trained.specification.build()
    for variable in network.trainable_variables:
        variable.assign(variable * np.nan)
    diverged = classifier.Classifier(
        network, trained.specification, 'a run', run=trained.run
    )
    with pytest.raises(
        UserError,
        match='got others for 10 of 10 images: a run, is '
        'damaged, or its training diverged',
    ):
        export.export(diverged, [Failing()], Settings(output=str(tmp_path / 'out')))


@pytest.mark.slow
def test_a_terminated_export_leaves_nothing(trained_run, tmp_path):
    process = start(f'--run_dir={trained_run}', f'--output={tmp_path}/out')
    while not (tmp_path / '.out.tmp').exists():
        assert process.poll() is None
        time.sleep(0.01)
    while not (tmp_path / '.out.tmp' / 'saved_model').exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 130
    assert everything_in(tmp_path) == set()


@pytest.mark.parametrize(
    'arguments, code, message',
    [
        (['--formats=tflite_int9'], 2, 'Did you mean tflite_int8'),
        (['--formats=all,onnx'], 2, 'received all with others'),
    ],
)
def test_wrong_flags_are_explained(arguments, code, message):
    done = call(*arguments)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize(
    'formats, message',
    [
        (('saved_model', 'onxx'), "received 'onxx'. Did you mean onnx"),
        ((), 'received none'),
        (('all', 'onnx'), 'received all with others. Leave the others out'),
    ],
)
def test_unknown_formats_are_refused(formats, message):
    with pytest.raises(ConfigError, match=message):
        Settings(formats=formats)


def test_unknown_formats_are_reported_before_tensorflow_is_imported():
    done = run_command('export', '--formats=onxx', python=('-X', 'importtime'))
    assert done.returncode == 2
    assert 'Did you mean onnx' in done.stderr
    assert '| tensorflow' not in done.stderr


def test_choices_are_those_of_the_registry():
    [field] = [f for f in dataclasses.fields(Settings) if f.name == 'formats']
    assert field.metadata['choices'] == (*FORMATS, 'all')


def test_formats_are_chosen_once_each():
    assert [form.name for form in export.choose(['onnx', 'onnx'])] == ['onnx']
    assert [form.name for form in export.choose(['all', 'all'])] == list(FORMATS)


def test_every_format_has_its_lines_in_the_readme():
    assert set(report.USAGE) == set(PYTHON_FORMATS)


def fill(folder: Path, text: str) -> None:
    """Makes the folder an export with a text in it."""
    (folder / staging.MARK).write_text(json.dumps({**staging.MADE_BY, 'text': text}))


def text_in(folder: Path) -> str:
    return json.loads((folder / staging.MARK).read_text())['text']


def test_a_staged_folder_appears_as_a_whole(tmp_path):
    output = tmp_path / 'a' / 'out'
    with staged(output, overwrite=False) as folder:
        fill(folder, 'new')
        assert not output.exists()
    assert text_in(output) == 'new'
    assert everything_in(output.parent) == {'out'}


def test_everything_is_on_disk_before_the_export_appears(tmp_path, monkeypatch):
    output = tmp_path / 'out'
    fsync, flushed = os.fsync, []

    def record(descriptor):
        path = Path(os.readlink(f'/proc/self/fd/{descriptor}'))
        flushed.append((path, output.exists()))
        fsync(descriptor)

    with staged(output, overwrite=False) as folder:
        (folder / 'inner').mkdir()
        (folder / 'inner' / 'file').write_text('content')
        monkeypatch.setattr(os, 'fsync', record)
    inside = folder, folder / 'inner', folder / 'inner' / 'file'
    assert set(flushed[:-1]) == {(path, False) for path in inside}
    assert flushed[-1] == (tmp_path, True)


def test_an_earlier_export_is_replaced_only_when_asked(tmp_path):
    output = tmp_path / 'out'
    with staged(output, overwrite=False) as folder:
        fill(folder, 'old')
    with pytest.raises(OutputError, match='Replace it with --overwrite'):
        with staged(output, overwrite=False):
            pytest.fail('the old one would be lost')
    with staged(output, overwrite=True) as folder:
        fill(folder, 'new')
        assert text_in(output) == 'old'
    assert text_in(output) == 'new'
    assert everything_in(tmp_path) == {'out'}


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / 'thesis.tex').touch()
    with pytest.raises(OutputError, match=r"with 'thesis.tex' in it"):
        with staged(tmp_path, overwrite=True):
            pytest.fail('the thesis would be lost')
    with pytest.raises(OutputError, match='Expected --output to be a folder'):
        with staged(tmp_path / 'thesis.tex', overwrite=True):
            pytest.fail('the thesis would be lost')
    assert everything_in(tmp_path) == {'thesis.tex'}


@pytest.mark.parametrize('text', ['{}', '[]', 'no JSON', '{"made_by": "another"}'])
def test_an_export_of_another_program_is_never_replaced(tmp_path, text):
    (tmp_path / staging.MARK).write_text(text)
    with pytest.raises(OutputError, match="with 'export.json' in it"):
        with staged(tmp_path, overwrite=True):
            pytest.fail('it would be lost')
    assert (tmp_path / staging.MARK).read_text() == text


def test_an_export_moved_aside_by_a_killed_process_is_restored(tmp_path):
    (tmp_path / '.out.old').mkdir()
    fill(tmp_path / '.out.old', 'old')
    with pytest.raises(OutputError, match='Replace it with --overwrite'):
        with staged(tmp_path / 'out', overwrite=False):
            pytest.fail('the old one would be lost')
    assert text_in(tmp_path / 'out') == 'old'
    assert everything_in(tmp_path) == {'out'}


@pytest.mark.parametrize('error', [KeyboardInterrupt, OSError])
@pytest.mark.parametrize('after', [False, True])
def test_an_interrupted_renaming_leaves_the_old_export(
    tmp_path, monkeypatch, error, after
):
    output = tmp_path / 'out'
    output.mkdir()
    fill(output, 'old')
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, 'rename', rename)
        if after:
            path.rename(target)
        raise error

    with pytest.raises((KeyboardInterrupt, OutputError)):
        with staged(output, overwrite=True) as folder:
            fill(folder, 'new')
            monkeypatch.setattr(Path, 'rename', interrupted)
    assert text_in(output) == 'old'
    assert everything_in(tmp_path) == {'out'}


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_two_renames_waits_for_both(tmp_path, monkeypatch, number):
    output = tmp_path / 'out'
    output.mkdir()
    fill(output, 'old')
    rename = Path.rename

    def signalled(path: Path, target: Path) -> Path:
        renamed = rename(path, target)
        os.kill(os.getpid(), number)
        return renamed

    with staged(output, overwrite=True) as folder:
        fill(folder, 'new')
        monkeypatch.setattr(Path, 'rename', signalled)
    assert text_in(output) == 'new'
    assert everything_in(tmp_path) == {'out'}


def test_a_signal_to_end_removes_what_is_staged(tmp_path):
    interrupt = signal.default_int_handler  # as in every command
    before = signal.signal(signal.SIGTERM, interrupt)
    with pytest.raises(KeyboardInterrupt):
        with staged(tmp_path / 'out', overwrite=False) as folder:
            fill(folder, 'new')
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail('it goes on')
    assert everything_in(tmp_path) == set()
    assert signal.signal(signal.SIGTERM, before) is interrupt


def test_the_folder_of_the_next_process_is_left_alone(tmp_path, monkeypatch):
    following = tmp_path / '.out.tmp'
    flush = files.flush

    def started(path: Path) -> None:
        flush(path)
        if path == tmp_path:  # after the renaming
            following.mkdir()
            (following / 'half').touch()

    with staged(tmp_path / 'out', overwrite=False) as folder:
        fill(folder, 'new')
        monkeypatch.setattr(files, 'flush', started)
    assert everything_in(following) == {'half'}


def test_an_error_of_the_body_keeps_its_name(tmp_path):
    for error in (BlockingIOError, BrokenPipeError, PermissionError):
        with pytest.raises(error, match='of something else'):
            with staged(tmp_path / 'out', overwrite=False):
                raise error('of something else')
    assert everything_in(tmp_path) == set()


def test_what_a_killed_export_left_is_removed(tmp_path):
    (tmp_path / '.out.tmp' / 'saved_model').mkdir(parents=True)
    (tmp_path / '.out.tmp' / 'half').touch()
    with staged(tmp_path / 'out', overwrite=False) as folder:
        assert everything_in(folder) == set()
        fill(folder, 'new')
    assert everything_in(tmp_path) == {'out'}


def test_two_processes_cannot_write_one_export(tmp_path):
    with staged(tmp_path / 'out', overwrite=False) as folder:
        fill(folder, 'first')
        with pytest.raises(OutputError, match='another process writes this export'):
            with staged(tmp_path / 'out', overwrite=False):
                pytest.fail('both would write')
    assert text_in(tmp_path / 'out') == 'first'


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_unwritable_output_is_reported(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match='Expected --output to be writable'):
        with staged(tmp_path / 'out', overwrite=False):
            pytest.fail('it cannot be written')


def test_images_of_a_run_are_spread_over_the_classes(trained):
    chosen = images.choose(trained, '')
    assert chosen.compared.shape == (100, 32, 32, 3)
    assert chosen.calibration.shape == (100, 32, 32, 3)


def test_images_that_are_broken_are_left_out(trained, tmp_path, caplog):
    pixels = load('shapes').splits['test'].images
    for i in range(5):
        Image.fromarray(pixels[i]).save(tmp_path / f'{i}.png')
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8\xff no more')
    (tmp_path / 'empty.png').touch()
    chosen = images.choose(trained, str(tmp_path))
    assert len(chosen.compared) + len(chosen.calibration) == 5
    assert chosen.compared.max() > 0
    skipped = [record.getMessage() for record in caplog.records]
    assert any('broken.jpg' in line for line in skipped)
    assert any('empty.png: The file is empty' in line for line in skipped)


def test_no_image_at_all_is_an_error(trained, tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8\xff no more')
    with pytest.raises(UserError, match='none of 1 image can be decoded'):
        images.choose(trained, str(tmp_path))
    with pytest.raises(UserError, match='Expected --images to be an image, or'):
        images.choose(trained, str(tmp_path / 'nothing'))


def test_a_single_image_is_compared_and_calibrates(trained, tmp_path):
    image = load('shapes').splits['test'].images[0]
    Image.fromarray(image).save(tmp_path / 'one.png')
    chosen = images.choose(trained, str(tmp_path / 'one.png'))
    assert np.array_equal(chosen.compared[0], image)
    assert np.array_equal(chosen.calibration[0], image)


@pytest.mark.parametrize('given, compared, calibration', [(2, 1, 1), (9, 3, 2)])
def test_given_images_are_compared_or_calibrate(
    trained, tmp_path, monkeypatch, given, compared, calibration
):
    monkeypatch.setattr(images, 'COMPARED', 3)
    monkeypatch.setattr(images, 'CALIBRATION', 2)
    for i in range(given):
        Image.new('RGB', (32, 32), (20 * i, 0, 0)).save(tmp_path / f'{i}.png')
    chosen = images.choose(trained, str(tmp_path))
    first, second = (
        part[:, 0, 0, 0].tolist() for part in (chosen.compared, chosen.calibration)
    )
    assert (len(first), len(second)) == (compared, calibration)
    assert len({*first, *second}) == compared + calibration
    assert first == sorted(first) and second == sorted(second)


def test_lost_training_images_are_explained(trained_run, tmp_path):
    moved = shutil.copytree(trained_run, tmp_path / 'run')
    config = json.loads((moved / 'config.json').read_text())
    gone = str(tmp_path / 'gone')
    config['settings'] |= {'dataset': 'image_folder', 'data_dir': gone}
    (moved / 'config.json').write_text(json.dumps(config))
    with pytest.raises(UserError, match='Or pass others with --images'):
        images.choose(classifier.from_run(moved), '')


def test_a_run_on_a_few_batches_is_compared_on_all_images(few, trained):
    config = dataclasses.replace(trained.run.config, overfit_batches=1, batch_size=2)
    run = trained.run._replace(config=config)
    overfitted = classifier.Classifier(
        trained.network, trained.specification, 'a run', run=run
    )
    chosen, expected = images.choose(overfitted, ''), images.choose(trained, '')
    np.testing.assert_array_equal(chosen.compared, expected.compared)


@pytest.mark.parametrize('asked', [False, True])
def test_images_are_downloaded_only_when_asked_for_now(trained, monkeypatch, asked):
    config = dataclasses.replace(trained.run.config, download=not asked)
    configs = []
    monkeypatch.setattr(
        images, 'load_source', lambda config: configs.append(config) or load('shapes')
    )
    before = classifier.Classifier(
        trained.network,
        trained.specification,
        'a run',
        run=trained.run._replace(config=config),
    )
    images.choose(before, '', download=asked, calibrated=False)
    assert [config.download for config in configs] == [asked]


def test_the_calibration_set_is_decoded_only_if_needed(few, trained):
    assert images.choose(trained, '', calibrated=False).calibration.shape == (
        0,
        32,
        32,
        3,
    )
    assert [n for n in FORMATS if FORMATS.load(n).calibrates] == ['tflite_int8']


def test_weights_without_a_run_need_images(trained, tmp_path):
    alone = classifier.Classifier(trained.network, trained.specification, 'a file')
    with pytest.raises(ConfigError, match='Expected --images=FOLDER.*a file, has no'):
        export.export(alone, [], Settings(output=str(tmp_path / 'out')))
    assert everything_in(tmp_path) == set()
    assert export.default_output(alone) == 'exports/cifar_cnn'


@pytest.mark.slow
def test_googlenet_in_every_format(data_folder, tmp_path):
    (tmp_path / 'dogs').mkdir()
    with zipfile.ZipFile(data_folder / 'cats_and_dogs.zip') as archive:
        for name in [name for name in archive.namelist() if '/test/dogs/' in name][:40]:
            (tmp_path / 'dogs' / Path(name).name).write_bytes(archive.read(name))
    done = run_command(
        'export',
        '--model=googlenet',
        f'--pretrained={data_folder / "googlenet_bvlc.npz"}',
        f'--images={tmp_path}/dogs/*.jpg',
        f'--formats={",".join(PYTHON_FORMATS)}',
        f'--output={tmp_path / "out"}',
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.count('passed') == len(PYTHON_FORMATS)
    weights = Config(
        model='googlenet', pretrained=str(data_folder / 'googlenet_bvlc.npz')
    )
    check_readme(tmp_path / 'out', classifier.from_pretrained(weights), PYTHON_FORMATS)
