import pytest
import torch

from smot.errors import UsageError
from smot.models.devices import process_device


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """A machine with two GPUs; the devices that were chosen there."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


@pytest.mark.parametrize("name", ["", "gpu9", "cuda:", "cuda:x", "cuda:-1", "cpu:1", "meta", "0"])
def test_what_names_no_device_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"device must be cpu, cuda or cuda:N, not '{name}'"):
        process_device(name)


def test_without_a_gpu_there_is_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert process_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:0"):
        with pytest.raises(UsageError, match=f"device '{name}': no GPU that PyTorch can use"):
            process_device(name)


def test_each_process_of_a_run_has_its_gpu(
    two_gpus: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert process_device("cuda") == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert process_device("cuda") == torch.device("cuda:1")
    assert process_device("cuda:0") == torch.device("cuda:0")
    assert [device.index for device in two_gpus] == [0, 1, 0]
    with pytest.raises(UsageError, match="device 'cuda:2': there are 2 GPUs"):
        process_device("cuda:2")
