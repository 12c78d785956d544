"""Checkpoints that survive kills and power loss, and detect damage.

TensorFlow neither flushes its files to the disk nor verifies them. Here each checkpoint
is a folder, `step-000000123`, that appears only when it is complete:

    variables.index, variables.data-*   what tf.train.Checkpoint.write stores
    state.json                          the step and the rest of the run's state
    manifest.json                       size and SHA-256 of the other files, and its own

Hidden folders are left by a killed run: `.saving-*` is incomplete, `.removing-*` was
being deleted, and `.replaced-*` is the version that was being replaced, which counts as
long as its successor is missing.
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

FORMAT = 1

_STEP = re.compile(r'(?:\.replaced-)?(step-(\d+))')
_LISTED = 8  # Differing variables in an error.
_log = logging.getLogger(__name__)


class CheckpointError(UserError):
    """No checkpoint can be written, read, or used for this model."""


class _Damage(Exception):
    """A checkpoint differs from what was written; the message names the file."""


class Checkpoints:
    """Writes and restores the checkpoints of one folder.

    Only one process may use it at a time; any number may read with `latest` and `find`.

    Args:
        directory: made by the first save.
        objects: everything to store. All variables must exist before `restore`, so
            build the optimizer first.
        keep: the number of checkpoints to keep.
    """

    def __init__(self, directory: Path, objects: tf.train.Checkpoint, keep: int = 2):
        if keep < 1:
            raise ValueError(f'Expected keep to be at least 1, got {keep}.')
        self._directory = directory
        self._objects = objects
        self._keep = keep

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Writes a checkpoint; once this returns it survives SIGKILL and power loss.

        A checkpoint of the same step is replaced. Older ones beyond `keep` are deleted
        after the new one is safe.

        Args:
            step: the step, which `state` gets as 'step'.
            state: JSON values with str keys.

        Raises:
            CheckpointError: the disk refused; existing checkpoints are unchanged.
        """
        # nan and inf are legal in a state (a loss may be either): Python writes and
        # reads them as NaN and Infinity. Other floats are read back bit for bit.
        text = json.dumps({**state, 'step': step}, indent=2, allow_nan=True)
        folder = self._directory / f'step-{step:09d}'
        temporary = self._directory / f'.saving-{folder.name}'
        try:
            self._tidy()
            files.make_directory(self._directory)
            temporary.mkdir()
            self._objects.write(str(temporary / 'variables'))
            (temporary / 'state.json').write_text(text, encoding='utf-8')
            _write_manifest(temporary)
            for path in (*temporary.iterdir(), temporary):
                files.flush(path)
            if folder.exists():
                folder.rename(folder.with_name(f'.replaced-{folder.name}'))
            temporary.rename(folder)
            files.flush(self._directory)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise CheckpointError(
                f'{folder}: the checkpoint could not be saved: {error}. Earlier ones '
                'are unchanged. Free space or repair the disk, then run the same '
                'command again to resume.'
            ) from error
        self._rotate(step)

    def restore(self) -> dict[str, Any] | None:
        """Reads the newest undamaged checkpoint into the objects.

        A checkpoint is verified before any object is changed. A damaged one is renamed
        to `damaged-step-...` with a warning, and the one before it is used.

        Returns:
            The state with its 'step', or None if there never was a checkpoint.

        Raises:
            CheckpointError: all are damaged, or the newest undamaged one belongs to
                another architecture; then it and the objects are unchanged.
        """
        self._tidy()
        newest = latest(self._directory, _set_aside)
        if newest is None:
            return None
        folder, state = newest
        prefix = str(folder / 'variables')
        differences = _differences(prefix, self._objects)
        if differences:
            more = len(differences) - _LISTED
            listed = differences[:_LISTED] + ([f'and {more} more'] if more > 0 else [])
            raise CheckpointError(
                f'{folder}: the checkpoint belongs to another architecture or '
                'optimizer:\n  '
                + '\n  '.join(listed)
                + '\nUse the settings that it was trained with, or another --run_dir.'
            )
        self._objects.read(prefix).assert_consumed()
        return state

    def _rotate(self, saved: int) -> None:
        folders = _folders(self._directory)
        for step in sorted(folders)[: -self._keep]:
            if step != saved:
                # Renamed first, so that a kill leaves no part of a checkpoint.
                folders[step].rename(
                    self._directory / f'.removing-{folders[step].name}'
                )
        self._tidy()

    def _tidy(self) -> None:
        """Deletes what is incomplete, removed or replaced, also by a killed run."""
        for path in _entries(self._directory):
            original = path.with_name(path.name.removeprefix('.replaced-'))
            if path != original and not original.exists():
                path.rename(original)
            elif path.name.startswith(('.saving-', '.removing-', '.replaced-')):
                shutil.rmtree(path, ignore_errors=True)


def _set_aside(folder: Path, damage: _Damage) -> None:
    target, number = folder.with_name(f'damaged-{folder.name}'), 1
    while target.exists():
        number += 1
        target = folder.with_name(f'damaged-{folder.name}-{number}')
    folder.rename(target)
    _log.warning(
        'CHECKPOINT DAMAGED: %s: %s. It is renamed to %s, and the one before it is '
        'used.',
        folder,
        damage,
        target.name,
    )


