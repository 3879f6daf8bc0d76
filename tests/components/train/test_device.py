"""What is decided by the device: arithmetic, steps a call, where the pictures lie. No GPU is asked."""

import pathlib

import pytest

from components.train import device
from components.train.device import Device, _cpu_arithmetic, _gpu_arithmetic, choose_policy


@pytest.mark.parametrize(
    ("capability", "arithmetic", "policy"),
    [
        ((6, 1), ("float32",), "float32"),  # P40
        ((7, 0), ("float16", "float32"), "mixed_float16"),  # V100
        ((7, 5), ("float16", "float32"), "mixed_float16"),  # T4
        ((8, 0), ("bfloat16", "float32"), "mixed_bfloat16"),  # A100
        ((9, 0), ("bfloat16", "float32"), "mixed_bfloat16"),  # H100
    ],
)
def test_auto_is_the_fastest_that_a_gpu_has_units_for(capability, arithmetic, policy) -> None:
    assert _gpu_arithmetic(capability) == arithmetic
    device = Device("a GPU", 1, arithmetic)
    assert (choose_policy("auto", device), choose_policy("float32", device)) == (policy, "float32")
    assert choose_policy("bfloat16", device) == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("vendor", "flags", "policy"),
    [
        ("GenuineIntel", {"avx512_bf16", "amx_bf16"}, "mixed_bfloat16"),
        ("GenuineIntel", {"avx512_bf16"}, "float32"),  # AMX hidden by the hypervisor, or Cooper Lake
        ("AuthenticAMD", {"avx512_bf16"}, "mixed_bfloat16"),
        ("AuthenticAMD", {"avx512f"}, "float32"),
        ("", set(), "float32"),  # no Linux, or no x86
    ],
)
def test_auto_is_bfloat16_on_processors_that_it_is_quicker_on(vendor, flags, policy) -> None:
    assert choose_policy("auto", Device("a CPU", 0, _cpu_arithmetic(vendor, flags))) == policy


def test_pictures_lie_on_one_gpu_if_they_take_a_quarter_of_it_at_most() -> None:
    def room(pictures: int, gpus: int = 1, count: int = 1, memory: int | None = 400) -> bool:
        return Device("a GPU", gpus, ("float32",), count, memory=memory).has_room_for(pictures)

    assert (room(100), room(101), room(100, gpus=0), room(100, gpus=2, count=2)) == (True, False, False, False)
    assert not room(1, memory=None)


def test_a_gpu_gets_several_steps_a_call_and_the_first_process_leads() -> None:
    assert [Device("x", gpus, ("float32",)).steps_a_call for gpus in (0, 1, 4)] == [1, 10, 10]
    assert [Device("x", 1, ("float32",), 2, process, 2).leads for process in (0, 1)] == [True, False]


@pytest.mark.parametrize(
    ("there", "asked", "told"), [("nvidia0", "auto", True), ("null", "auto", False), ("nvidia0", "0", False)]
)
def test_a_gpu_that_is_there_and_cannot_be_used_is_told(
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    there: str,
    asked: str,
    told: bool,
) -> None:
    """Training went on on the CPU, for hours, and only a line of JAX's own on stderr said so."""
    (tmp_path / there).touch()
    monkeypatch.setattr(device, "DEVICES", tmp_path)
    assert device.find_device(asked).gpus == 0
    assert ("note: this node has a GPU that tensorflow can't use" in capsys.readouterr().out) == told
