"""The look of charts, as settings of Matplotlib; used as `style.context(LIGHT)`."""

from typing import Any


def _theme(text: str, background: str, line: str) -> dict[str, Any]:
    return {
        'figure.dpi': 110,
        'savefig.dpi': 'figure',
        'figure.constrained_layout.use': True,
        'axes.grid': True,
        'axes.axisbelow': True,
        'axes.spines.top': False,
        'axes.spines.right': False,
        'axes.titlelocation': 'left',
        'axes.titlesize': 11,
        'axes.titleweight': 'bold',
        'grid.linewidth': 0.8,
        'xtick.labelsize': 9,
        'ytick.labelsize': 9,
        'legend.fontsize': 9,
        'legend.frameon': False,
        'text.color': text,
        'axes.labelcolor': text,
        'xtick.color': text,
        'ytick.color': text,
        'figure.facecolor': background,
        'axes.facecolor': background,
        'axes.edgecolor': line,
        'grid.color': line,
    }


LIGHT = _theme('#333333', '#ffffff', '#dddddd')
DARK = _theme('#d8d8d8', '#1b1e23', '#3a3f47')
