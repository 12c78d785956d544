"""Checkpoints that survive kills and power loss, and that know when they are damaged.

TensorFlow's own files are neither flushed to the disk nor checked as a whole. Here each
checkpoint is a folder of its own, `step-000000123`, that appears only when it is
complete:

    variables.index, variables.data-*   what tf.train.Checkpoint.write stores
    state.json                          the step and the rest of the run's state
    manifest.json                       size and SHA-256 of the other files, and its own

Hidden neighbours are traces of a killed run: `.saving-*` was never finished,
`.removing-*` was on its way out, and `.replaced-*` is the version that was being
replaced, which counts for as long as its successor is not there.
"""

import errno
import hashlib
import json
import logging
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from vision import files
from vision.errors import UserError
from vision.files import flush

FORMAT = 1

_STEP = re.compile(r'(?:\.replaced-)?(step-(\d+))')
_log = logging.getLogger(__name__)


class CheckpointError(UserError):
    """No checkpoint can be written, read, or used for this model."""


class _Damage(Exception):
    """A checkpoint is not what was written; says which file and how."""


class Checkpoints:
    """The checkpoints of one folder, newest first.

    Only one process may save or set aside at a time; any number may read.

    Args:
        directory: made by the first save.
        objects: everything to store. All variables must exist before `restore`, so
            build the optimizer first.
        keep: how many to keep.
    """

    def __init__(self, directory: Path, objects: tf.train.Checkpoint, keep: int = 2):
        if keep < 1:
            raise ValueError(f'Expected keep to be at least 1, got {keep}.')
        self._directory = directory
        self._objects = objects
        self._keep = keep

    def steps(self) -> list[int]:
        """The steps of the checkpoints there are, oldest first, damaged or not."""
        return sorted(self._folders())

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Writes a checkpoint; once this returns it survives SIGKILL and power loss.

        A checkpoint of the same step is replaced. Older ones beyond `keep` go after the
        new one is safe.

        Args:
            state: JSON values with str keys; the step is added as 'step'.

        Raises:
            CheckpointError: the disk refused; the checkpoints there are untouched.
        """
        # nan and inf are legal in a state (a loss may be either): Python writes and
        # reads them as NaN and Infinity. Other floats come back bit for bit.
        text = json.dumps({**state, 'step': step}, indent=2, allow_nan=True)
        folder = self._directory / f'step-{step:09d}'
        temporary = self._directory / f'.saving-{folder.name}'
        try:
            files.make_directory(self._directory)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            self._objects.write(str(temporary / 'variables'))
            (temporary / 'state.json').write_text(text, encoding='utf-8')
            _write_manifest(temporary)
            for path in temporary.iterdir():
                flush(path)
            flush(temporary)
            self._publish(temporary, folder)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f'{folder}: the checkpoint could not be saved: {error}. Those saved '
                'before are untouched. Make room or mend the disk, then run the same '
                'command again to resume.'
            ) from error
        self._rotate(step)
        return folder

    def restore(self, set_aside: bool = True) -> dict[str, Any] | None:
        """Puts the newest sound checkpoint into the objects and returns its state.

        A checkpoint is verified before any object is touched. A damaged one is renamed
        to `damaged-step-...` with a warning, and the one before it is used.

        Args:
            set_aside: False for a command that only reads: nothing in the folder is
                changed, and top-level names of the checkpoint that the objects lack
                (say the optimizer) are left out.

        Returns:
            The state with its 'step', or None if there never was a checkpoint.

        Raises:
            CheckpointError: all are damaged, or the newest sound one belongs to another
                architecture (which then stays where it is, the objects as they were).
        """
        if set_aside:
            self._tidy()
        found = self.newest(set_aside)
        if found is None:
            return None
        folder, state = found
        self._read(folder, whole=set_aside)
        return state

    def newest(self, set_aside: bool) -> tuple[Path, dict[str, Any]] | None:
        """The newest sound checkpoint and its state; None if there never was one.

        Args:
            set_aside: as for `restore`.

        Raises:
            CheckpointError: all are damaged.
        """
        damaged: set[Path] = set()
        # The folder is listed again each time: a run may be saving while we read.
        while remaining := {
            step: folder
            for step, folder in self._folders().items()
            if folder not in damaged
        }:
            step = max(remaining)
            folder = remaining[step]
            try:
                state = _verify(folder, step)
            except _Damage as damage:
                damaged.add(self._set_aside(folder, damage) if set_aside else folder)
                if not set_aside:
                    _log.warning('%s is damaged and is left out: %s', folder, damage)
                continue
            return folder, state
        if damaged or any(name.startswith('damaged-') for name in self._names()):
            raise CheckpointError(
                f'{self._directory}: expected a sound checkpoint, but all are damaged. '
                'Put back a copy of one as step-<number>, or start afresh with another '
                '--run_dir.'
            )
        return None

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._directory.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(
                f'{self._directory}: expected a readable folder of checkpoints: {error}'
            ) from error

    def _folders(self) -> dict[int, Path]:
        """The folder of each step; a replaced version only where nothing newer is."""
        found = {}
        for name in sorted(self._names()):  # '.replaced-...' sorts before 'step-...'.
            if match := _STEP.fullmatch(name):
                found[int(match[2])] = self._directory / name
        return found

    def _publish(self, temporary: Path, folder: Path) -> None:
        replaced = folder.with_name(f'.replaced-{folder.name}')
        if folder.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            folder.rename(replaced)
        temporary.rename(folder)
        flush(self._directory)
        shutil.rmtree(replaced, ignore_errors=True)

    def _rotate(self, saved: int) -> None:
        folders = self._folders()
        for step in sorted(folders)[: -self._keep]:
            if step != saved:
                # Renamed first, so that a kill leaves no half a checkpoint in sight.
                doomed = self._directory / f'.removing-{folders[step].name}'
                shutil.rmtree(doomed, ignore_errors=True)
                folders[step].rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)

    def _tidy(self) -> None:
        """Clears away what a killed run left."""
        for name in self._names():
            path = self._directory / name
            original = self._directory / name.removeprefix('.replaced-')
            if name.startswith('.replaced-') and not original.exists():
                path.rename(original)
            elif name.startswith(('.saving-', '.removing-', '.replaced-')):
                shutil.rmtree(path, ignore_errors=True)

    def _set_aside(self, folder: Path, damage: _Damage) -> Path:
        target = self._directory / f'damaged-{folder.name}'
        number = 1
        while target.exists():
            number += 1
            target = self._directory / f'damaged-{folder.name}-{number}'
        folder.rename(target)
        _log.warning(
            'CHECKPOINT DAMAGED: %s: %s. It is set aside as %s, and the one before it '
            'is tried.',
            folder,
            damage,
            target.name,
        )
        return target

    def _read(self, folder: Path, whole: bool) -> None:
        prefix = str(folder / 'variables')
        differences = _differences(prefix, self._objects, whole)
        if not differences:
            try:
                status = self._objects.read(prefix)
                status.assert_existing_objects_matched()
                if whole:
                    status.assert_consumed()
                else:
                    status.expect_partial()  # No warning for what was left out.
                return
            except (AssertionError, ValueError) as error:
                differences = [str(error)]
        more = len(differences) - 8
        listed = differences[:8] + ([f'and {more} more'] if more > 0 else [])
        raise CheckpointError(
            f'{folder}: the checkpoint belongs to another architecture or '
            'optimizer:\n  '
            + '\n  '.join(listed)
            + '\nUse the settings that it was trained with, or another --run_dir.'
        )


def find(path: Path) -> tuple[Path, dict[str, Any]]:
    """A sound checkpoint and its state, for whoever only reads.

    Args:
        path: a folder of checkpoints, of which the newest sound one is taken, or one of
            them.

    Raises:
        CheckpointError: there is none, or all are damaged.
    """
    if match := _STEP.fullmatch(path.name):
        try:
            return path, _verify(path, int(match[2]))
        except _Damage as damage:
            raise CheckpointError(
                f'{path}: the checkpoint is damaged: {damage}. Use another one.'
            ) from damage
    found = Checkpoints(path, tf.train.Checkpoint()).newest(set_aside=False)
    if found is None:
        raise CheckpointError(f'{path}: expected a checkpoint, but there is none.')
    return found


def read_variables(
    path: Path, part: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Variables out of a checkpoint, for a model of another shape or another run.

    Args:
        path: as for `find`.
        part: the top-level name that the variables have in the checkpoint.

    Returns:
        The arrays by their paths below `part`, such as 'stages/conv1/conv/kernel', and
        the checkpoint's state.

    Raises:
        CheckpointError: there is none, all are damaged, or it has no such part.
    """
    folder, state = find(path)
    reader = tf.train.load_checkpoint(str(folder / 'variables'))
    arrays = {
        name.removeprefix(f'{part}/'): reader.get_tensor(key)
        for name, key in _stored_keys(reader).items()
        if name.startswith(f'{part}/')
    }
    if not arrays:
        raise CheckpointError(
            f'{folder}: expected variables of a {part} in it, but there are none.'
        )
    return arrays, state


