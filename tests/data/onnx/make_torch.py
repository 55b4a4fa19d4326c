"""Small networks of the zoo's families, as torch's default exporter writes them.

Run once with torch 2.13, torchvision 0.29 and onnxscript 0.7; the files are kept beside this one.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn
from torchvision.models import mobilenetv2, mobilenetv3, resnet, shufflenetv2, squeezenet

HERE = Path(__file__).parent
IMAGE = torch.zeros(1, 3, 32, 32)


def stem(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


def head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


def separable(wide: int, wider: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(wide, wide, 3, 2, 1, groups=wide, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.Conv2d(wide, wider, 1, bias=False),
        nn.BatchNorm2d(wider),
        nn.ReLU(),
    )


def with_excitation() -> nn.Module:
    setting = mobilenetv3.InvertedResidualConfig(
        8, 3, 16, 8, use_se=True, activation="HS", stride=1, dilation=1, width_mult=1.0
    )
    return mobilenetv3.InvertedResidual(setting, nn.BatchNorm2d)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        layer = nn.TransformerEncoderLayer(
            16, 2, 32, dropout=0.0, activation="gelu", batch_first=True
        )
        self.encode = nn.TransformerEncoder(layer, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encode(self.embed(x))


class Sound(nn.Module):
    """1-D convolutions and poolings, as models of sound have them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, 8, 9, 2, 4),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(8, 8, 5, 1, 2, groups=8),
            nn.AvgPool1d(2),
            nn.Flatten(),
            nn.Linear(128, 6),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.last = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.lstm(x)[0][:, -1])


class Upsampling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 2, 2)
        self.last = nn.Conv2d(4, 1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.last(nn.functional.silu(self.up(self.down(x))))
        return torch.sigmoid(nn.functional.interpolate(x, scale_factor=2, mode="bilinear"))


NETWORKS = {
    "mobilenet_v1": (nn.Sequential(stem(8), separable(8, 16), head(16)), IMAGE),
    "mobilenet_v2": (
        nn.Sequential(stem(8), mobilenetv2.InvertedResidual(8, 8, 1, 2), head(8)),
        IMAGE,
    ),
    "mobilenet_v3": (nn.Sequential(stem(8), with_excitation(), nn.Hardswish(), head(8)), IMAGE),
    "resnet": (
        nn.Sequential(stem(8), nn.MaxPool2d(3, 2, 1), resnet.BasicBlock(8, 8), head(8)),
        IMAGE,
    ),
    "squeezenet": (
        nn.Sequential(
            stem(8), nn.MaxPool2d(3, 2, ceil_mode=True), squeezenet.Fire(8, 4, 8, 8), head(16)
        ),
        IMAGE,
    ),
    "shufflenet_v2": (
        nn.Sequential(stem(8), shufflenetv2.InvertedResidual(8, 8, 1), head(8)),
        IMAGE,
    ),
    "transformer": (Encoder(), torch.zeros(1, 12, dtype=torch.int64)),
    "sound": (Sound(), torch.zeros(1, 1, 128)),
    "recurrent": (Recurrent(), torch.zeros(1, 6, 8)),
    "upsampling": (Upsampling(), IMAGE),
}


def main() -> None:
    torch.manual_seed(0)
    for name, (network, example) in NETWORKS.items():
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # of one batch: outputs are of order 1 then
        if example.dtype is torch.float32:
            network(torch.rand(8, *example.shape[1:]))
        network.eval()
        batch = torch.export.Dim("batch", min=1, max=8)
        path = HERE / f"torch_{name}.onnx"
        torch.onnx.export(
            network, (example,), path, input_names=["x"], dynamic_shapes=({0: batch},)
        )
        model = onnx.load(path, load_external_data=False)
        for node in model.graph.node:  # where in the source each comes from: most of the file
            del node.metadata_props[:]
        for value in model.graph.value_info:
            del value.metadata_props[:]
        onnx.save(model, path)


if __name__ == "__main__":
    main()
