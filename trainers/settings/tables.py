"""What settings choose by name from trainers; an entry is imported when it is used.

Adding an optimizer, a schedule or a view is a function and a line here.
"""

from vision.registry import Entry, Registry

# Called as (config, variables, **options): the options of every Keras optimizer.
OPTIMIZERS = Registry(
    'an optimizer',
    {
        'sgd': Entry('trainers.step.optimizers:sgd', 'SGD with Nesterov momentum.'),
        'adam': Entry('trainers.step.optimizers:adam', 'Adam.'),
        'adamw': Entry(
            'trainers.step.optimizers:adamw', 'Adam with decoupled weight decay.'
        ),
        'rmsprop': Entry('trainers.step.optimizers:rmsprop', 'RMSprop with momentum.'),
    },
)

# Called as (config, total_steps, steps_per_epoch), warm-up left out.
SCHEDULES = Registry(
    'a schedule',
    {
        'constant': Entry(
            'trainers.step.schedules:constant', 'The same learning rate throughout.'
        ),
        'exponential': Entry(
            'trainers.step.schedules:exponential',
            'Falls by decay_rate over every decay_epochs, a little at each step.',
        ),
        'step': Entry(
            'trainers.step.schedules:step',
            'Falls by decay_rate at once after every decay_epochs.',
        ),
        'cosine': Entry(
            'trainers.step.schedules:cosine', 'Half a cosine from the full rate to 0.'
        ),
        'one_cycle': Entry(
            'trainers.step.schedules:one_cycle',
            'Rises over the first 30 % of the steps, then falls to almost 0.',
        ),
    },
)

# Test-time augmentations: functions of uint8 images [B, S, S, 3] that return a list of
# such batches.
VIEWS = Registry(
    'views',
    {
        'none': Entry('trainers.inference.views:unchanged', 'The image.'),
        'flip': Entry(
            'trainers.inference.views:flipped', 'The image and its mirror image.'
        ),
        'crops': Entry(
            'trainers.inference.views:cropped',
            'The image, crops at its corners and in its centre, and their mirror '
            'images.',
        ),
    },
)