def _write_manifest(folder: Path) -> None:
    manifest = {
        'format': FORMAT,
        'files': {
            path.name: {'size': path.stat().st_size, 'sha256': _file_sha256(path)}
            for path in sorted(folder.iterdir())
        },
    }
    text = json.dumps({**manifest, 'sha256': _manifest_sha256(manifest)}, indent=2)
    (folder / 'manifest.json').write_text(text, encoding='utf-8')


def _manifest_sha256(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _verify(folder: Path, step: int) -> dict[str, Any]:
    """Checks every byte of a checkpoint and returns its state."""
    name = 'manifest.json'
    try:
        recorded = _read_manifest(folder)
        present = {path.name for path in folder.iterdir()} - {name}
        for name in sorted(recorded.keys() | present):
            if name not in present:
                raise _Damage(f'{name} is missing')
            if name not in recorded:
                raise _Damage(f'{name} does not belong to it')
            _verify_file(folder / name, **recorded[name])
        state = json.loads((folder / 'state.json').read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        # The folder is a file, or was rotated away by a run that is going on.
        raise _Damage(f'{name} cannot be read: {error}') from error
    except OSError as error:
        if error.errno == errno.EIO:  # A bad place on the disk.
            raise _Damage(f'{name} cannot be read: {error}') from error
        # No access, too many open files: that says nothing about the checkpoint.
        raise CheckpointError(
            f'{folder}: the checkpoint cannot be read: {error}'
        ) from error
    if state['step'] != step:
        raise _Damage(f'state.json: expected step {step}, got {state["step"]}')
    return state


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        manifest = json.loads((folder / 'manifest.json').read_bytes())
        recorded = manifest.pop('sha256')
    except FileNotFoundError:
        raise _Damage('manifest.json is missing') from None
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise _Damage(f'manifest.json is garbled: {error}') from error
    if recorded != _manifest_sha256(manifest):
        raise _Damage('manifest.json is garbled: its own checksum differs')
    if manifest['format'] != FORMAT:
        raise CheckpointError(
            f'{folder}: expected checkpoint format {FORMAT}, got '
            f'{manifest["format"]}. Use the version of the program that wrote it.'
        )
    return manifest['files']


def _verify_file(path: Path, size: int, sha256: str) -> None:
    if path.stat().st_size != size:
        raise _Damage(f'{path.name}: expected {size} bytes, got {path.stat().st_size}')
    if _file_sha256(path) != sha256:
        raise _Damage(f'{path.name}: the contents have changed (SHA-256 differs)')


def _differences(prefix: str, objects: tf.train.Checkpoint, whole: bool) -> list[str]:
    """What keeps a checkpoint from fitting the objects, one line a variable.

    TensorFlow says so only while it restores, with half of the objects overwritten.
    """
    stored = _stored_variables(prefix)
    live = _live_variables(objects)
    if not whole:
        wanted = tf.train.TrackableView.children(objects).keys()
        stored = {
            path: variable
            for path, variable in stored.items()
            if path.split('/')[0] in wanted
        }
    return [
        f'{path}: {stored.get(path, "nothing")} in the checkpoint, '
        f'{live.get(path, "nothing")} here'
        for path in sorted(stored.keys() | live.keys())
        if stored.get(path) != live.get(path)
    ]


def _stored_variables(prefix: str) -> dict[str, str]:
    """Path in the object graph -> dtype and shape, of a checkpoint on the disk."""
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
    return {
        path: f'{dtypes[key].name} {list(shapes[key])}'
        for path, key in _stored_keys(reader).items()
    }


def _stored_keys(reader: Any) -> dict[str, str]:
    """Path in the object graph -> key in the files, for a reader of a checkpoint."""
    nodes = trackable_object_graph_pb2.TrackableObjectGraph.FromString(
        reader.get_tensor('_CHECKPOINTABLE_OBJECT_GRAPH')
    ).nodes

    def children(node_id: int) -> dict[str, int]:
        return {child.local_name: child.node_id for child in nodes[node_id].children}

    return {
        path: attribute.checkpoint_key
        for path, node_id in _walk(0, children)
        for attribute in nodes[node_id].attributes
    }


def _live_variables(objects: tf.train.Checkpoint) -> dict[str, str]:
    """Path in the object graph -> dtype and shape, of objects in memory."""
    return {
        path: f'{tf.as_dtype(node.dtype).name} {list(node.shape)}'
        for path, node in _walk(objects, tf.train.TrackableView.children)
        if isinstance(node, (tf.Variable, keras.Variable))
    }


def _walk(
    root: Any, children: Callable[[Any], dict[str, Any]]
) -> Iterator[tuple[str, Any]]:
    """Walks each top-level part by itself, breadth first, as (path, node).

    By itself because an optimizer refers to the model's variables too: names in the
    model must not depend on whether there is an optimizer beside it.
    """
    for top, part in children(root).items():
        seen = {_identity(part): part}
        queue = deque([(top, part)])
        while queue:
            path, node = queue.popleft()
            yield path, node
            for name, child in children(node).items():
                if _identity(child) not in seen:
                    seen[_identity(child)] = child
                    queue.append((f'{path}/{name}', child))


def _identity(node: Any) -> int:
    """Node numbers of a stored graph stand for themselves."""
    return node if isinstance(node, int) else id(node)
