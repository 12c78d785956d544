"""Exports a trained network for other programs: `python -m scripts.export`."""

import dataclasses

from scripts.common import command, flags, model_settings
from scripts.export.settings import Settings

DESCRIPTION = """
Exports a trained network for other programs, with normalization, temperature and
softmax included. Each export is run on real images by its own runtime, in a new
process, and compared with the model. If one exceeds its tolerance, nothing is written.

  python -m scripts.export --run_dir=runs/x
      A SavedModel in runs/x/export, with a README.md that shows how to load it.
  python -m scripts.export --run_dir=runs/x --formats=tflite_int8,onnx
      TensorFlow Lite in 8 bits, calibrated on training images, and ONNX.
  python -m scripts.export --install_converter
      Installs the converter to TensorFlow.js, which needs an environment of its own.
  python -m scripts.export --model=googlenet --pretrained=googlenet_bvlc.npz \\
      --images=holiday --formats=all
      Weights that are not of a run, compared on your own images.
"""

# Exports are in float32, so is the model that they are compared with.
NETWORK = [
    field for field in model_settings.model_fields() if field.name != 'precision'
]
FIELDS = [*dataclasses.fields(Settings), *NETWORK]


def check(_: list[str]) -> Settings:
    """Reads the flags; raises a ConfigError where a value is not allowed."""
    return Settings(**flags.given(dataclasses.fields(Settings)))


def work(settings: Settings) -> None:
    """Installs the converter if asked for, and exports the network of the flags."""
    import tensorflow as tf

    from scripts.export.export import choose, export
    from vision.export import converter_environment

    network = flags.given(NETWORK)
    if settings.install_converter:
        converter_environment.build(converter_environment.DEFAULT)
        print(
            'The converter to TensorFlow.js is in '
            f'{converter_environment.DEFAULT.absolute()}.',
            flush=True,
        )
        if not network:
            return
    forms = choose(settings.formats)
    for form in forms:
        form.check_available()
    # Exports run on the CPU; a GPU rounds differently.
    tf.config.set_visible_devices([], 'GPU')
    export(
        model_settings.load_classifier(),
        forms,
        settings,
        network.get('download', False),
    )


if __name__ == '__main__':
    command.start(DESCRIPTION, FIELDS, check, work)
