"""Lists of strings are parsed into typed values, and refused with one form of error."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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
    for form in (texts, value):
        config = Config(**{name: form})
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


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(min_size=1).filter(lambda name: ':' not in name)
SEVERAL = st.lists(st.integers(min_value=0), min_size=2).map(tuple)
FORMS = {
    'augment': (
        parsing.AUGMENT,
        st.lists(
            st.builds(
                Augmentation,
                st.sampled_from(sorted(AUGMENTATIONS)),
                st.lists(NUMBERS).map(tuple),
            )
        ).map(tuple),
    ),
    'dense': (
        parsing.DENSE,
        st.none() | st.lists(st.integers(min_value=1)).map(tuple),
    ),
    'freeze': (
        parsing.FREEZE,
        st.builds(Freeze, st.none() | st.integers(min_value=0), st.booleans()),
    ),
    'image_size_schedule': (
        parsing.SIZE_SCHEDULE,
        st.lists(st.integers(min_value=1), unique=True).flatmap(
            lambda epochs: st.lists(
                st.integers(min_value=0),
                min_size=len(epochs) + 1,
                max_size=len(epochs) + 1,
            ).map(lambda sizes: tuple(zip([0, *sorted(epochs)], sizes)))
        ),
    ),
    'model_options': (
        parsing.MODEL_OPTIONS,
        st.dictionaries(NAMES, NUMBERS | SEVERAL).map(lambda d: tuple(d.items())),
    ),
}


@pytest.mark.parametrize('name', FORMS)
@given(data=st.data())
def test_what_is_written_is_parsed_again(name, data):
    form, values = FORMS[name]
    value = data.draw(values)
    texts = form.write(value)
    assert form.parse(texts) == value
    assert form.read(name, texts) == form.read(name, value) == value


# Of the characters that mean something, and any others.
TEXTS = st.lists(
    st.text('0123456789.-:@,_ einfalstbckodp٣²')
    | st.text()
    | st.sampled_from(['flip', 'rotate:', 'none', 'bn', 'backbone', 'last:', '32@0'])
)


@pytest.mark.parametrize('name', FORMS)
@given(texts=TEXTS)
@example(texts=['rotate:' + 400 * '9'])
@example(texts=['alpha:' + 400 * '9'])
@example(texts=['alpha:' + 5000 * '9'])
@example(texts=['512', '٣'])
@example(texts=['last:²'])
def test_any_texts_are_a_value_or_refused_by_name(name, texts):
    form, _ = FORMS[name]
    try:
        value = form.read(name, texts)
    except ConfigError as error:
        assert str(error).startswith(f'Expected --{name} ')
        assert 'received ' in str(error)
    else:
        assert form.read(name, form.write(value)) == value


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
