"""Which arithmetic a machine is good at."""

import pytest

from trainers.step.precision import resolve
from trainers.storage import environment
from trainers.storage.environment import Gpu


@pytest.fixture
def machine(monkeypatch):
    """Makes the machine one with these GPUs, and a CPU with or without bfloat16."""

    def describe(capabilities: list, cpu: bool = False) -> None:
        gpus = [Gpu('gpu', capability) for capability in capabilities]
        monkeypatch.setattr(environment, 'gpus', lambda: gpus)
        monkeypatch.setattr(environment, 'supports_bfloat16_cpu', lambda: cpu)

    return describe


@pytest.mark.parametrize('cpu, expected', [(True, 'bfloat16'), (False, 'float32')])
def test_without_a_gpu(machine, cpu, expected):
    machine([], cpu)
    assert resolve('auto') == expected


@pytest.mark.parametrize(
    'capabilities, expected',
    [
        ([(9, 0)], 'bfloat16'),
        ([(8, 0)], 'bfloat16'),
        ([(7, 5)], 'float16'),
        ([(7, 0)], 'float16'),
        ([(6, 1)], 'float32'),
        ([None], 'float32'),
        ([(9, 0), (7, 5)], 'float16'),
        ([(9, 0), None], 'float32'),
    ],
)
def test_the_weakest_gpu_decides(machine, capabilities, expected):
    machine(capabilities, cpu=True)
    assert resolve('auto') == expected


@pytest.mark.parametrize('precision', ['float32', 'bfloat16', 'float16'])
def test_asked_for_is_given(machine, precision):
    machine([])
    assert resolve(precision) == precision
