"""The folder of one run: where everything lies, and that only one process writes."""

import csv
import fcntl
import io
import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from numbers import Integral
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from trainers.settings import earlier, recipes
from trainers.settings.config import Config, ConfigError
from vision import files
from vision.errors import UserError

# What a run that was killed in its first moments leaves, before config.json is there.
_BEGINNINGS = {'.lock', 'labels.json', '.labels.json.tmp', '.config.json.tmp'}

Labels = list[Any]

# Settings of a single start, with what they are where they are not given.
_OF_A_START = {'resume': 'auto', 'download': False}


class RunDirectoryError(UserError):
    """A directory cannot be used for this run."""


class Recorded(NamedTuple):
    """What a run recorded about itself.

    Attributes:
        config: every setting.
        given: the settings that differed from those of the recipe at its start; None
            of a run of version 0.1, which did not record them.
        labels: id and name of each class.
    """

    config: Config
    given: dict[str, Any] | None
    labels: Labels


class RunDirectory:
    """The paths of a run, and the small files in it.

    `RunDirectory(path)` only names things and touches nothing. `RunDirectory.open`
    takes the directory for writing; use it as a context manager.

    Attributes:
        path: the directory.
        resumed: whether `open` found a run in it.
        notes: a sentence for each setting that `open` found to differ from the recorded
            one without an effect on the results.
    """

    def __init__(self, path: Path):
        self.path = path
        self.resumed = False
        self.notes: list[str] = []
        self._lock: int | None = None

    @property
    def config(self) -> Path:
        return self.path / 'config.json'

    @property
    def environment(self) -> Path:
        return self.path / 'environment.json'

    @property
    def labels(self) -> Path:
        return self.path / 'labels.json'

    @property
    def log(self) -> Path:
        return self.path / 'train.log'

    @property
    def metrics(self) -> Path:
        return self.path / 'metrics.csv'

    @property
    def results(self) -> Path:
        return self.path / 'results.json'

    @property
    def bad_files(self) -> Path:
        return self.path / 'bad_files.csv'

    @property
    def checkpoints_last(self) -> Path:
        return self.path / 'checkpoints' / 'last'

    @property
    def checkpoints_best(self) -> Path:
        return self.path / 'checkpoints' / 'best'

    @property
    def plots(self) -> Path:
        return self.path / 'plots'

    @property
    def samples(self) -> Path:
        return self.path / 'samples'

    @property
    def tensorboard_train(self) -> Path:
        return self.path / 'tensorboard' / 'train'

    @property
    def tensorboard_validation(self) -> Path:
        return self.path / 'tensorboard' / 'validation'

    @property
    def export(self) -> Path:
        return self.path / 'export'

    @property
    def evaluation(self) -> Path:
        return self.path / 'evaluation'

    @property
    def explanations(self) -> Path:
        return self.path / 'explanations'

    @property
    def calibration(self) -> Path:
        return self.path / 'calibration.json'

    @classmethod
    def open(cls, path: Path, config: Config, labels: Labels) -> 'RunDirectory':
        """Takes a directory for writing: a new run, or one to resume.

        Args:
            path: the directory; `config.run_dir` is not used.
            config: the settings; those that affect results must not differ from the
                recorded ones. config.json holds the newest.
            labels: the classes; they must not differ either.

        Raises:
            RunDirectoryError: the directory holds something else, another process uses
                it, the settings or classes differ, or it cannot be written to.
        """
        run = cls(path)
        try:
            run._check_place(config.resume)
            files.make_directory(path)
            run._take_lock()
            # Again: another process may have begun a run here meanwhile.
            run.resumed = run._check_place(config.resume)
            given = run._compare(config, labels) if run.resumed else _given(config)
            if not run.resumed:
                run.write_json(run.labels, labels)
            run.write_json(run.config, earlier.written_settings(config, given))
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
        except OSError as error:
            run.close()
            raise RunDirectoryError(
                f'{path}: expected a directory that can be written to: {error}. '
                'Choose another --run_dir.'
            ) from error
        except RunDirectoryError:
            run.close()
            raise
        return run

    @classmethod
    def read(cls, path: Path) -> Recorded:
        """The settings and labels of a run of this or an earlier version.

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
        except ConfigError as error:
            raise RunDirectoryError(f'{run.config}: {error}') from error
        try:
            return Recorded(settings.config, settings.given, read_json(run.labels))
        except FileNotFoundError:
            raise RunDirectoryError(
                f'{run.labels}: expected the classes of the run, but the file is not '
                'there. Restore it.'
            ) from None

    def __enter__(self) -> 'RunDirectory':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets other processes in. The lock's file stays: removing it would race."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write_json(self, path: Path, content: Any) -> None:
        """Writes JSON that people can read; floats come back bit for bit."""
        text = json.dumps(content, indent=2, ensure_ascii=False)
        files.write_atomically(path, text + '\n')

    def write_metrics(self, rows: Sequence[dict[str, float | int]]) -> None:
        """Rewrites metrics.csv, one row an epoch; floats come back bit for bit.

        Raises:
            ValueError: a row has other columns than the first.
        """
        columns = list(rows[0]) if rows else []
        for row in rows:
            if row.keys() != set(columns):
                raise ValueError(f'Expected the columns {columns}, got {list(row)}.')
        lines = [[_number(row[column]) for column in columns] for row in rows]
        self._write_csv(self.metrics, columns, lines)

    def write_bad_files(self, items: Iterable[tuple[str, str, str]]) -> None:
        """Rewrites bad_files.csv from (path, class, reason)."""
        self._write_csv(self.bad_files, ['path', 'class', 'reason'], items)

    def _write_csv(
        self, path: Path, columns: Sequence[str], lines: Iterable[Sequence[str]]
    ) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(columns)
        writer.writerows(lines)
        files.write_atomically(path, text.getvalue())

    def _check_place(self, resume: str) -> bool:
        """Whether a run is there; raises where none may be made or gone on with."""
        if self.path.exists() and not self.path.is_dir():
            raise RunDirectoryError(
                f'{self.path}: expected a directory, got a file. Choose another '
                '--run_dir.'
            )
        names = set(os.listdir(self.path)) if self.path.exists() else set()
        ours = {'config.json', 'labels.json'} <= names
        if not ours and names - _BEGINNINGS:
            examples = ', '.join(sorted(names - _BEGINNINGS)[:3])
            raise RunDirectoryError(
                f'{self.path}: expected a new or empty directory or one of a run '
                f'(with config.json and labels.json), got one with {examples}. Choose '
                'another --run_dir.'
            )
        if ours and resume == 'never':
            raise RunDirectoryError(
                f'{self.path}: expected no run there, but there is one, and it is not '
                'to be resumed. Choose another --run_dir or delete this one.'
            )
        if not ours and resume == 'must':
            raise RunDirectoryError(
                f'{self.path}: expected a run to resume, but there is none. Check '
                '--run_dir, or allow a new run.'
            )
        return ours

    def _take_lock(self) -> None:
        """The kernel lets go of the lock when the process ends, however it ends."""
        path = self.path / '.lock'
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 1000).decode('utf-8', 'replace').strip()
            os.close(lock)
            raise RunDirectoryError(
                f'{self.path}: expected no other process to use this run, but one '
                f'does: {holder or "it does not say which"}. Wait for it or stop it, '
                'or choose another --run_dir.'
            ) from None
        except OSError:
            os.close(lock)
            raise
        self._lock = lock
        started = datetime.now(timezone.utc).isoformat(timespec='seconds')
        holder = f'pid {os.getpid()} on {socket.gethostname()}, started {started}\n'
        os.ftruncate(lock, 0)
        os.write(lock, holder.encode())

    def _compare(self, config: Config, labels: Labels) -> dict[str, Any] | None:
        """Compares settings and classes with the recorded ones.

        Returns:
            The settings given so far.
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
        changed = _differences(recorded.config.to_dict(), config.to_dict())
        for name in ('run_dir', *_OF_A_START):
            changed.pop(name, None)
        self.notes = [
            f'--{name}={value} is used from now on; {before} was recorded.'
            for name, (before, value) in changed.items()
        ]
        if recorded.given is None:
            return None
        return recorded.given | {name: value for name, (_, value) in changed.items()}


