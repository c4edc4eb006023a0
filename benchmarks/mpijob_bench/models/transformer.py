"""The attention and the feed-forward layer that BERT and GPT-2 share."""

import torch
from torch import Tensor, nn
from torch.nn import functional

INITIAL_DEVIATION = 0.02


class Attention(nn.Module):
    """Multi-head self-attention by torch's fused kernel; without dropout of its weights."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width}: wanted a multiple of the {heads} heads")
        self.heads = heads
        self.causal = causal
        self.project = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, (batch, sequence, width)."""
        split = self.project(features).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(1, 2) for part in split.unbind(dim=2))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.output(mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU, four times as wide inside."""

    def __init__(self, width: int, *, approximate: str) -> None:
        super().__init__(
            nn.Linear(width, 4 * width),
            nn.GELU(approximate=approximate),
            nn.Linear(4 * width, width),
        )


def initialise(layer: nn.Module) -> None:
    """Draw a layer's weights as both papers do, so that the first loss is ln(vocabulary)."""
    if isinstance(layer, nn.Linear | nn.Embedding):
        nn.init.normal_(layer.weight, std=INITIAL_DEVIATION)


def random_tokens(vocabulary: int, batch_size: int, length: int) -> Tensor:
    """Return random tokens, (batch, length)."""
    return torch.randint(vocabulary, (batch_size, length))
