"""What all networks share: a synthetic batch and a loss."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional


class Network(nn.Module, ABC):
    """A network whose last dimension of output are the logits of a classification."""

    @abstractmethod
    def example(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return random inputs and targets on torch's default device."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy, computed in fp32 as autocast does it on a GPU."""
        return functional.cross_entropy(logits.flatten(0, -2).float(), targets.flatten())

    def parameter_count(self) -> int:
        """Return the number of trained numbers; tied ones count once."""
        return sum(parameter.numel() for parameter in self.parameters())
