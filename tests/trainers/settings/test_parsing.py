"""Lists of strings are parsed into typed values, and refused with one form of error."""

import json

import pytest

from trainers.settings import parsing
from trainers.settings.config import Config, ConfigError
from trainers.settings.parsing import Freeze
from vision.data.augment import AUGMENTATIONS, Augmentation

# (setting, text as a person types it, typed value)
CASES = [
    ('augment', [], ()),
    ('augment', ['flip'], (Augmentation('flip'),)),
    (
        'augment',
        ['pad_crop:4', 'colour_jitter:0:0.1', 'mixup:1e-05'],
        (
            Augmentation('pad_crop', (4,)),
            Augmentation('colour_jitter', (0, 0.1)),
            Augmentation('mixup', (1e-5,)),
        ),
    ),
    (
        'augment',
        ['rotate:0.30000000000000004'],
        (Augmentation('rotate', (0.1 + 0.2,)),),
    ),
    ('dense', [], None),
    ('dense', ['none'], ()),
    ('dense', ['512'], (512,)),
    ('dense', ['512', '64'], (512, 64)),
    ('freeze', [], Freeze(None, False)),
    ('freeze', ['bn'], Freeze(None, True)),
    ('freeze', ['backbone'], Freeze(0, False)),
    ('freeze', ['backbone', 'bn'], Freeze(0, True)),
    ('freeze', ['last:2'], Freeze(2, False)),
    ('finetune_freeze', ['last:2', 'bn'], Freeze(2, True)),
    ('image_size_schedule', [], ()),
    ('image_size_schedule', ['32@0'], ((0, 32),)),
    (
        'image_size_schedule',
        ['32@0', '48@10', '56@20'],
        ((0, 32), (10, 48), (20, 56)),
    ),
    ('model_options', [], ()),
    ('model_options', ['alpha:0.35'], (('alpha', 0.35),)),
    ('model_options', ['alpha:1'], (('alpha', 1),)),
    ('model_options', ['alpha:1e-05'], (('alpha', 1e-5),)),
    ('model_options', ['alpha:0.30000000000000004'], (('alpha', 0.1 + 0.2),)),
    (
        'model_options',
        ['filters:8-16-32', 'block_dropout:0'],
        (('filters', (8, 16, 32)), ('block_dropout', 0)),
    ),
]


@pytest.mark.parametrize('name, texts, value', CASES)
def test_text_and_typed_values_are_the_same(name, texts, value):
    for given in (texts, value):
        config = Config(**{name: given})
        assert getattr(config, name) == value
        assert json.loads(json.dumps(config.to_dict()))[name] == texts
        assert Config.from_dict(config.to_dict()) == config
        hash(config)
    if texts:
        assert getattr(Config(**{name: tuple(texts)}), name) == value


@pytest.mark.parametrize(
    'name, texts, value',
    [
        ('freeze', ['none'], Freeze()),
        ('freeze', ['bn', 'last:2'], Freeze(2, True)),
        ('freeze', ['last:02'], Freeze(2)),
        ('model_options', ['alpha:1', 'alpha:0.5'], (('alpha', 0.5),)),
        ('model_options', {'alpha': 0.5}, (('alpha', 0.5),)),
        ('model_options', {'filters': [8, 16]}, (('filters', (8, 16)),)),
    ],
)
def test_other_forms_of_a_value(name, texts, value):
    assert getattr(Config(**{name: texts}), name) == value


EXPECTED = {
    'augment': 'as NAME or NAME:NUMBER:..., such as pad_crop:4,flip',
    'dense': 'as widths above 0, such as 512,64, or none',
    'freeze': 'as one of backbone, last:N with N above 0, bn, none and last:N,bn',
    'image_size_schedule': 'as SIZE@EPOCH,... with epochs that rise from 0, such as '
    '32@0,48@10',
    'model_options': 'as NAME:NUMBER or NAME:NUMBER-NUMBER, such as alpha:0.35 or '
    'filters:32-64',
}
EXPECTED['finetune_freeze'] = EXPECTED['freeze']


@pytest.mark.parametrize(
    'name, value',
    [
        *(
            ('augment', [f'{text}'])
            for text in ('flip:', 'rotate:left', 'rotate: ', 'rotate:nan', 'rotate:1:x')
        ),
        *(('dense', ['64', text]) for text in ('0', '-4', '1.5', 'many', 'none', '')),
        *(
            ('freeze', [text])
            for text in ('last:0', 'last:-1', 'last', '2', 'head', '')
        ),
        ('freeze', ['none', 'bn']),
        ('freeze', ['backbone', 'last:2']),
        ('freeze', ['last:1', 'last:2']),
        ('freeze', ['none', 'backbone']),
        ('finetune_freeze', ['none', 'bn']),
        *(
            ('image_size_schedule', [text])
            for text in ('32', '32@', '@0', '32@-1', '32@0@1', '32@1', '')
        ),
        ('image_size_schedule', ['32@0', '48@0']),
        ('image_size_schedule', ['32@0', '56@20', '48@10']),
        *(
            ('model_options', [text])
            for text in (
                'alpha',
                'alpha:',
                ':1',
                'alpha:wide',
                'alpha:nan',
                'a:inf',
            )
        ),
        ('model_options', ['filters:8,16']),
        ('model_options', ['filters:8-']),
    ],
)
def test_texts_that_cannot_be_parsed(name, value):
    with pytest.raises(ConfigError) as error:
        Config(**{name: value})
    assert str(error.value) == (
        f'Expected --{name} {EXPECTED[name]}; received {",".join(value)!r}.'
    )


@pytest.mark.parametrize(
    'name, value',
    [
        ('augment', 'flip'),
        ('augment', (4,)),
        ('augment', (Augmentation('rotate', 20),)),
        ('dense', '512'),
        ('dense', 512),
        ('dense', (0,)),
        ('dense', (1.5,)),
        ('freeze', 'backbone'),
        ('freeze', None),
        ('freeze', Freeze(-1)),
        ('image_size_schedule', (32,)),
        ('image_size_schedule', ((1, 32),)),
        ('image_size_schedule', [32]),
        ('model_options', 'alpha:1'),
        ('model_options', {'alpha': 'wide'}),
    ],
)
def test_values_of_another_type(name, value):
    with pytest.raises(ConfigError) as error:
        Config(**{name: value})
    assert str(error.value).startswith(f'Expected --{name} {EXPECTED[name]}; received ')


@pytest.mark.parametrize(
    'value, text', [(1.0, '1'), (0.1 + 0.2, '0.30000000000000004'), ((8, 16), '8-16')]
)
def test_numbers_are_written_in_full(value, text):
    assert parsing.written(value) == text


@pytest.mark.parametrize('text', ['', ':', 'Flip', 'all', 'cutmixq:1'])
def test_unknown_augmentations(text):
    for value in ([text], [Augmentation(text)] if text.isalpha() else [text]):
        with pytest.raises(ConfigError, match='Expected --augment') as error:
            Config(augment=tuple(value))
        assert f'received {text!r}.' in str(error.value)
    with pytest.raises(ConfigError, match='received .cutmixq.*Did you mean cutmix'):
        Config(augment=['cutmixq'])


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_every_augmentation_is_parsed(name):
    assert Config(augment=[f'{name}']).augment == ((name, ()),)
