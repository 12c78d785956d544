import math
import subprocess
import sys

import pytest
from augmentations import augmentation
from hypothesis import given
from hypothesis import strategies as st

from vision.data.augment import (
    AUGMENTATIONS,
    MIXING,
    Augmentation,
    checked,
    parameters,
)
from vision.data.augment.specs import GEOMETRIC, PHOTOMETRIC, RANGES, written
from vision.errors import UserError

NUMBERS = [
    (name, i, parameter)
    for name in AUGMENTATIONS
    for i, parameter in enumerate(parameters(name))
]


def numbered(name: str, at: int, text: str) -> str:
    """The spec with a number at one place, and its defaults before that."""
    before = [str(parameter.default) for parameter in parameters(name)[:at]]
    return ':'.join([name, *before, text])


def test_every_augmentation_is_of_one_kind():
    assert set(AUGMENTATIONS) == {*GEOMETRIC, *PHOTOMETRIC, *MIXING}
    assert len(AUGMENTATIONS) == len(GEOMETRIC) + len(PHOTOMETRIC) + len(MIXING)


def test_every_number_has_a_range_that_holds_its_default():
    for _, _, parameter in NUMBERS:
        low, high = RANGES[parameter.name]
        assert low <= parameter.default <= high
        assert parameter.annotation in (int, float)


def test_every_range_is_of_some_number():
    assert set(RANGES) == {parameter.name for _, _, parameter in NUMBERS}


@pytest.mark.parametrize(
    'spec, numbers',
    [
        ('flip', ()),
        ('rotate', ()),
        ('rotate:20', (20.0,)),
        ('pad_crop:2', (2,)),
        ('random_resized_crop:0.3', (0.3,)),
        ('random_resized_crop:0.3:1.5', (0.3, 1.5)),
        ('colour_jitter:0:0.1:0.2:0.3', (0.0, 0.1, 0.2, 0.3)),
        ('rand_augment:3:5.5', (3, 5.5)),
        ('mixup:1e-1', (0.1,)),
    ],
)
def test_numbers(spec, numbers):
    assert augmentation(spec) == Augmentation(spec.split(':')[0], numbers)
    assert [type(n) for n in augmentation(spec).numbers] == [type(n) for n in numbers]


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_every_name_with_all_its_numbers(name):
    defaults = tuple(parameter.default for parameter in parameters(name))
    assert augmentation(name) == (name, ())
    assert augmentation(':'.join([name, *map(str, defaults)])) == (name, defaults)


@pytest.mark.parametrize('name, at, parameter', NUMBERS)
def test_the_ends_of_a_range_are_allowed_and_what_is_beyond_is_not(name, at, parameter):
    low, high = RANGES[parameter.name]
    kind = 'a whole number' if parameter.annotation is int else 'a number'
    for bound in (low, high):
        assert augmentation(numbered(name, at, str(bound))).numbers[at] == bound
    for beyond in (low - 1, high + 1, math.nan, math.inf):
        with pytest.raises(UserError) as error:
            augmentation(numbered(name, at, str(beyond)))
        assert str(error.value) == (
            f'Expected {parameter.name} of {name} to be {kind} in {low}..{high}; '
            f'received {beyond:g}.'
        )
        assert error.value.parameters == ('augment',)


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_a_number_too_many(name):
    takes = ':'.join([name, *(parameter.name for parameter in parameters(name))])
    spec = numbered(name, len(parameters(name)), '1')
    with pytest.raises(UserError) as error:
        augmentation(spec)
    numbers = [written(p.default) for p in parameters(name)] + ['1']
    assert str(error.value) == (
        f'Expected at most {takes}; received {":".join([name, *numbers])}.'
    )


@pytest.mark.parametrize('value', ['flip', ('flip', ()), None])
def test_what_is_no_augmentation_is_refused(value):
    with pytest.raises(UserError) as error:
        checked(value)
    assert str(error.value) == (
        f"Expected an Augmentation, such as Augmentation('flip'); received {value!r}."
    )
    assert error.value.parameters == ('augment',)


