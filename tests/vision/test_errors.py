import pickle

from vision.data.source import DatasetError
from vision.errors import UserError


def test_an_error_names_the_arguments_that_the_user_can_change():
    error = DatasetError('Expected a folder, got none.', 'data_dir', 'download')
    assert isinstance(error, UserError)
    assert str(error) == 'Expected a folder, got none.'
    assert error.parameters == ('data_dir', 'download')
    assert UserError('No space.').parameters == ()


def test_a_pickled_error_keeps_its_message_and_parameters():
    error = pickle.loads(pickle.dumps(DatasetError('Expected a folder.', 'data_dir')))
    assert type(error) is DatasetError
    assert (str(error), error.parameters) == ('Expected a folder.', ('data_dir',))
