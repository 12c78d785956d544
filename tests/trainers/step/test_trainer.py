"""The training step against formulas, on a network with auxiliary heads."""

import contextlib
import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from trainers.settings.config import Config
from trainers.step.trainer import Trainer, TrainingPhase
from vision import models
from vision.data import ArraySplit, Batch, eval_batches
from vision.layers import AuxiliaryHead, ConvBlock, MaxPool
from vision.models import Network

CLASSES, SIZE, COUNT = 4, 32, 4
# Plain gradient descent, and every term of the loss.
CONFIG = Config(
    optimizer='sgd',
    momentum=0.0,
    learning_rate=0.05,
    schedule='constant',
    warmup_epochs=0.0,
    aux_weight=0.3,
    weight_decay=1e-3,
    label_smoothing=0.1,
    dropout=0.4,
    aux_dropout=0.7,
    seed=5,
)


def make_model(dtype: tf.DType = tf.float32) -> Network:
    """Convolutions with a pool between, and auxiliary heads behind two stages."""
    tf.random.set_seed(1)
    aux = functools.partial(
        AuxiliaryHead, 8, 4, CLASSES, dropout=CONFIG.aux_dropout, dtype=dtype
    )
    return Network(
        {
            'conv1': ConvBlock(3, 8, 5, stride=4, dtype=dtype),
            'pool': MaxPool(3, 2),
            'conv2': ConvBlock(8, 8, 3, dtype=dtype),
            'conv3': ConvBlock(8, 12, 3, dtype=dtype),
        },
        12,
        4,
        classes=CLASSES,
        image_size=SIZE,
        min_image_size=8,
        normalization='symmetric',
        heads={'pool': aux(salt=1), 'conv2': aux(salt=2)},
        dropout=CONFIG.dropout,
        dtype=dtype,
    )


def without_dropout(model: Network) -> Network:
    """The model; XLA and other types of numbers would draw other masks."""
    for head in (model.head, *model.heads.values()):
        head.dropout.rate = 0.0
    return model


def make_batch(seed: int = 0, weights=(1, 1, 1, 1)) -> Batch:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, [COUNT, SIZE, SIZE, 3], np.uint8)
    labels = rng.integers(0, CLASSES, COUNT, np.int32)
    return Batch(
        tf.constant(images), tf.constant(labels), tf.constant(weights, tf.float32)
    )


def make_phase(*arguments) -> TrainingPhase:
    """The only phase of a trainer."""
    (phase,) = Trainer(*arguments).phases
    return phase


def variables(phase: TrainingPhase) -> list:
    return [
        *phase.state.model.variables,
        *phase.optimizer.variables,
        phase.state.step,
        phase.state.losses.sums,
        phase.state.accuracies.sums,
    ]


def state(phase: TrainingPhase) -> list[np.ndarray]:
    return [variable.numpy() for variable in variables(phase)]


@contextlib.contextmanager
def restored(phase: TrainingPhase):
    """What happens inside is undone afterwards."""
    before = state(phase)
    yield phase
    for variable, value in zip(variables(phase), before):
        variable.assign(value)


def after(phase: TrainingPhase, *batches: Batch, step: int = 0) -> list[np.ndarray]:
    """The state after training steps, which are undone again."""
    with restored(phase):
        phase.state.step.assign(step)
        for batch in batches:
            phase.train_step(batch)
        return state(phase)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope='module')
def built() -> TrainingPhase:
    return make_phase(make_model(), CONFIG, 10)


@pytest.fixture
def phase(built):
    with restored(built):
        yield built


