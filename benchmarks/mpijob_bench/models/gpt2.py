"""GPT-2 (Radford et al. 2019): the small one by default, 124,439,808 parameters.

The last matrix is the embedding's. Dropout is 0, as in pre-training today.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mpijob_bench.models.network import Network
from mpijob_bench.models.transformer import Attention, FeedForward, initialise, random_tokens


@dataclass(frozen=True)
class Gpt2Size:
    """The size; `sequence` is the tokens of a sample, up to `positions`."""

    layers: int = 12
    width: int = 768
    heads: int = 12
    vocabulary: int = 50257
    positions: int = 1024
    sequence: int = 1024


class Gpt2(Network):
    """A decoder that predicts each next token."""

    def __init__(self, size: Gpt2Size) -> None:
        super().__init__()
        self.size = size
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Embedding(size.positions, size.width)
        self.layers = nn.Sequential(*(Layer(size) for _ in range(size.layers)))
        self.norm = nn.LayerNorm(size.width)
        self.apply(initialise)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits, (batch, sequence, vocabulary)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        features = self.layers(self.tokens(tokens) + self.positions(positions))
        return functional.linear(self.norm(features), self.tokens.weight)

    def example(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return random tokens, and for each the one after it."""
        text = random_tokens(self.size.vocabulary, batch_size, self.size.sequence + 1)
        return text[:, :-1], text[:, 1:]


class Layer(nn.Module):
    """Attention and feed-forward, each with a normalisation before it."""

    def __init__(self, size: Gpt2Size) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(size.width)
        self.attention = Attention(size.width, size.heads, causal=True)
        self.forward_norm = nn.LayerNorm(size.width)
        self.forward_layer = FeedForward(size.width, approximate="tanh")

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        features = features + self.attention(self.attention_norm(features))
        return features + self.forward_layer(self.forward_norm(features))
