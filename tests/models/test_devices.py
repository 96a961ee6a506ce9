"""What torch says of GPUs, and what is told of it; no GPU is needed."""

from __future__ import annotations

import pytest

from forgetbench.errors import UsageError
from forgetbench.models.devices import check_device, devices


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
def test_the_gpus_that_are_there_can_be_named_and_no_other() -> None:
    assert devices() == ["cpu", "cuda", "cuda:0", "cuda:1"]
    for device in (*devices(), "auto"):
        check_device(device)
    for device in ("cuda:2", "mps", "gpu"):
        with pytest.raises(
            UsageError, match=f"--device {device}: is not here. Here: cpu, cuda, cuda:0, cuda:1"
        ):
            check_device(device)


def test_an_apple_gpu_is_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert devices() == ["cpu", "mps"]


def test_without_a_gpu_there_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert devices() == ["cpu"]
