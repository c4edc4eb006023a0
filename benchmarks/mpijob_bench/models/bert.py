"""BERT-large (Devlin et al., arXiv 1810.04805) as it is pre-trained, with the masked-word head.

The head's matrix is the embedding's; there is no pooler and no next-sentence head:
335,174,458 parameters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mpijob_bench.models.network import Network
from mpijob_bench.models.transformer import Attention, FeedForward, initialise, random_tokens

SEGMENTS = 2
NORM_EPSILON = 1e-12


@dataclass(frozen=True)
class BertSize:
    """The size; `sequence` is the tokens of a sample, `predicted` is how many the loss looks at."""

    layers: int = 24
    width: int = 1024
    heads: int = 16
    vocabulary: int = 30522
    positions: int = 512
    sequence: int = 128
    predicted: int = 20
    dropout: float = 0.1


class Bert(Network):
    """An encoder; a synthetic sample has its masked words in front."""

    def __init__(self, size: BertSize) -> None:
        super().__init__()
        self.size = size
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.positions = nn.Embedding(size.positions, size.width)
        self.segments = nn.Embedding(SEGMENTS, size.width)
        self.norm = nn.LayerNorm(size.width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(size.dropout)
        self.layers = nn.Sequential(*(Layer(size) for _ in range(size.layers)))
        self.transform = nn.Sequential(
            nn.Linear(size.width, size.width),
            nn.GELU(),
            nn.LayerNorm(size.width, eps=NORM_EPSILON),
        )
        self.bias = nn.Parameter(torch.zeros(size.vocabulary))
        self.apply(initialise)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits of the masked words, (batch, predicted, vocabulary)."""
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        embedded = self.tokens(tokens) + self.positions(positions)
        embedded = embedded + self.segments(torch.zeros_like(tokens))
        features = self.layers(self.dropout(self.norm(embedded)))
        masked = self.transform(features[:, : self.size.predicted])
        return functional.linear(masked, self.tokens.weight, self.bias)

    def example(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return random tokens, and the words that were masked."""
        size = self.size
        predicted = min(size.predicted, size.sequence)
        tokens = random_tokens(size.vocabulary, batch_size, size.sequence)
        return tokens, random_tokens(size.vocabulary, batch_size, predicted)


class Layer(nn.Module):
    """Attention and feed-forward, each with a normalisation after the addition."""

    def __init__(self, size: BertSize) -> None:
        super().__init__()
        self.attention = Attention(size.width, size.heads, causal=False)
        self.attention_norm = nn.LayerNorm(size.width, eps=NORM_EPSILON)
        self.forward_layer = FeedForward(size.width, approximate="none")
        self.forward_norm = nn.LayerNorm(size.width, eps=NORM_EPSILON)
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        features = self.attention_norm(features + self.dropout(self.attention(features)))
        return self.forward_norm(features + self.dropout(self.forward_layer(features)))