@pytest.mark.parametrize(
    'numbers, text',
    [((), 'rotate'), ((20.0,), 'rotate:20'), ((12.3456789,), 'rotate:12.3456789')],
)
def test_an_augmentation_is_written_exactly(numbers, text):
    assert str(Augmentation('rotate', numbers)) == text


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_the_name_that_was_meant_is_suggested(name):
    with pytest.raises(UserError) as error:
        augmentation(name + 'q')
    assert f"; received '{name}q'." in str(error.value)
    assert f'Did you mean {name}' in str(error.value)


@pytest.mark.parametrize(
    'spec, message',
    [
        (
            'rotat:20',
            'Expected an augmentation of pad_crop, .*, cutmix; received '
            "'rotat'. Did you mean rotate",
        ),
        ('', "an augmentation of .*; received ''"),
        ('Flip', "an augmentation of .*; received 'Flip'"),
        ('flip:1', 'Expected at most flip; received flip:1.'),
        ('rotate:20:3', 'Expected at most rotate:degrees; received rotate:20:3.'),
        ('shift:0.7', 'fraction of shift to be a number in 0..0.5; received 0.7'),
        ('pad_crop:1.5', 'padding of pad_crop to be a whole number in 0..16; .* 1.5'),
    ],
)
def test_errors(spec, message):
    with pytest.raises(UserError, match=message):
        augmentation(spec)


@pytest.mark.parametrize('numbers', [(3, 5), (3.0, 5.0)])
def test_checked_numbers_have_the_types_that_the_function_takes(numbers):
    layers, magnitude = checked(Augmentation('rand_augment', numbers)).numbers
    assert (layers, magnitude) == numbers
    assert (type(layers), type(magnitude)) == (int, float)


def test_an_augmentation_as_text():
    for spec in ('flip', 'rotate:20', 'rand_augment:3:5.5', 'mixup:0.1'):
        assert str(augmentation(spec)) == spec


def test_names_and_descriptions_need_no_tensorflow():
    code = """
import sys
from vision.data import DATASETS
from vision.data.augment import AUGMENTATIONS, Augmentation
assert all(entry.description.endswith('.') for entry in AUGMENTATIONS.values())
assert all(entry.description.endswith('.') for entry in DATASETS.values())
assert not {'tensorflow', 'numpy'} & set(sys.modules)
"""
    subprocess.run([sys.executable, '-c', code], check=True)


NUMBER = st.one_of(st.integers(-20, 200), st.floats(-1e3, 1e3), st.floats())


@st.composite
def augmentations(draw: st.DrawFn) -> Augmentation:
    """Any augmentation with any of its numbers, each within its range."""
    name = draw(st.sampled_from(list(AUGMENTATIONS)))
    numbers = []
    for parameter in parameters(name):
        low, high = RANGES[parameter.name]
        whole = parameter.annotation is int
        values = (
            st.integers(math.ceil(low), int(high)) if whole else st.floats(low, high)
        )
        numbers.append(draw(values))
    return Augmentation(name, tuple(numbers[: draw(st.integers(0, len(numbers)))]))


@given(augmentations())
def test_what_is_written_reads_back_equal(drawn):
    assert augmentation(str(drawn)) == checked(drawn) == drawn
    assert str(checked(drawn)) == str(drawn)


@given(st.floats(allow_nan=False))
def test_a_number_reads_back_equal(number):
    assert float(written(number)) == number


@given(
    st.one_of(st.sampled_from(list(AUGMENTATIONS)), st.text('abflip:-_ \n\u00e9')),
    st.lists(NUMBER, max_size=5),
)
def test_any_name_and_numbers_are_checked_or_refused(name, numbers):
    try:
        valid = checked(Augmentation(name, tuple(numbers)))
    except UserError as error:
        assert error.parameters == ('augment',) and 'received' in str(error)
    else:
        assert valid == (name, tuple(numbers)) and len(numbers) <= len(parameters(name))
        for number, parameter in zip(valid.numbers, parameters(name)):
            low, high = RANGES[parameter.name]
            assert low <= number <= high and type(number) is parameter.annotation
