"""The folder of a run: its paths, its small files, and the lock for its only writer."""

import contextlib
import csv
import dataclasses
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

from trainers.settings import earlier, recipes
from trainers.settings.config import Config, ConfigError
from vision import files
from vision.errors import UserError

# What a run that was killed in its first moments leaves, before config.json is there.
_BEGINNINGS = {
    '.lock',
    '.lock.holder',
    'labels.json',
    '.labels.json.tmp',
    '.config.json.tmp',
}

# Settings that belong to a single start of a run, and their values if not given.
OF_A_START = {'resume': 'auto', 'download': False, 'dry_run': False}

Labels = list[dict[str, str]]


class RunDirectoryError(UserError):
    """A directory cannot be used for this run."""


class Recorded(NamedTuple):
    """What a run recorded about itself.

    Attributes:
        config: every setting.
        given: the settings that differed from those of the recipe when the run was
            started; None for a run of version 0.1, which did not record them.
        labels: id and name of each class.
    """

    config: Config
    given: dict[str, Any] | None
    labels: Labels


class RunDirectory(contextlib.ExitStack):
    """The paths of a run, and the small files in it.

    `RunDirectory(path)` changes nothing on the disk. `RunDirectory.open` locks the
    directory for writing, until `close` or the end of a `with` block.

    Attributes:
        path: the directory.
        resumed: whether `open` found a run in it.
        notes: a sentence for each setting that `open` found to differ from the recorded
            one without affecting results.
        config, environment, labels, log, metrics, results, bad_files, calibration:
            paths of files.
        checkpoints_last, checkpoints_best, plots, samples, tensorboard_train,
            tensorboard_validation, export, evaluation, explanations: paths of folders.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.resumed = False
        self.notes: list[str] = []
        self.config = path / 'config.json'
        self.environment = path / 'environment.json'
        self.labels = path / 'labels.json'
        self.log = path / 'train.log'
        self.metrics = path / 'metrics.csv'
        self.results = path / 'results.json'
        self.bad_files = path / 'bad_files.csv'
        self.calibration = path / 'calibration.json'
        self.checkpoints_last = path / 'checkpoints' / 'last'
        self.checkpoints_best = path / 'checkpoints' / 'best'
        self.plots = path / 'plots'
        self.samples = path / 'samples'
        self.tensorboard_train = path / 'tensorboard' / 'train'
        self.tensorboard_validation = path / 'tensorboard' / 'validation'
        self.export = path / 'export'
        self.evaluation = path / 'evaluation'
        self.explanations = path / 'explanations'

    @classmethod
    def open(
        cls,
        path: Path,
        config: Config,
        labels: Labels,
        network_defaults: Mapping[str, Any] | None = None,
    ) -> 'RunDirectory':
        """Locks a directory for writing: that of a new run, or of one to resume.

        Args:
            path: the directory; `config.run_dir` is not used.
            config: the settings, which config.json holds from now on; those that affect
                results must equal the recorded ones.
            labels: the classes, which must equal the recorded ones.
            network_defaults: the values of the network for settings that are None; they
                are recorded, so that a later version of the network changes no run.

        Raises:
            RunDirectoryError: the directory holds something else, another process uses
                it, the settings or classes differ, or it cannot be written to.
        """
        run, new = cls(path), _given(config)
        try:
            with contextlib.ExitStack() as lock:
                run._check_place(config.resume)
                files.make_directory(path)
                lock.enter_context(files.locked(path / '.lock', wait=False))
                # Again: another process may have started a run here meanwhile.
                run.resumed = run._check_place(config.resume)
                given = run.compare(config, labels) if run.resumed else new
                if not run.resumed:
                    run.write_json(run.labels, labels)
                resolved = with_defaults(config, network_defaults or {})
                run.write_json(run.config, earlier.written_settings(resolved, given))
                for folder in (
                    run.checkpoints_last,
                    run.checkpoints_best,
                    run.plots,
                    run.samples,
                    run.tensorboard_train,
                    run.tensorboard_validation,
                    run.export,
                ):
                    files.make_directory(folder)
                run.push(lock.pop_all())
        except files.LockedError as error:
            raise RunDirectoryError(
                f'{path}: expected no other process to use this run, but one does: '
                f'{error}. Wait for it or stop it, or choose another --run_dir.'
            ) from None
        except OSError as error:
            raise RunDirectoryError(
                f'{path}: expected a directory that can be written to: {error}. '
                'Choose another --run_dir.'
            ) from error
        return run

    @classmethod
    def read(cls, path: Path) -> Recorded:
        """Reads the settings and labels of a run of this or an earlier version.

        Nothing in the directory is changed.

        Raises:
            RunDirectoryError: there is no run, or it cannot be read.
        """
        run = cls(path)
        try:
            content = read_json(run.config)
        except (FileNotFoundError, NotADirectoryError):
            raise RunDirectoryError(
                f'{path}: expected the directory of a run, but there is no config.json '
                'in it. Give the --run_dir that the training was started with.'
            ) from None
        if not isinstance(content, dict):
            raise RunDirectoryError(
                f'{run.config}: expected a JSON object of settings, got '
                f'{type(content).__name__}. Restore the file, or choose another '
                '--run_dir.'
            )
        try:
            settings = earlier.read_settings(content)
            return Recorded(settings.config, settings.given, read_json(run.labels))
        except ConfigError as error:
            raise RunDirectoryError(f'{run.config}: {error}') from error
        except FileNotFoundError:
            raise RunDirectoryError(
                f'{run.labels}: expected the classes of the run, but the file is '
                'missing. Restore it.'
            ) from None

    def write_json(self, path: Path, content: Any) -> None:
        """Writes indented JSON; floats are read back bit for bit."""
        files.write_atomically(
            path, json.dumps(content, indent=2, ensure_ascii=False) + '\n'
        )

    def write_metrics(self, rows: Sequence[dict[str, float | int]]) -> None:
        """Writes metrics.csv, one row per epoch; floats are read back bit for bit.

        Raises:
            ValueError: a row has other columns than the first.
        """
        columns = list(rows[0]) if rows else []
        for row in rows:
            if row.keys() != set(columns):
                raise ValueError(f'Expected the columns {columns}, got {list(row)}.')
        self._write_csv(
            self.metrics,
            columns,
            [[_number(row[column]) for column in columns] for row in rows],
        )

    def write_bad_files(self, items: Iterable[tuple[str, str, str]]) -> None:
        """Writes bad_files.csv of tuples (path, class, reason)."""
        self._write_csv(self.bad_files, ['path', 'class', 'reason'], items)

    def _write_csv(
        self, path: Path, columns: Sequence[str], lines: Iterable[Sequence[str]]
    ) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerows([columns, *lines])
        files.write_atomically(path, text.getvalue())

    def _check_place(self, resume: str) -> bool:
        """Whether the directory holds a run.

        Raises:
            RunDirectoryError: `resume` does not allow that, or it holds something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunDirectoryError(
                f'{self.path}: expected a directory, got a file. Choose another '
                '--run_dir.'
            )
        names = set(os.listdir(self.path)) if self.path.exists() else set()
        holds_run = {'config.json', 'labels.json'} <= names
        if not holds_run and names - _BEGINNINGS:
            raise RunDirectoryError(
                f'{self.path}: expected a new or empty directory or one of a run '
                '(with config.json and labels.json), got one with '
                f'{", ".join(sorted(names - _BEGINNINGS)[:3])}. Choose another '
                '--run_dir.'
            )
        if holds_run and resume == 'never':
            raise RunDirectoryError(
                f'{self.path}: expected no run there, but there is one, and it is not '
                'to be resumed. Choose another --run_dir or delete this one.'
            )
        if not holds_run and resume == 'must':
            raise RunDirectoryError(
                f'{self.path}: expected a run to resume, but there is none. Check '
                '--run_dir, or allow a new run.'
            )
        return holds_run

    def compare(self, config: Config, labels: Labels) -> dict[str, Any] | None:
        """Compares settings and classes with the recorded ones; changes no file.

        Returns:
            The settings given so far.

        Raises:
            RunDirectoryError: the classes differ, or a setting that affects results.
        """
        recorded = self.read(self.path)
        check_same(self.path, recorded.config, config)
        if recorded.labels != labels:
            raise RunDirectoryError(
                f'{self.path}: expected the classes that the run was started with '
                f'({len(recorded.labels)} in {self.labels.name}), but the data now has '
                f'others ({len(labels)}). Restore the data, or choose another '
                '--run_dir.'
            )
        differences = _differences(recorded.config.to_dict(), config.to_dict())
        changed = {
            name: values
            for name, values in differences.items()
            if name not in ('run_dir', *OF_A_START)
        }
        self.notes = [
            f'--{name}={value} is used from now on; {before} was recorded.'
            for name, (before, value) in changed.items()
        ]
        if recorded.given is None:
            return None
        started_with = [
            f'--{name}={",".join(value) if isinstance(value, list) else value}'
            for name, value in recorded.given.items()
            if name in config.results_dict() and value is not None
        ]
        if started_with:
            self.notes.append(
                f'The run was started with {" ".join(started_with)}, and resumes so.'
            )
        return recorded.given | {name: value for name, (_, value) in changed.items()}


