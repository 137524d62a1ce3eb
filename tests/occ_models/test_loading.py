"""Loading processes and memory from what the machine has."""

from occ_core.machine import free_memory, usable_cores
from occ_models.loading import loading
from occ_models.recipe import TrainingConfig


def test_what_is_stated_is_used_and_shared_by_the_devices():
    assert loading(TrainingConfig(workers=3, cache_gb=8.0), 2, 0) == (3, 8.0)
    assert loading(TrainingConfig(workers=0, cache_gb=8.0, devices=8), 2, 0) == (0, 1.0)


def test_defaults_follow_cores_and_memory():
    assert loading(TrainingConfig(), 2, int(16e9)) == (1, 4.0)
    assert loading(TrainingConfig(), 16, int(64e9)) == (8, 16.0)
    assert loading(TrainingConfig(devices=8), 64, int(512e9)) == (7, 4.0)
    assert loading(TrainingConfig(), 64, int(8e9)) == (4, 2.0)  # memory for no more
    assert loading(TrainingConfig(), 1, int(1e9)) == (1, 0.25)


def test_this_machine_has_cores_and_memory():
    assert usable_cores() >= 1 and free_memory() > 1e8
