"""VGG-16 (Simonyan and Zisserman, arXiv 1409.1556, configuration D), 138,357,544 parameters."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mpijob_bench.models.network import Network

WIDENING = (1, 2, 4, 8, 8)
CONVOLUTIONS_OF_STAGE = (2, 2, 3, 3, 3)


@dataclass(frozen=True)
class VggSize:
    """The size: channels of the first stage, units of a hidden layer, classes, image side."""

    width: int = 64
    hidden: int = 4096
    classes: int = 1000
    image: int = 224
    dropout: float = 0.5


class Vgg(Network):
    """Five stages of 3x3 convolutions and three linear layers, which hold most of the bytes."""

    def __init__(self, size: VggSize) -> None:
        super().__init__()
        self.size = size
        layers: list[nn.Module] = []
        channels = 3
        for widening, count in zip(WIDENING, CONVOLUTIONS_OF_STAGE, strict=True):
            for _ in range(count):
                layers += (
                    nn.Conv2d(channels, size.width * widening, 3, padding=1),
                    nn.ReLU(inplace=True),
                )
                channels = size.width * widening
            layers.append(nn.MaxPool2d(2))
        self.stages = nn.Sequential(*layers)
        side = size.image // 2 ** len(WIDENING)
        self.head = nn.Sequential(
            nn.Linear(channels * side * side, size.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(size.dropout),
            nn.Linear(size.hidden, size.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(size.dropout),
            nn.Linear(size.hidden, size.classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits, (batch, classes)."""
        return self.head(self.stages(images).flatten(1))

    def example(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return random images and classes."""
        images = torch.randn(batch_size, 3, self.size.image, self.size.image)
        return images, torch.randint(self.size.classes, (batch_size,))
