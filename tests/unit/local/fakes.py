"""A podman that answers from a table, for the tests beside this file."""

from collections.abc import Sequence

from mpijob_local.podman import Finished, PodmanError


class FakePodman:
    """Answers commands by their longest known beginning and remembers them all."""

    def __init__(self, **answers: str | int) -> None:
        """Take answers as ``network_ls="text"`` (stdout) or ``image_exists=1`` (exit code)."""
        self._answers = {tuple(name.split("_")): answer for name, answer in answers.items()}
        self.commands: list[tuple[str, ...]] = []

    def run(
        self, *arguments: str, accept: Sequence[int] = (0,), timeout_seconds: float | None = None
    ) -> Finished:
        """Answer one command."""
        self.commands.append(arguments)
        answer = self._answers.get(arguments[:2], self._answers.get(arguments[:1], ""))
        code, text = (answer, "") if isinstance(answer, int) else (0, answer)
        if accept and code not in accept:
            raise PodmanError(f"podman {arguments[0]} failed")
        return Finished(arguments, code, text, "Error: refused" if code else "")
