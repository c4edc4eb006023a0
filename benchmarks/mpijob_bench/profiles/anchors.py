"""Published step times that the model is calibrated on, and others that it is checked with.

    python -m mpijob_bench.profiles.anchors

ResNet-50 calibrates each precision of a device; nothing else does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mpijob_bench.profiles.modelled import Setting, modelled_profile
from mpijob_bench.profiles.profile import Profile

NVIDIA = "NVIDIA DeepLearningExamples, PyTorch, README of"
RESNET = f"{NVIDIA} resnet50v1.5 (21.03)"
BERT = f"{NVIDIA} BERT (20.06)"

PARTS: Mapping[str, Callable[[Profile], float]] = {
    "step": lambda profile: profile.step_seconds,
    "forward and backward": lambda profile: profile.forward_seconds + profile.backward_seconds,
    "backward": lambda profile: profile.backward_seconds,
}


@dataclass(frozen=True)
class Anchor:
    """A published time.

    Attributes:
        setting: What was run.
        part: A key of `PARTS`: what of the step was timed. Where gradients were accumulated over
            hundreds of passes, the optimizer's share is nothing.
        seconds: The published time, from a rate and the batch size where a rate was published.
        source: Where it is published.
        calibrates: Whether the device's `sustained` comes from it.
    """

    setting: Setting
    part: str
    seconds: float
    source: str
    calibrates: bool = False

    def modelled_seconds(self) -> float:
        """Return what the model says."""
        return PARTS[self.part](modelled_profile(self.setting))


def resnet(device: str, precision: str, batch_size: int) -> Setting:
    """Return a setting of ResNet-50."""
    return Setting("resnet50", device, precision, batch_size, "SGD with momentum")


def bert(device: str, precision: str, batch_size: int, sequence: int = 128) -> Setting:
    """Return a setting of BERT-large; 20 predicted words of 128 tokens, 80 of 512 (the paper's)."""
    size = {"sequence": sequence, "predicted": 20 * sequence // 128}
    return Setting("bert-large", device, precision, batch_size, "AdamW", size)


PASSES = "forward and backward"
ANCHORS = (
    Anchor(resnet("v100", "fp32", 112), "step", 112 / 367, RESNET, calibrates=True),
    Anchor(resnet("v100", "fp16", 256), "step", 256 / 1200, RESNET, calibrates=True),
    Anchor(resnet("a100-80gb", "tf32", 256), "step", 256 / 938, RESNET, calibrates=True),
    Anchor(resnet("a100-80gb", "bf16", 256), "step", 256 / 2470, RESNET, calibrates=True),
    Anchor(resnet("v100", "fp32", 32), "backward", 64.8e-3, "Zhang et al., arXiv 2006.10103, code"),
    Anchor(bert("v100", "fp32", 8), PASSES, 8 / 40, BERT),
    Anchor(bert("v100", "fp16", 16), PASSES, 16 / 164, BERT),
    Anchor(bert("a100-40gb", "tf32", 54), PASSES, 54 / 234, BERT),
    Anchor(bert("a100-40gb", "bf16", 64), PASSES, 64 / 415, BERT),
    Anchor(bert("a100-40gb", "bf16", 16, sequence=512), PASSES, 16 / 78, BERT),
    Anchor(
        Setting("gpt2", "a100-40gb", "bf16", 12, "AdamW"),
        PASSES,
        0.562 / 5,
        "karpathy/nanoGPT issue 110: 8 GPUs, torch.compile, 5 passes a step",
    ),
)


def main() -> None:
    """Print the table that docs/profiles.md shows."""
    print(
        "| network | device | precision | batch | what | published ms | modelled ms | deviation |"
    )
    print("|---|---|---|--:|---|--:|--:|--:|")
    for anchor in ANCHORS:
        setting = anchor.setting
        modelled = anchor.modelled_seconds()
        deviation = "calibrates" if anchor.calibrates else f"{modelled / anchor.seconds - 1:+.0%}"
        network = f"{setting.model}, {setting.size['sequence']}" if setting.size else setting.model
        print(
            f"| {network} | {setting.device} | {setting.precision} | {setting.batch_size} |"
            f" {anchor.part} | {anchor.seconds * 1e3:.1f} | {modelled * 1e3:.1f} | {deviation} |"
        )


if __name__ == "__main__":
    main()
