"""Curves and grids: right pixels in the right places."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from trainers.reporting.plots import image_grid, plot_curves


def make_rows(epochs: int, averaged: bool = True) -> list[dict[str, float | int]]:
    names = ['train', 'validation'] + ['validation_averaged'] * averaged
    return [
        {
            'epoch': epoch,
            **{f'{name}_loss': 5 / epoch for name in names},
            **{f'{name}_top1': 1 - 1 / (epoch + 1) for name in names},
            **{f'{name}_top5': 1 - 0.5 / (epoch + 1) for name in names},
            'learning_rate': 0.1 / epoch,
        }
        for epoch in range(1, epochs + 1)
    ]


def count_colour(path, colour: str) -> int:
    """How many pixels of an image have a colour, '#rrggbb'."""
    pixels = (imread(path)[..., :3] * 255).round().astype(np.uint8)
    wanted = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)
    return int((pixels == wanted).all(-1).sum())


def has_colour(path, colour: str) -> bool:
    """Whether a colour, '#rrggbb', is in an image."""
    return count_colour(path, colour) > 0


@pytest.mark.parametrize('epochs, averaged', [(1, False), (2, True), (30, True)])
def test_curves(epochs, averaged, tmp_path):
    path = tmp_path / 'curves.png'
    plot_curves(make_rows(epochs, averaged), path)
    height, width, _ = imread(path).shape
    assert (width, height) == (1280, 420)
    for colour in ('#4c78a8', '#f58518', '#b279a2'):
        assert has_colour(path, colour)
    assert has_colour(path, '#54a24b') == averaged
    assert [path.name for path in tmp_path.iterdir()] == ['curves.png']


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Called like `plot_curves` without the path; returns the axes."""
    figures: list[Figure] = []
    monkeypatch.setattr(
        Figure, 'savefig', lambda figure, *_, **__: figures.append(figure)
    )

    def drawing(rows, **options):
        plot_curves(rows, tmp_path / 'curves.png', **options)
        return figures.pop().axes

    return drawing


def test_axes_and_legends_say_what_is_drawn(draw):
    rows = make_rows(6)
    rows[2]['validation_averaged_top1'] = 0.6
    loss, accuracy, rate = draw(rows, best_epoch=3)
    titles = [axes.get_title(loc='left') for axes in (loss, accuracy, rate)]
    assert titles == ['Loss', 'Accuracy', 'Learning rate']
    assert {axes.get_xlabel() for axes in (loss, accuracy, rate)} == {'epoch'}
    assert accuracy.get_ylim()[0] == rate.get_ylim()[0] == 0 < loss.get_ylim()[0]
    assert accuracy.yaxis.get_major_formatter()(0.25) == '25%'
    assert rate.yaxis.get_major_formatter()(0.05) == '0.05'
    explained = [text.get_text() for text in loss.get_legend().get_texts()]
    assert explained == ['train', 'validation', 'validation, averaged weights']
    explained = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert explained == ['top-1', 'top-5'] and rate.get_legend() is None
    # Dashes stand for top-5, whose values are the higher ones.
    dashed = [line for line in accuracy.lines if line.get_linestyle() == '--']
    assert [min(line.get_ydata()) for line in dashed] == 3 * [0.75]


@pytest.mark.parametrize('averaged, best', [(True, '60.00%'), (False, '75.00%')])
def test_the_best_epoch_is_marked(draw, averaged, best):
    rows = make_rows(6, averaged)
    if averaged:
        rows[2]['validation_averaged_top1'] = 0.6
    loss, accuracy, rate = draw(rows, best_epoch=3)
    assert accuracy.get_title(loc='right') == f'best top-1 {best} in epoch 3'
    vertical = [
        sum(list(line.get_xdata()) == [3, 3] for line in axes.lines)
        for axes in (loss, accuracy, rate)
    ]
    assert vertical == [1, 1, 0]
    (star,) = [line for line in accuracy.lines if line.get_marker() == '*']
    assert star.get_xydata().tolist() == [[3, float(best[:-1]) / 100]]
    for axes in draw(rows):
        assert axes.get_title(loc='right') == ''


def test_few_epochs_are_drawn_as_points_and_counted_in_whole_numbers(draw):
    for epochs, marker in ((1, 'o'), (12, 'o'), (13, 'None')):
        axes = draw(make_rows(epochs))[0]
        assert {str(line.get_marker()) for line in axes.lines} == {marker}
    assert all(tick % 1 == 0 for tick in draw(make_rows(2))[2].get_xticks())


