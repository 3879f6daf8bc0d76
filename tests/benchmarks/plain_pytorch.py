"""Trains the network of bench_gpu.py in plain PyTorch, on noise, and prints its images a second as JSON.

Plain: a loop as PyTorch's tutorials write it, without torch.compile, but with what costs a line each: pictures on the
device as bytes, channels last, bfloat16 by autocast on a GPU. Its optimizer is SGD, which costs less than Muon.
"""

import json
import sys
import time

import torch
from torch import nn

EPOCHS = 3  # of which the first warms up


def main() -> None:
    asked = json.loads(sys.argv[1])
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    count, batch = asked["pictures"], asked["batch"]
    pictures = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 10, (count,), device=device)
    model = network(asked["filters"]).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, fused=gpu)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    rates = []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        for places in torch.randperm(count, device=device).split(batch):
            inputs = (pictures[places].float() / 255).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=gpu):
                loss = loss_of(model(augmented(inputs)), labels[places])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device
        rates.append(count / (time.perf_counter() - began))
    name = torch.cuda.get_device_name() if gpu else "the processor"
    print(json.dumps({"rate": max(rates[1:]), "version": torch.__version__, "device": name}))


def augmented(pictures: torch.Tensor) -> torch.Tensor:
    """Mirrors half of the batch, and moves all of it by up to two pixels."""
    mirrored = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < 0.5
    pictures = torch.where(mirrored, pictures.flip(3), pictures)
    down, right = torch.randint(0, 5, (2,)).tolist()
    return nn.functional.pad(pictures, (2, 2, 2, 2), mode="reflect")[:, :, down : down + 32, right : right + 32]


def network(filters: list[int]) -> nn.Module:
    """The architecture `fast` (components/train/network/architecture.py)."""
    layers: list[nn.Module] = []
    before = 3
    for number, after in enumerate(filters):
        layers.append(nn.Conv2d(before, after, 3, padding="same", bias=False))
        layers += [nn.MaxPool2d(2)] if number % 2 == 0 else []
        layers += [nn.BatchNorm2d(after, momentum=0.2), nn.ReLU()]
        before = after
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(before, 10))


if __name__ == "__main__":
    main()
