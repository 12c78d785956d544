"""The settings of a run to start or to resume, from those given on a command line."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.settings import recipes
from trainers.settings.config import Config
from trainers.storage.run_directory import (
    OF_A_START,
    RunDirectory,
    check_same,
    with_defaults,
)


def config_of(given: Mapping[str, Any]) -> Config:
    """The settings that a command line asks for.

    If the directory holds a run, these are the settings that it recorded; only those
    that do not affect results may be given another value.

    Args:
        given: values of settings by name.

    Raises:
        ConfigError: a value is not allowed.
        RunDirectoryError: a setting that affects results differs from the recorded one,
            or the recorded settings cannot be read.
    """
    path = Path(given.get('run_dir') or default_run_dir(recipes.configure(None, given)))
    if given.get('resume') == 'never' or not RunDirectory(path).config.is_file():
        return recipes.configure(None, given)
    run = RunDirectory.read(path)
    # An empty value stands for what the run recorded, unless the run was given another.
    values = {
        name: value
        for name, value in given.items()
        if value is not None
        or (name != 'recipe' and (run.given or {}).get(name) is not None)
    }
    config = Config.from_dict(
        {**run.config.to_dict(), **OF_A_START, **values, 'run_dir': str(path)}
    )
    check_same(path, run.config, config)
    return config


def completed(config: Config) -> Config:
    """The settings with those that are None as the run recorded them, if it exists.

    Version 0.1 had no recipe of a dataset's own: a run of it goes on by the name that
    it recorded, with the values that the settings have.

    Raises:
        RunDirectoryError: the recorded settings cannot be read.
    """
    path = run_dir_of(config)
    if config.resume == 'never' or not RunDirectory(path).config.is_file():
        return config
    run = RunDirectory.read(path)
    if run.given is None and config.recipe == recipes.recipe_of(config.dataset):
        config = dataclasses.replace(config, recipe=run.config.recipe)
    return with_defaults(config, vars(run.config))


def run_dir_of(config: Config) -> Path:
    """The folder of a run: the one given, or the default one."""
    return Path(config.run_dir or default_run_dir(config))


def default_run_dir(config: Config) -> str:
    """runs/<model>-<dataset>, then the recipe unless it is the dataset's own."""
    parts = [config.model, config.dataset]
    if config.recipe and config.recipe != recipes.recipe_of(config.dataset):
        parts.append(config.recipe)
    return f'runs/{"-".join(parts)}'