@pytest.fixture
def eagerly():
    """Steps run without being traced, which takes longer than a few of them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def head_loss(batch: Batch, logits: tf.Tensor) -> tf.Tensor:
    targets = tf.one_hot(batch.labels, CLASSES)
    if batch.partners is not None:
        shares = batch.shares[:, tf.newaxis]
        targets = shares * targets + (1 - shares) * tf.one_hot(batch.partners, CLASSES)
    targets = 0.9 * targets + 0.1 / CLASSES
    losses = -tf.reduce_sum(targets * tf.nn.log_softmax(logits), 1)
    return tf.reduce_sum(batch.sample_weights * losses) / COUNT


def terms(phase: TrainingPhase, batch: Batch) -> dict[str, tf.Tensor]:
    """The terms of the loss, written out."""
    seed = tf.constant([CONFIG.seed, int(phase.state.step.numpy())], tf.int64)
    outputs = phase.state.model(batch.images, training=True, seed=seed)
    squares = [tf.reduce_sum(w**2) for w in phase.weights if len(w.shape) > 1]
    losses = {'main_loss': head_loss(batch, outputs.main)}
    for name, logits in zip(('aux1_loss', 'aux2_loss'), outputs.aux, strict=True):
        losses[name] = head_loss(batch, logits)
    losses['weight_decay'] = 1e-3 / 2 * tf.add_n(squares)
    losses['loss'] = (
        losses['main_loss']
        + losses['weight_decay']
        + 0.3 * (losses['aux1_loss'] + losses['aux2_loss'])
    )
    return losses


def gradients(phase: TrainingPhase, batch: Batch) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        loss = terms(phase, batch)['loss']
    return tape.gradient(loss, phase.weights)


@pytest.mark.parametrize('weights', [(1, 1, 1, 1), (1, 0, 1, 1)])
def test_loss_is_the_sum_of_its_terms(phase, weights):
    batch = make_batch(weights=weights)
    expected = {name: float(term) for name, term in terms(phase, batch).items()}
    norm = float(tf.linalg.global_norm(gradients(phase, batch)))
    phase.train_step(batch)
    assert phase.state.losses.read() == pytest.approx(
        {'weight': 1, 'gradient_norm': norm, **expected}, rel=1e-4
    )
    assert phase.state.accuracies.read()['weight'] == sum(weights)


def test_mixed_images_have_the_labels_of_both(phase, eagerly):
    batch = make_batch()._replace(
        partners=tf.constant([1, 2, 3, 0]), shares=tf.constant([0.5, 0.6, 0.8, 1.0])
    )
    expected = {name: float(term) for name, term in terms(phase, batch).items()}
    phase.train_step(batch)
    losses = phase.state.losses.read()
    assert {name: losses[name] for name in expected} == pytest.approx(expected)


def test_classes_have_their_weights_in_training_only(phase, eagerly):
    weights = np.array([0, 2, 3, 1], np.float32)
    weighted = make_phase(phase.state.model, CONFIG, 10, 'float32', weights)
    plain, mixed = make_batch()._replace(labels=tf.constant([2, 2, 2, 2])), []
    for partners in (0, 1):
        mixed.append(
            plain._replace(
                partners=tf.fill([COUNT], partners), shares=tf.fill([COUNT], 0.25)
            )
        )
    of_1, of_2 = (
        float(terms(phase, plain._replace(labels=tf.fill([COUNT], k)))['main_loss'])
        for k in (1, 2)
    )
    for batch, expected in (
        (plain, 3 * of_2),
        (mixed[0], 0.25 * 3 * of_2),
        (mixed[1], 0.25 * 3 * of_2 + 0.75 * 2 * of_1),
    ):
        with restored(weighted):
            weighted.train_step(batch)
            losses = weighted.state.losses.read()
        assert losses['main_loss'] == pytest.approx(expected, rel=1e-4)
    assert weighted.evaluate([plain]) == phase.evaluate([plain])


def test_both_phases_have_the_weights_of_the_classes():
    weights = np.ones(CLASSES, np.float32)
    config = dataclasses.replace(CONFIG, finetune_epochs=1)
    phases = Trainer(make_model(), config, 10, 'float32', weights).phases
    assert [phase.class_weights is weights for phase in phases] == [True, True]
    assert [phase.precision for phase in phases] == ['float32', 'float32']


def test_update_is_gradient_descent(phase):
    batch = make_batch()
    steps = [-0.05 * gradient for gradient in gradients(phase, batch)]
    expected = [w + step for w, step in zip(phase.weights, steps)]
    phase.train_step(batch)
    for weight, value in zip(phase.weights, expected):
        np.testing.assert_allclose(weight, value, rtol=1e-4, atol=1e-6)
    assert phase.state.step.numpy() == 1


def test_gradient_is_the_slope_of_the_loss(phase):
    batch = make_batch()
    slope = gradients(phase, batch)
    norm = tf.linalg.global_norm(slope)

    def loss_at(distance: float) -> float:
        with restored(phase):
            for weight, component in zip(phase.weights, slope):
                weight.assign_add(distance * component / norm)
            return float(terms(phase, batch)['loss'])

    step = 2e-4
    difference = (loss_at(step) - loss_at(-step)) / (2 * step)
    assert difference == pytest.approx(float(norm), rel=0.02)


def test_weight_0_has_no_influence(phase):
    weights = (1, 1, 0, 1)
    batch, other = make_batch(0, weights), make_batch(1, weights)
    index = tf.constant([[2]])
    changed = Batch(
        tf.tensor_scatter_nd_update(batch.images, index, other.images[2:3]),
        tf.tensor_scatter_nd_update(batch.labels, index, (batch.labels[2:3] + 1) % 4),
        batch.sample_weights,
    )
    assert same(after(phase, batch), after(phase, changed))
    counted = Batch(changed.images, changed.labels, tf.ones(COUNT))
    assert not same(after(phase, batch), after(phase, counted))


def test_batch_without_an_image(phase):
    phase.train_step(make_batch(weights=(0, 0, 0, 0)))
    losses = phase.state.losses.read()
    assert losses['main_loss'] == 0
    assert all(np.isfinite(list(losses.values())))


def test_loss_of_0_has_a_gradient_norm(eagerly):
    phase = make_phase(make_model(), dataclasses.replace(CONFIG, weight_decay=0.0), 10)
    phase.train_step(make_batch(weights=(0, 0, 0, 0)))
    assert phase.state.losses.read()['gradient_norm'] == 0


def test_several_steps_in_a_call_equal_single_calls(phase):
    batches = [make_batch(seed) for seed in range(3)]

    def iterate() -> tf.data.Iterator:
        stacked = Batch(
            *(tf.stack(parts) for parts in zip(*(batch[:3] for batch in batches)))
        )
        return iter(tf.data.Dataset.from_tensor_slices(stacked))

    with restored(phase):
        phase.train_steps(iterate(), 3)
        together = state(phase)
    iterator = iterate()
    for _ in batches:
        phase.train_steps(iterator, 1)
    assert same(together, state(phase))
    assert phase.state.step.numpy() == 3


def test_dropout_depends_on_the_step(phase):
    first = after(phase, make_batch(), step=7)
    assert same(first, after(phase, make_batch(), step=7))
    assert not same(first[:-3], after(phase, make_batch(), step=8)[:-3])


def test_dropout_depends_on_the_seed(phase, eagerly):
    other = make_phase(phase.state.model, dataclasses.replace(CONFIG, seed=6), 10)
    again = make_phase(phase.state.model, CONFIG, 10)
    first = after(phase, make_batch())
    assert same(first, after(again, make_batch()))
    assert not same(first, after(other, make_batch()))


def test_auxiliary_heads_without_weight_do_not_change(phase, eagerly):
    config = dataclasses.replace(CONFIG, aux_weight=0.0, weight_decay=0.0)
    unweighted = make_phase(phase.state.model, config, 10)
    model = phase.state.model
    heads = [v for head in model.heads.values() for v in head.trainable_variables]
    before = [v.numpy() for v in heads], model.head.classifier.kernel.numpy()
    with restored(unweighted):
        unweighted.train_step(make_batch())
        assert same([v.numpy() for v in heads], before[0])
        assert not np.array_equal(model.head.classifier.kernel, before[1])


def test_rate_follows_schedule_and_plateau(phase, eagerly):
    config = dataclasses.replace(
        CONFIG, schedule='step', decay_rate=0.1, learning_rate=0.05
    )
    falling = make_phase(phase.state.model, config, 10)
    falling.state.step.assign(10)
    falling.state.plateau.assign(0.5)
    with restored(falling):
        falling.train_step(make_batch())
        rate = float(falling.optimizer.learning_rate.numpy())
    assert rate == pytest.approx(0.05 * 0.1 * 0.5)


def test_frozen_stages_do_not_change(phase, eagerly):
    config = dataclasses.replace(CONFIG, freeze=('last:2',), weight_decay=0.1)
    model = phase.state.model
    try:
        frozen = make_phase(model, config, 10)
        names = list(model.stages)
        first = names.index('conv2')
        parts = [[v.numpy() for v in model.stages[n].variables] for n in names]
        with restored(phase):
            frozen.train_step(make_batch())
            for index, (name, before) in enumerate(zip(names, parts)):
                after = [v.numpy() for v in model.stages[name].variables]
                assert same(before, after) is (index < first or not before), name
    finally:
        model.freeze()


@pytest.mark.parametrize('optimizer', ['sgd', 'adam', 'adamw'])
def test_layer_decay_scales_the_updates(phase, eagerly, optimizer):
    config = dataclasses.replace(CONFIG, optimizer=optimizer, weight_decay=0.0)
    steps = []
    for decay in (1.0, 0.5):
        again = make_phase(
            phase.state.model, dataclasses.replace(config, layer_decay=decay), 10
        )
        with restored(phase):
            before = [w.numpy() for w in again.weights]
            again.train_step(make_batch())
            steps.append([w.numpy() - old for w, old in zip(again.weights, before)])
    depths = [depth for depth, _ in phase.state.model.depths()]
    assert sorted(set(depths)) == [0, 1, 2, 3]
    for full, short, depth in zip(*steps, depths):
        np.testing.assert_allclose(short, full * 0.5**depth, rtol=1e-3, atol=2e-7)


def test_evaluation_counts_every_image_once(phase):
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, [6, SIZE, SIZE, 3], np.uint8)
    labels = np.array([0, 1, 2, 3, 0, 1], np.int32)
    split = ArraySplit(labels, [str(i) for i in range(6)], images=images)
    batches = eval_batches(split, batch_size=COUNT, image_size=SIZE)
    logits = tf.nn.log_softmax(phase.state.model(images).main).numpy()
    assert phase.evaluate(batches) == pytest.approx(
        {
            'loss': -logits[np.arange(6), labels].mean(),
            'top1': (logits.argmax(1) == labels).mean(),
            'top5': 1.0,
        },
        rel=1e-5,
    )
    np.testing.assert_array_equal(phase.predict(images), logits.argmax(1))


def test_evaluation_resets_its_totals(phase):
    batch = make_batch()
    assert phase.evaluate([batch]) == phase.evaluate([batch])


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_half_precision(precision):
    exact, half = (
        make_phase(without_dropout(make_model(tf.as_dtype(name))), CONFIG, 10, name)
        for name in ('float32', precision)
    )
    for weight, value in zip(half.state.model.variables, exact.state.model.variables):
        weight.assign(value)
    for phase in (exact, half):
        phase.train_step(make_batch())
    assert half.state.losses.read() == pytest.approx(
        exact.state.losses.read(), rel=0.02
    )
    assert all(np.isfinite(weight).all() for weight in half.weights)


def test_an_overflow_of_float16_changes_no_weight_and_no_mean(eagerly):
    phase = make_phase(make_model(tf.float16), CONFIG, 10, 'float16')
    phase.optimizer.dynamic_scale.assign(1e30)
    before = [weight.numpy() for weight in phase.weights]
    phase.train_step(make_batch())
    assert phase.state.losses.read()['gradient_norm'] == 0
    assert same([weight.numpy() for weight in phase.weights], before)
    assert phase.state.step.numpy() == 1


def test_xla_computes_the_same():
    results = []
    for xla in (False, True):
        model = without_dropout(make_model())
        phase = make_phase(model, dataclasses.replace(CONFIG, xla=xla), 10)
        phase.train_step(make_batch())
        results.append({**phase.state.losses.read(), **phase.evaluate([make_batch()])})
    assert results[1] == pytest.approx(results[0], rel=1e-3)


@pytest.mark.parametrize(
    'dtype, xla', [(tf.bfloat16, False), (tf.float16, False), (tf.float32, True)]
)
def test_batch_norms_are_estimated_the_same(dtype, xla):
    statistics = []
    for options in ((tf.float32, False), (dtype, xla)):
        tf.random.set_seed(1)
        model = models.create(
            'cifar_cnn',
            classes=CLASSES,
            image_size=8,
            filters=(8,),
            dense=(),
            dtype=options[0],
        )
        config = dataclasses.replace(CONFIG, xla=options[1])
        make_phase(model, config, 10).estimate_batch_norms(
            [make_batch(1), make_batch(2)]
        )
        statistics.append([v.numpy() for v in model.batch_norms()[0].variables])
    for actual, expected in zip(*statistics):
        np.testing.assert_allclose(actual, expected, rtol=0.02, atol=0.01)