def _ignore(folder: Path, damage: _Damage) -> None:
    _log.warning('%s is damaged and is ignored: %s', folder, damage)


def latest(
    directory: Path, on_damage: Callable[[Path, _Damage], None] = _ignore
) -> tuple[Path, dict[str, Any]] | None:
    """The newest undamaged checkpoint and its state; None if there never was one.

    Args:
        directory: the folder of checkpoints.
        on_damage: called with each damaged checkpoint.

    Raises:
        CheckpointError: all are damaged.
    """
    damaged: set[Path] = set()
    # The folder is listed again each time: a run may save meanwhile.
    while folders := {
        step: folder
        for step, folder in _folders(directory).items()
        if folder not in damaged
    }:
        step, folder = max(folders.items())
        try:
            return folder, _verify(folder, step)
        except _Damage as damage:
            damaged.add(folder)
            on_damage(folder, damage)
    if damaged or any(p.name.startswith('damaged-') for p in _entries(directory)):
        raise CheckpointError(
            f'{directory}: expected an undamaged checkpoint, but all are damaged. '
            'Restore a copy of one as step-<number>, or start a new run with another '
            '--run_dir.'
        )
    return None


def find(path: Path) -> tuple[Path, dict[str, Any]]:
    """An undamaged checkpoint and its state; nothing on the disk is changed.

    Args:
        path: a checkpoint, or a folder of checkpoints, of which it is the newest.

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
    newest = latest(path)
    if newest is None:
        raise CheckpointError(f'{path}: expected a checkpoint, but there is none.')
    return newest


def read_variables(
    path: Path, part: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads variables of a checkpoint, for a model of another shape or another run.

    Args:
        path: as for `find`.
        part: the top-level name of the variables in the checkpoint.

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


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(
            f'{directory}: expected a readable folder of checkpoints: {error}'
        ) from error


def _folders(directory: Path) -> dict[int, Path]:
    """The folder of each step; a replaced version only if its successor is missing."""
    # '.replaced-...' sorts before 'step-...'.
    return {
        int(match[2]): path
        for path in sorted(_entries(directory))
        if (match := _STEP.fullmatch(path.name))
    }


def _write_manifest(folder: Path) -> None:
    manifest = {
        'format': FORMAT,
        'files': {
            path.name: {'size': path.stat().st_size, 'sha256': _file_sha256(path)}
            for path in sorted(folder.iterdir())
        },
    }
    (folder / 'manifest.json').write_text(
        json.dumps({**manifest, 'sha256': _manifest_sha256(manifest)}, indent=2),
        encoding='utf-8',
    )


def _manifest_sha256(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _verify(folder: Path, step: int) -> dict[str, Any]:
    """Verifies every byte of a checkpoint and returns its state."""
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
    except OSError as error:
        # The folder is a file or was deleted by a run meanwhile, or a bad disk.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EIO):
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


def _differences(prefix: str, objects: tf.train.Checkpoint) -> list[str]:
    """The variables in which a checkpoint and the objects differ, one line each.

    TensorFlow reports them only while it restores, with half of the objects changed.
    """
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    dtypes = reader.get_variable_to_dtype_map()
    stored = {
        path: f'{dtypes[key].name} {list(shapes[key])}'
        for path, key in _stored_keys(reader).items()
    }
    live = {
        path: f'{tf.as_dtype(node.dtype).name} {list(node.shape)}'
        for path, node in _walk(objects, tf.train.TrackableView.children)
        if isinstance(node, (tf.Variable, keras.Variable))
    }
    return [
        f'{path}: {stored.get(path, "nothing")} in the checkpoint, '
        f'{live.get(path, "nothing")} here'
        for path in sorted(stored.keys() | live.keys())
        if stored.get(path) != live.get(path)
    ]


def _stored_keys(reader: Any) -> dict[str, str]:
    """Path in the object graph → key in the files, of a checkpoint."""
    # As a list, each node stays the same object, by which `_walk` knows it.
    nodes = list(
        trackable_object_graph_pb2.TrackableObjectGraph.FromString(
            reader.get_tensor('_CHECKPOINTABLE_OBJECT_GRAPH')
        ).nodes
    )

    def children(node: Any) -> dict[str, Any]:
        return {child.local_name: nodes[child.node_id] for child in node.children}

    return {
        path: attribute.checkpoint_key
        for path, node in _walk(nodes[0], children)
        for attribute in node.attributes
    }


def _walk(
    root: Any, children: Callable[[Any], dict[str, Any]]
) -> Iterator[tuple[str, Any]]:
    """Walks each top-level part by itself, breadth first; yields paths and nodes.

    By itself because an optimizer refers to the model's variables too: names in the
    model must not depend on whether there is an optimizer beside it.
    """
    for top, part in children(root).items():
        # Holds the nodes, since the id of one that is freed may be used again.
        seen = {id(part): part}
        queue = deque([(top, part)])
        while queue:
            path, node = queue.popleft()
            yield path, node
            for name, child in children(node).items():
                if id(child) not in seen:
                    seen[id(child)] = child
                    queue.append((f'{path}/{name}', child))