def config_of(given: Mapping[str, Any]) -> Config:
    """The settings that a command line asks for.

    Where the directory holds a run, they are those that the run recorded, and what is
    given may differ in settings only that do not affect results.

    Args:
        given: values of settings by name.

    Raises:
        ConfigError: a value is not allowed.
        RunDirectoryError: a setting that affects results differs from the recorded one,
            or the recorded ones cannot be read.
    """
    path = Path(given.get('run_dir') or default_run_dir(_configure(given)))
    starts_anew = given.get('dry_run') or given.get('resume') == 'never'
    if starts_anew or not RunDirectory(path).config.is_file():
        return _configure(given)
    recorded = RunDirectory.read(path).config
    config = Config.from_dict(
        {**recorded.to_dict(), **_OF_A_START, **given, 'run_dir': str(path)}
    )
    check_same(path, recorded, config)
    return config


def _configure(given: Mapping[str, Any]) -> Config:
    return recipes.configure(given.get('recipe'), given)


def run_dir_of(config: Config) -> Path:
    """The folder of a run: the one given, or the default one."""
    return Path(config.run_dir or default_run_dir(config))


def default_run_dir(config: Config) -> str:
    """runs/<model>-<dataset>, then the recipe unless it is the dataset's own."""
    parts = [config.model, config.dataset]
    if config.recipe and config.recipe != recipes.recipe_of(config.dataset):
        parts.append(config.recipe)
    return f'runs/{"-".join(parts)}'


def check_same(path: Path, recorded: Config, config: Config) -> None:
    """Makes sure that no setting that affects results differs from the recorded one.

    Raises:
        RunDirectoryError: one does.
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
    """What a JSON file of a run holds.

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
