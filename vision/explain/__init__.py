"""Which parts of an image are evidence for a class.

`METHODS.load(name)(network, images, classes, endpoint)` takes images `[B, H, W, 3]` in
0..255, int32 `[B]` classes and the name of a stage of the network, and returns float32
maps: the larger a value, the more its pixel speaks for the class. `occlusion_check`
tests whether a map means anything.
"""

from vision.registry import Entry, Registry

METHODS = Registry(
    'a method',
    {
        'grad_cam': Entry(
            'vision.explain.grad_cam:grad_cam',
            'Channels of a map, weighted by their mean gradient.',
        ),
        'grad_cam_plus_plus': Entry(
            'vision.explain.grad_cam:grad_cam_plus_plus',
            'Grad-CAM by positive gradients alone, for several objects.',
        ),
        'guided': Entry(
            'vision.explain.grad_cam:guided_grad_cam',
            'Guided backpropagation times Grad-CAM: edges.',
        ),
        'integrated_gradients': Entry(
            'vision.explain.integrated_gradients:integrated_gradients',
            'The contribution of each pixel, compared with a baseline.',
        ),
    },
)

# Images without content, each as float32 [B, H, W, 3] -> the same.
BASELINES = Registry(
    'a baseline',
    {
        'black': Entry('tensorflow:zeros_like', 'A black image.'),
        'mean': Entry(
            'vision.explain.integrated_gradients:mean_color',
            'The mean color of each image.',
        ),
    },
)
