"""The networks and the normalizations by name; importable without TensorFlow."""

from vision.registry import Entry, Registry

MODELS = Registry(
    'a model',
    {
        'inception_v1': Entry(
            'vision.models.inception_v1:inception_v1',
            'Inception v1 with a stride-1 stem for small images, and LRN.',
        ),
        'inception_v1_compact': Entry(
            'vision.models.inception_v1:inception_v1_compact',
            'A third of the operations: a stem that pools more and has no LRN.',
        ),
        'inception_v1_bn': Entry(
            'vision.models.inception_v1:inception_v1_bn',
            'The compact variant with batch norm after every convolution, more '
            'accurate.',
        ),
        'googlenet': Entry(
            'vision.models.inception_v1:googlenet',
            "The paper's network, padded and normalized as BVLC's weights expect.",
        ),
        'small_cnn': Entry(
            'vision.models.plain:small_cnn',
            '3×3 convolutions with ReLU, each followed by a max pool that halves the '
            'map.',
        ),
        'cifar_cnn': Entry(
            'vision.models.plain:cifar_cnn',
            'Blocks of 3×3 convolutions with batch norm and ReLU, max pool and '
            'dropout.',
        ),
        'mobilenet_v2': Entry(
            'vision.models.mobilenet_v2:mobilenet_v2', 'MobileNetV2 of any width.'
        ),
        'xception': Entry('vision.models.xception:xception', 'Xception.'),
    },
)

NORMALIZATIONS = Registry(
    'a normalization',
    {
        'raw': Entry('vision.models.normalization:raw', 'Pixel values 0 to 255.'),
        'unit': Entry('vision.models.normalization:unit', 'Scaled to [0, 1].'),
        'symmetric': Entry(
            'vision.models.normalization:symmetric', 'Scaled to [-1, 1].'
        ),
        'center': Entry(
            'vision.models.normalization:center', 'Minus the mean of each image.'
        ),
        'standardize': Entry(
            'vision.models.normalization:standardize',
            'Each image with mean 0 and standard deviation 1.',
        ),
        'caffe': Entry(
            'vision.models.normalization:caffe',
            "Blue, green, red minus their ImageNet means, as for BVLC's weights.",
        ),
    },
)