def with_defaults(config: Config, defaults: Mapping[str, Any]) -> Config:
    """The settings with other values instead of None."""
    return dataclasses.replace(
        config, **{n: v for n, v in defaults.items() if getattr(config, n) is None}
    )


def check_same(path: Path, recorded: Config, config: Config) -> None:
    """Checks that all settings that affect results equal the recorded ones.

    Raises:
        RunDirectoryError: one differs.
    """
    differences = _differences(recorded.results_dict(), config.results_dict())
    if differences:
        lines = [
            f'{name}: {json.dumps(before)} in the run, {json.dumps(now)} now'
            for name, (before, now) in differences.items()
        ]
        raise RunDirectoryError(
            f'{path}: expected the settings that the run was started with, but these '
            'differ:\n  ' + '\n  '.join(lines) + '\nLeave them out to resume the run, '
            'or choose another --run_dir.'
        )


def _differences(before: dict, now: dict) -> dict[str, tuple[Any, Any]]:
    """The former and the present value of each setting that differs."""
    return {
        name: (before[name], value)
        for name, value in now.items()
        if before[name] != value
    }


def _given(config: Config) -> dict[str, Any]:
    """The settings that differ from those of the recipe, and the recipe."""
    recipe = recipes.configure(config.recipe, {}) if config.recipe else Config()
    differing = _differences(recipe.to_dict(), config.to_dict())
    return {'recipe': config.recipe} | {
        name: value for name, (_, value) in differing.items()
    }


def read_json(path: Path) -> Any:
    """The content of a JSON file of a run.

    Raises:
        RunDirectoryError: it cannot be read.
        FileNotFoundError, NotADirectoryError: there is none.
    """
    try:
        return json.loads(path.read_bytes().decode('utf-8', 'surrogateescape'))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:
        raise RunDirectoryError(
            f'{path}: expected the JSON that the run wrote: {error}. Restore the file, '
            'or choose another --run_dir.'
        ) from error


def _number(value: float | int) -> str:
    return str(int(value)) if isinstance(value, Integral) else repr(float(value))