def test_the_second_phase_is_shaded(tmp_path):
    plot_curves(make_rows(6), tmp_path / 'one.png')
    plot_curves(make_rows(6), tmp_path / 'two.png', phase_began=3)
    one, two = (
        count_colour(tmp_path / f'{name}.png', '#f3f3f3') for name in ('one', 'two')
    )
    assert one < 1000 and two > 3 * 100 * 300  # half of each of the three


def test_top5_that_says_nothing_is_left_out(tmp_path):
    # What is drawn last, of lines that lie upon each other, and only as accuracy.
    rows = make_rows(6, averaged=False)
    rows = [{**row, 'validation_loss': math.nan} for row in rows]
    plot_curves(rows, tmp_path / 'with.png')
    rows = [{**row, 'train_top5': 1.0, 'validation_top5': 1.0} for row in rows]
    plot_curves(rows, tmp_path / 'without.png')
    with_top5, without = (
        count_colour(tmp_path / f'{name}.png', '#f58518')
        for name in ('with', 'without')
    )
    assert 0 < without < with_top5


@pytest.mark.filterwarnings('error')
def test_curves_of_what_there_is(tmp_path):
    rows = make_rows(5)
    for row in rows[1:]:
        row['validation_loss'] = row['train_top1'] = math.nan
        row['train_loss'] = math.inf
    plot_curves(rows, tmp_path / 'gaps.png')
    plot_curves([{'epoch': 1, 'train_loss': 2.0}], tmp_path / 'little.png')
    plot_curves([{'epoch': 1, 'train_loss': math.nan}], tmp_path / 'none.png')
    with pytest.raises(ValueError, match='at least one epoch'):
        plot_curves([], tmp_path / 'empty.png')


def test_a_grid_repeats_whole_pixels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, [5, 50, 40, 3], np.uint8)
    grid = image_grid(images, list('abcde'), tmp_path / 'grid.png', columns=3)
    # 50 pixels become 150; cells are at least 144 wide, with gaps of 12 around.
    assert grid.dtype == np.uint8
    assert grid.shape == (2 * (150 + 22 + 12) + 12, 3 * (144 + 12) + 12, 3)
    for index, image in enumerate(images):
        top, left = 12 + 22 + index // 3 * 184, 12 + index % 3 * 156
        shown = grid[top : top + 150, left : left + 120]
        np.testing.assert_array_equal(shown, image.repeat(3, 0).repeat(3, 1))
    stored = (imread(tmp_path / 'grid.png')[..., :3] * 255).round()
    np.testing.assert_array_equal(stored, grid)


def test_large_images_keep_their_size():
    assert image_grid(np.zeros([1, 200, 300, 3], np.uint8), ['a']).shape == (
        200 + 22 + 24,
        300 + 24,
        3,
    )


def test_titles_are_coloured_by_correctness():
    images = np.full([2, 144, 144, 3], 255, np.uint8)
    grid = image_grid(images, ['right', 'wrong'], correct=[True, False])
    right, wrong = grid[:34, :162].astype(int), grid[:34, 162:].astype(int)
    assert (right[..., 1] - right[..., 0]).max() > 80 > right[..., 0].min()
    assert (wrong[..., 0] - wrong[..., 1]).max() > 80 > wrong[..., 1].min()
    assert (right[..., 0] <= right[..., 1]).all()
    assert (wrong[..., 1] <= wrong[..., 0]).all()
    plain = image_grid(images, ['right', 'wrong']).astype(int)
    assert (plain[..., 0] == plain[..., 1]).all() and plain.min() < 100


@pytest.mark.filterwarnings('error')
def test_odd_titles_stay_in_their_cells():
    images = np.full([2, 144, 144, 3], 255, np.uint8)
    grid = image_grid(images, ['a very long title ' * 9, ''])
    assert grid[:, 12 + 144 :].min() == 255
    assert grid[:, : 12 + 144].min() < 100
    image_grid(images, ['$not math', '猫'])


@pytest.mark.parametrize(
    ('images', 'titles', 'correct', 'message'),
    [
        (np.zeros([1, 2, 2, 3]), ['a'], None, r'uint8 \[N, H, W, 3\], got float64 \['),
        (np.zeros([1, 2, 2, 1], np.uint8), ['a'], None, r'got uint8 \[1, 2, 2, 1\]'),
        (np.zeros([2, 2, 2, 3], np.uint8), ['a'], None, '2 images, 1 titles and no m'),
        (np.zeros([0, 2, 2, 3], np.uint8), [], None, 'at least one, got 0 images'),
        (np.zeros([1, 2, 2, 3], np.uint8), ['a'], [], '1 titles and 0 marks'),
    ],
)
def test_grids_that_make_no_sense(images, titles, correct, message):
    with pytest.raises(ValueError, match=message):
        image_grid(images, titles, correct=correct)
