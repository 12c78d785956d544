"""The faults that run.py plants, in every package and of every kind that happens.

Each replaces a piece of code that occurs exactly once in its file. A fault is of use
only if it changes what the software does: an equivalent one proves nothing.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """A mistake to plant.

    Attributes:
        name: for reports and `--only`.
        path: the file, from the root of the project.
        code: what stands there now.
        fault: what is written in its place.
    """

    name: str
    path: str
    code: str
    fault: str


FAULTS = (
    # vision/layers
    Fault(
        'batch_norm_biased_variance',
        'vision/layers/normalization.py',
        'variance *= (count - 1) / count',
        'variance *= count / count',
    ),
    Fault(
        'batch_norm_epsilon_in_inference',
        'vision/layers/normalization.py',
        '                self.epsilon,\n                is_training=False,',
        '                2 * self.epsilon,\n                is_training=False,',
    ),
    Fault(
        'lrn_gradient_sign',
        'vision/layers/normalization.py',
        'dy * factor - 2 * alpha * beta * wide * shared',
        'dy * factor + 2 * alpha * beta * wide * shared',
    ),
    Fault(
        'separable_bias_dropped',
        'vision/layers/convolution.py',
        '            bias=bias,\n            initializer=centered_he_normal,',
        '            bias=False,\n            initializer=centered_he_normal,',
    ),
    # vision/models
    Fault(
        'inception_branch_order',
        'vision/layers/inception.py',
        '                self.conv5(self.reduce5(x, training), training),\n'
        '                self.project(self.pool(x, training), training),',
        '                self.project(self.pool(x, training), training),\n'
        '                self.conv5(self.reduce5(x, training), training),',
    ),
    Fault(
        'inception_auxiliary_at_wrong_block',
        'vision/models/inception_v1.py',
        "AUXILIARY_AFTER = ('inception_4a', 'inception_4d')",
        "AUXILIARY_AFTER = ('inception_4b', 'inception_4d')",
    ),
    Fault(
        'auxiliary_pool_of_other_sizes',
        'vision/layers/inception.py',
        'return map_size - (self.cells - 1) * stride, stride',
        'return map_size - self.cells * stride + 1, stride',
    ),
    Fault(
        'swapped_channels_caffe',
        'vision/models/normalization.py',
        'images[..., ::-1]',
        'images',
    ),
    Fault(
        'pretrained_normalization_unchecked',
        'vision/models/pretrained/matching.py',
        'if model.name != name or model.normalization != NORMALIZATIONS[name]:',
        'if model.name != name:',
    ),
    Fault(
        'mobilenet_at_alpha_1_always_largest',
        'vision/models/pretrained/published.py',
        'if alpha <= 1 else',
        'if alpha < 1 else',
    ),
    # vision/data
    Fault(
        'shuffle_ignores_epoch',
        'vision/data/pipeline.py',
        'key = tf.stack([tf.constant(seed, tf.int64), step // epoch_steps])',
        'key = tf.stack([tf.constant(seed, tf.int64), 0 * step])',
    ),
    Fault(
        'evaluation_drops_last_batch',
        'vision/data/pipeline.py',
        'steps = -(-len(examples) // batch_size)',
        'steps = len(examples) // batch_size or 1',
    ),
    Fault(
        'padding_counts_in_evaluation',
        'vision/data/pipeline.py',
        'sample_weights=tf.where(real, padded.sample_weights, 0.0)',
        'sample_weights=padded.sample_weights',
    ),
    Fault(
        'bad_file_keeps_weight',
        'vision/data/fetch.py',
        'sample_weights = tf.where(good, tf.gather(all_weights, indices), 0.0)',
        'sample_weights = tf.gather(all_weights, indices)',
    ),
    Fault(
        'split_keeps_class_order',
        'vision/data/source.py',
        'members = rng.permutation(np.flatnonzero(labels == label))',
        'members = np.flatnonzero(labels == label)',
    ),
    Fault(
        'single_image_held_out',
        'vision/data/source.py',
        'len(members) - 1)',
        'len(members))',
    ),
    Fault(
        'flip_always',
        'vision/data/augment/geometry.py',
        'return tf.where(draws.uniform(seeds) < 0.5, -1.0, 1.0)',
        'return tf.where(draws.uniform(seeds) < 1.5, -1.0, 1.0)',
    ),
    Fault(
        'rotation_direction',
        'vision/data/augment/geometry.py',
        'return linear(cos, -sin, sin, cos, side)',
        'return linear(cos, sin, -sin, cos, side)',
    ),
    Fault(
        'crop_never_touches_last_row',
        'vision/data/augment/geometry.py',
        'top = tf.floor(draws.uniform(for_top) * (rows - crop_height + 1))',
        'top = tf.floor(draws.uniform(for_top) * (rows - crop_height))',
    ),
    Fault(
        'luminance_weights_swapped',
        'vision/data/augment/colour.py',
        'LUMINANCE = (0.299, 0.587, 0.114)',
        'LUMINANCE = (0.114, 0.587, 0.299)',
    ),
    Fault(
        'mixup_share_of_partner',
        'vision/data/augment/mixing.py',
        'return partners(images) + per_image(shares) * (images - partners(images))',
        'return images + per_image(shares) * (partners(images) - images)',
    ),
    Fault(
        'exif_orientations_swapped',
        'vision/data/decoding/exif.py',
        'tf.reduce_any(value == [3, 4, 7, 8])',
        'tf.reduce_any(value == [3, 4, 6, 7])',
    ),
    Fault(
        'animated_webp_accepted',
        'vision/data/decoding/decode.py',
        "(header[15] == ord('X')) & (header[20] // 2 % 2 == 1)",
        "(header[15] == ord('X')) & (header[20] // 2 % 2 == 2)",
    ),
    Fault(
        'antialiasing_dropped',
        'vision/data/decoding/decode.py',
        'lambda: resized(antialias=True),',
        'lambda: resized(antialias=False),',
    ),
    Fault(
        'download_version_ignored',
        'vision/data/download/download.py',
        "'If-Range': version if start and version else None",
        "'If-Range': None",
    ),
    Fault(
        'download_room_unchecked',
        'vision/data/download/download.py',
        'if total - begins > free:',
        'if total - begins > free and free < 0:',
    ),
    Fault(
        'extracted_files_not_flushed',
        'vision/data/download/extract.py',
        '            os.sync()',
        '            pass',
    ),
    Fault(
        'record_of_other_images_kept',
        'vision/data/storage/stored.py',
        '            _record(file).unlink(missing_ok=True)\n',
        '',
    ),
    Fault(
        'cache_blind_to_places_in_files',
        'vision/data/storage/stored.py',
        'return [*ranges, *status.items()]',
        'return [*status.items()]',
    ),
    Fault(
        'csv_shares_ignored',
        'vision/data/datasets/csv_file.py',
        'splits=complete(ready, held_out)',
        'splits=complete(ready, HeldOut())',
    ),
    # vision/files.py
    Fault(
        'fsync_dropped',
        'vision/files.py',
        '        os.fsync(descriptor)',
        '        pass',
    ),
    Fault(
        'lock_not_taken',
        'vision/files.py',
        '        file_lock.acquire(timeout=0)',
        '        pass',
    ),
    Fault(
        'temporary_file_left',
        'vision/files.py',
        '        temporary.unlink(missing_ok=True)\n        raise',
        '        raise',
    ),
    Fault(
        'name_not_flushed',
        'vision/files.py',
        '    flush(path.parent)\n',
        '',
    ),
    # vision/survey, vision/explain, vision/export
    Fault(
        'bright_counted_as_dark',
        'vision/survey/statistics.py',
        '(light < -_OUTLYING)',
        '(light > _OUTLYING)',
    ),
    Fault(
        'grad_cam_without_relu',
        'vision/explain/grad_cam.py',
        'return tf.nn.relu(tf.reduce_sum(weights * x, -1))',
        'return tf.reduce_sum(weights * x, -1)',
    ),
    Fault(
        'occlusion_of_least_important',
        'vision/explain/occlusion.py',
        'np.argpartition(-flat, count, axis=1)',
        'np.argpartition(flat, count, axis=1)',
    ),
    Fault(
        'converter_built_without_lock',
        'vision/export/converter_environment.py',
        "with locked(folder.with_name(f'{folder.name}.lock')):",
        'if True:',
    ),
    Fault(
        'converter_log_out_of_order',
        'vision/export/converter_environment.py',
        '    log.flush()\n',
        '',
    ),
    Fault(
        'browser_leaves_processes',
        'vision/export/browser.py',
        'os.killpg(process.pid, signal.SIGKILL)',
        'process.kill()',
    ),
    Fault(
        'page_shows_other_classes',
        'vision/export/tensorflowjs.py',
        '[best, expected[labels]]',
        '[best, best]',
    ),
    Fault(
        'check_image_of_another_formula',
        'vision/export/tensorflowjs.py',
        '** 2 % 251',
        '% 251',
    ),
    # trainers/step
    Fault(
        'auxiliary_weight_forgotten',
        'trainers/step/trainer.py',
        'loss = main + self.config.aux_weight * sum(aux) + decay',
        'loss = main + sum(aux) + decay',
    ),
    Fault(
        'layer_decay_ignored',
        'trainers/step/trainer.py',
        'weight.assign(before + rate * (weight - before))',
        'weight.assign(weight)',
    ),
    Fault(
        'mixed_labels_swapped',
        'trainers/step/trainer.py',
        'losses = batch.shares * losses + (1 - batch.shares) * mixed_in',
        'losses = (1 - batch.shares) * losses + batch.shares * mixed_in',
    ),
    Fault(
        'smoothing_off_by_one_class',
        'trainers/step/losses.py',
        'labels, classes, 1 - smoothing + smoothing / classes, smoothing / classes',
        'labels, classes, 1 - smoothing, smoothing / (classes - 1)',
    ),
    Fault(
        'biases_decay',
        'trainers/step/losses.py',
        'if v.shape.rank > 1]',
        'if v.shape.rank > 0]',
    ),
    Fault(
        'average_without_warm_up',
        'trainers/step/averaging.py',
        'share = 1 - tf.minimum(self.decay, (1 + step) / (10 + step))',
        'share = 1 - tf.minimum(self.decay, 1 + step)',
    ),
    Fault(
        'warm_up_starts_one_late',
        'trainers/step/schedules.py',
        'rate *= tf.minimum((step + 1) / warmup, 1)',
        'rate *= tf.minimum(step / warmup, 1)',
    ),
    Fault(
        'ties_count_as_hits',
        'trainers/step/metrics.py',
        'ahead = (logits > target) | ((logits == target) & earlier)',
        'ahead = logits > target',
    ),
    Fault(
        'balanced_over_absent_classes',
        'trainers/step/losses.py',
        'present = np.count_nonzero(counts)',
        'present = classes',
    ),
    # trainers/storage, trainers/run, trainers/settings
    Fault(
        'checkpoint_not_flushed',
        'trainers/storage/checkpoints.py',
        '                files.flush(path)',
        '                pass',
    ),
    Fault(
        'checkpoint_rotation_keeps_one_less',
        'trainers/storage/checkpoints.py',
        'for step in sorted(folders)[: -self._keep]:',
        'for step in sorted(folders)[: 1 - self._keep or None]:',
    ),
    Fault(
        'best_of_averaged_by_raw',
        'trainers/storage/history.py',
        "weights = 'validation_averaged' if config.ema else 'validation'",
        "weights = 'validation'",
    ),
    Fault(
        'early_stopping_one_late',
        'trainers/storage/history.py',
        'return 0 < config.early_stopping <= self.stale_epochs',
        'return 0 < config.early_stopping < self.stale_epochs',
    ),
    Fault(
        'best_weights_not_averaged',
        'trainers/run/checkpointer.py',
        '        with self._state.averaged_weights():',
        '        if True:',
    ),
    Fault(
        'second_phase_from_last_weights',
        'trainers/run/loop.py',
        'epoch = self.checkpointer.restore_best()\n        self.history.begin_phase()',
        'epoch = self.history.best_epoch\n        self.history.begin_phase()',
    ),
    Fault(
        'totals_not_reset',
        'trainers/run/loop.py',
        '        self.state.losses.reset()\n',
        '',
    ),
    Fault(
        'second_phase_rate',
        'trainers/settings/config.py',
        '            learning_rate=self.finetune_learning_rate,\n',
        '',
    ),
    Fault(
        'loss_not_finite_unnoticed',
        'trainers/run/loop.py',
        "totals.losses['loss'] + totals.losses['gradient_norm']",
        "totals.losses['gradient_norm']",
    ),
    Fault(
        'features_of_other_weights',
        'trainers/run/caching.py',
        '            digest.update(variable.numpy().tobytes())',
        '            pass',
    ),
    Fault(
        'held_out_fractions_swapped',
        'trainers/run/source.py',
        'config.validation_fraction, config.test_fraction',
        'config.test_fraction, config.validation_fraction',
    ),
    # trainers/inference, trainers/evaluation
    Fault(
        'uncalibrated_at_the_temperature',
        'trainers/evaluation/evaluation.py',
        'if self.temperature.value == 1:',
        'if self.temperature.value != 1:',
    ),
    Fault(
        'views_not_averaged',
        'trainers/inference/scoring.py',
        'np.mean([softmax(v.numpy()) for v in values], 0)',
        'np.max([softmax(v.numpy()) for v in values], 0)',
    ),
    Fault(
        'calibration_bins_shifted',
        'trainers/evaluation/calibration.py',
        'np.ceil(confidence * BINS).astype(int) - 1',
        'np.floor(confidence * BINS).astype(int)',
    ),
    Fault(
        'confusion_transposed',
        'trainers/evaluation/metrics.py',
        'cells = labels.astype(np.int64) * classes + predicted',
        'cells = predicted.astype(np.int64) * classes + labels',
    ),
    # scripts
    Fault(
        'usage_error_exits_1',
        'scripts/common/command.py',
        'ExitCode.USAGE if isinstance(error, ConfigError) else ExitCode.ERROR',
        'ExitCode.ERROR',
    ),
    Fault(
        'message_without_flag',
        'scripts/common/command.py',
        "        quiet.print_error(f'See {listed}.')",
        '        pass',
    ),
    Fault(
        'full_standard_output_unreported',
        'scripts/predict/output.py',
        '            raise\n',
        '            pass\n',
    ),
    Fault(
        'benchmark_json_unwritten',
        'scripts/benchmark/__main__.py',
        '    if settings.json:',
        '    if False:',
    ),
    Fault(
        'card_confident_errors_unsaid',
        'scripts/evaluate/card.py',
        'if not confident.all():',
        'if confident.all():',
    ),
    Fault(
        'export_files_not_flushed',
        'scripts/export/staging.py',
        "for path in (staging, *staging.rglob('*')):",
        'for path in (staging,):',
    ),
    Fault(
        'two_images_both_compared_and_calibrating',
        'scripts/export/images.py',
        'if len(split) > 1 else',
        'if len(split) > 2 else',
    ),
    Fault(
        'earlier_logging_kept',
        'scripts/common/command.py',
        '        force=True,\n',
        '',
    ),
    Fault(
        'chart_shares_not_normalized',
        'scripts/explore/charts.py',
        'np.full(len(values), 100 / max(len(values), 1))',
        'np.full(len(values), 100.0)',
    ),
)
