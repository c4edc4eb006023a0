"""ResNet-50 (He et al., arXiv 1512.03385), in the variant called v1.5.

v1.5 has the stride of a stage's first block in its 3x3 convolution; 25,557,032 parameters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mpijob_bench.models.network import Network

EXPANSION = 4


@dataclass(frozen=True)
class ResNetSize:
    """The size: blocks of each stage, channels of the first, classes, pixels of an image's side."""

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    classes: int = 1000
    image: int = 224


class ResNet(Network):
    """A residual network of bottleneck blocks."""

    def __init__(self, size: ResNetSize) -> None:
        super().__init__()
        self.size = size
        self.stem = nn.Sequential(
            *convolution(3, size.width, kernel=7, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        stages = []
        channels = size.width
        for stage, blocks in enumerate(size.blocks):
            width = size.width * 2**stage
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(Bottleneck(channels, width, stride))
                channels = width * EXPANSION
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(channels, size.classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (batch, classes)."""
        return self.head(self.pool(self.stages(self.stem(images))).flatten(1))

    def example(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return random images and classes."""
        images = torch.randn(batch_size, 3, self.size.image, self.size.image)
        return images, torch.randint(self.size.classes, (batch_size,))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, added to the input or to its projection."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = width * EXPANSION
        self.residual = nn.Sequential(
            *convolution(channels, width, kernel=1),
            nn.ReLU(inplace=True),
            *convolution(width, width, kernel=3, stride=stride),
            nn.ReLU(inplace=True),
            *convolution(width, wide, kernel=1),
        )
        same = stride == 1 and channels == wide
        projection = () if same else convolution(channels, wide, kernel=1, stride=stride)
        self.shortcut = nn.Sequential(*projection)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """Return the block's features."""
        return self.activation(self.residual(features) + self.shortcut(features))


def convolution(channels: int, out: int, kernel: int, stride: int = 1) -> tuple[nn.Module, ...]:
    """Return a convolution without bias and its batch normalisation."""
    layer = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
    return layer, nn.BatchNorm2d(out)
