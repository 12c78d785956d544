"""Results of the comparison of exports with the model, as a table and as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vision.export.checking import Comparison
from vision.export.formats import Format


class Result(NamedTuple):
    """An export and its comparison with the model.

    Attributes:
        form: the format.
        size: bytes of its files.
        milliseconds: median time for a single image.
        comparison: differences from the model.
    """

    form: Format
    size: int
    milliseconds: float
    comparison: Comparison


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    inside = (path, *path.rglob('*'))
    return sum(file.stat().st_size for file in inside if file.is_file())


def rows(results: Sequence[Result]) -> list[list[str]]:
    """The cells of the table, its heading first."""
    return [
        [
            'Format',
            'MB',
            'ms per image',
            'Largest difference',
            'Allowed',
            'Same top-1',
            'Required',
            'Result',
        ],
        *(
            [
                form.name,
                f'{size / 1e6:.2f}',
                f'{milliseconds:.1f}',
                f'{comparison.difference:.1e}',
                f'{form.tolerance:g}',
                f'{100 * comparison.agreement:.1f} %',
                f'{100 * form.agreement:g} %',
                'failed' if comparison.failures else 'passed',
            ]
            for form, size, milliseconds, comparison in results
        ),
    ]


def to_dict(result: Result) -> dict[str, Any]:
    """A result in JSON values."""
    form, comparison = result.form, result.comparison
    return {
        'format': form.name,
        'path': form.path,
        'bytes': result.size,
        'milliseconds': result.milliseconds,
        'largest_difference': comparison.difference,
        'tolerance': form.tolerance,
        'mean_difference': comparison.error,
        'mean_variation_of_the_model': comparison.spread,
        'top1_agreement': comparison.agreement,
        'required_agreement': form.agreement,
        'sum_farthest_from_1': comparison.total,
    }
