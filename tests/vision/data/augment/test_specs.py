import pytest

from vision.data import DatasetError
from vision.data.augment import AUGMENTATIONS, MIXING, Augmentation, parameters, parse
from vision.data.augment.specs import GEOMETRIC, PHOTOMETRIC, RANGES

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
def test_parse_reads(spec, numbers):
    assert parse(spec) == Augmentation(spec.split(':')[0], numbers)
    assert [type(n) for n in parse(spec).numbers] == [type(n) for n in numbers]


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_parse_reads_every_name_with_all_its_numbers(name):
    defaults = tuple(parameter.default for parameter in parameters(name))
    assert parse(name) == (name, ())
    assert parse(':'.join([name, *map(str, defaults)])) == (name, defaults)


@pytest.mark.parametrize('name, at, parameter', NUMBERS)
def test_parse_takes_the_ends_of_a_range_and_refuses_what_is_beyond(
    name, at, parameter
):
    low, high = RANGES[parameter.name]
    for bound in (low, high):
        assert parse(numbered(name, at, str(bound))).numbers[at] == bound
    for text in (str(low - 1), str(high + 1), 'nan', 'inf', 'x', '', ' '):
        with pytest.raises(DatasetError) as error:
            parse(numbered(name, at, text))
        kind = 'a whole number' if parameter.annotation is int else 'a number'
        assert str(error.value).endswith(
            f"{parameter.name} must be {kind} in {low}..{high}, got '{text}'."
        )


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_parse_refuses_a_number_too_many(name):
    takes = ':'.join([name, *(parameter.name for parameter in parameters(name))])
    spec = numbered(name, len(parameters(name)), '1')
    with pytest.raises(DatasetError) as error:
        parse(spec)
    assert str(error.value) == (
        f"'{spec}' has too many numbers; expected at most {takes}."
    )


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_parse_suggests_what_was_meant(name):
    with pytest.raises(DatasetError) as error:
        parse(name + 'q')
    assert f"Unknown augmentation '{name}q'" in str(error.value)
    assert f'Did you mean {name}' in str(error.value)


@pytest.mark.parametrize(
    'spec, message',
    [
        (
            'rotat:20',
            "Unknown augmentation 'rotat' in 'rotat:20'; expected one of pad_crop"
            '.*Did you mean rotate',
        ),
        ('', "Unknown augmentation ''"),
        (':', "Unknown augmentation ''"),
        ('Flip', "Unknown augmentation 'Flip'"),
        ('flip:1', "'flip:1' has too many numbers; expected at most flip"),
        ('flip:', 'too many numbers; expected at most flip'),
        ('rotate:20:3', 'too many numbers; expected at most rotate:degrees'),
        ('rotate:left', "degrees must be a number in 0..180, got 'left'"),
        ('shift:0.7', 'fraction must be a number in 0..0.5'),
        ('pad_crop:1.5', 'padding must be a whole number in 0..16'),
    ],
)
def test_parse_refuses(spec, message):
    with pytest.raises(DatasetError, match=message):
        parse(spec)
