"""Plants faults one at a time and reports which of them the tests catch.

  python -m pytest -q -n 2 --cov --cov-branch --cov-context=test
  python tests/faults/run.py --coverage=.coverage --report=faults.json

A fault (faults.py) replaces code that occurs once in its file. It is planted in a copy
of the files that git tracks. There the fast tests run that have the place of the file,
then the fast ones that execute a changed line according to the coverage data, then the
slow ones of both, up to the first failure. `--fast` leaves out the slow ones, and
`--whole` tries all tests on survivors.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 1800  # Seconds for one run of pytest: a fault that hangs is caught.


class Outcome(NamedTuple):
    """What happened to one fault."""

    name: str
    path: str
    caught: str  # 'fast', 'slow', or '' for a survivor.
    test: str  # The first test that failed.
    seconds: float


def changed_lines(fault: Fault) -> set[int]:
    """Lines, counted from 1, of the code that the fault replaces.

    Raises:
        ValueError: The code does not occur exactly once in its file.
    """
    text = (ROOT / fault.path).read_text()
    if text.count(fault.code) != 1:
        raise ValueError(
            f'Expected the code of {fault.name!r} once in {fault.path}; it occurs '
            f'{text.count(fault.code)} times. Adapt faults.py to the file.'
        )
    first = text[: text.index(fault.code)].count('\n') + 1
    return set(range(first, first + fault.code.count('\n') + 1))


def tests_beside(path: str) -> list[str]:
    """The test file that has the place of `path`, or the folder if there is none."""
    place = Path('tests') / path
    file = place.with_name(f'test_{place.name}')
    for candidate in (file, *place.parents):
        if (ROOT / candidate).exists():
            return [str(candidate)]
    return ['tests']


def tests_that_execute(coverage_file: str, fault: Fault) -> list[str]:
    """Identifiers of the tests that execute a line of the fault."""
    from coverage import CoverageData

    data = CoverageData(coverage_file)
    data.read()
    contexts = data.contexts_by_lineno(str(ROOT / fault.path))
    names = {
        context.rpartition('|')[0]
        for line in changed_lines(fault)
        for context in contexts.get(line, ())
    }
    return sorted(names - {''})


def plant(fault: Fault, folder: Path) -> None:
    """Copies the tracked files into `folder`, with the fault."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z'], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in listed.stdout.split('\0'):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    file = folder / fault.path
    file.write_text(file.read_text().replace(fault.code, fault.fault))


def first_failure(folder: Path, tests: Iterable[str], mark: str) -> str:
    """The first test that fails in `folder`, '' if all pass or none is selected."""
    names = folder / 'names.txt'
    names.write_text('\n'.join(tests) + '\n')
    data = os.environ.get('TAPESTRY_TEST_DATA', str(ROOT.parent / 'shared' / 'data'))
    command = [sys.executable, '-m', 'pytest', '-q', '-x', '-rfE', '--tb=no']
    command += ['-p', 'no:cacheprovider', '-m', mark, f'@{names}']
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            env=dict(os.environ, TAPESTRY_TEST_DATA=data),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f'no end within {TIMEOUT} s'
    if run.returncode in (0, 5):  # Passed, nothing selected.
        return ''
    for line in run.stdout.splitlines():
        if line.startswith(('FAILED ', 'ERROR ')):
            return line.split(' ', 1)[1].split(' - ')[0]
    return f'pytest ended with {run.returncode}: {run.stdout[-500:]}{run.stderr[-500:]}'


def try_fault(
    fault: Fault, coverage_file: str | None, fast: bool, whole: bool
) -> Outcome:
    """Plants one fault and runs the tests that may catch it."""
    start = time.monotonic()
    beside = tests_beside(fault.path)
    rounds = [('fast', beside)]
    executing = tests_that_execute(coverage_file, fault) if coverage_file else []
    if executing:
        rounds.append(('fast', executing))
    rounds.append(('slow', [*beside, *executing]))
    if whole:
        rounds += [('fast', ['tests']), ('slow', ['tests'])]
    if fast:
        rounds = [(speed, tests) for speed, tests in rounds if speed == 'fast']
    with tempfile.TemporaryDirectory(prefix='fault-') as folder:
        plant(fault, Path(folder))
        for speed, tests in rounds:
            mark = 'slow' if speed == 'slow' else 'not slow'
            failed = first_failure(Path(folder), tests, mark)
            if failed:
                break
    seconds = round(time.monotonic() - start, 1)
    return Outcome(fault.name, fault.path, speed if failed else '', failed, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--only', nargs='+', help='names of the faults to plant')
    parser.add_argument('--coverage', help='coverage data with a context for each test')
    parser.add_argument('--fast', action='store_true', help='fast tests only')
    parser.add_argument('--whole', action='store_true', help='all tests for survivors')
    parser.add_argument('--jobs', type=int, default=2, help='faults at the same time')
    parser.add_argument('--report', type=Path, help='JSON file for the outcomes')
    options = parser.parse_args()
    known = {fault.name for fault in FAULTS}
    unknown = sorted(set(options.only or ()) - known)
    if unknown:
        parser.error(f'expected names of faults.py in --only; received {unknown}')
    faults = [fault for fault in FAULTS if fault.name in (options.only or known)]
    for fault in faults:
        changed_lines(fault)  # All of them apply, or none is planted.
    outcomes = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(
            lambda fault: try_fault(
                fault, options.coverage, options.fast, options.whole
            ),
            faults,
        ):
            outcomes.append(outcome)
            print(
                f'{outcome.name:40} {outcome.caught or "SURVIVED":8} '
                f'{outcome.seconds:6.1f} s  {outcome.test}',
                flush=True,
            )
            if options.report:
                rows = [outcome._asdict() for outcome in outcomes]
                options.report.write_text(json.dumps(rows, indent=2) + '\n')
    caught = sum(bool(outcome.caught) for outcome in outcomes)
    print(f'{caught} of {len(outcomes)} caught')
    return 0 if caught == len(outcomes) else 1


if __name__ == '__main__':
    sys.exit(main())
