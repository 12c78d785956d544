"""`python -m scripts` lists every command."""

from commands import ROOT, run_python

from scripts.__main__ import COMMANDS


def test_every_command_is_listed():
    packages = [path.parent.name for path in ROOT.glob('scripts/*/__main__.py')]
    modules = [path.stem for path in ROOT.glob('scripts/[!_]*.py')]
    assert sorted(COMMANDS) == sorted(packages + modules)


def test_list_has_a_line_for_each_command():
    done = run_python(('-m', 'scripts'))
    assert (done.returncode, done.stderr) == (0, '')
    *lines, _, last = done.stdout.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ['python', '-m', f'scripts.{name}'] for name in COMMANDS
    ], done.stdout
    assert max(map(len, lines)) <= 88 and '--help' in last
