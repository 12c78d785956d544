"""Lists the commands: `python -m scripts`."""

COMMANDS = {
    'train': 'Trains a network, or resumes a run that was stopped.',
    'evaluate': 'Evaluates a trained network, or compares several.',
    'predict': 'Predicts the classes of images with a trained network.',
    'explain': 'Shows which parts of images a prediction depends on.',
    'export': 'Converts a trained network to formats of other programs.',
    'explore': 'Reports statistics, duplicates and bad images of a dataset.',
    'benchmark': 'Measures the speed of training and of the input pipeline.',
}

if __name__ == '__main__':
    for name, description in COMMANDS.items():
        print(f'python -m scripts.{name:<10} {description}')
    print('\nEach explains its flags with --help.')
