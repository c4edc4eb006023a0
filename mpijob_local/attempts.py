"""When the launcher is tried again, as batch/v1 Job and the kubelet decide it.

Layer: pure arithmetic; imports nothing of ours.
"""

from dataclasses import dataclass

# kubernetes pkg/controller/job (DefaultJobPodFailureBackOff; the documented cap of six minutes)
BASE_SECONDS = 10.0
_POD_CAP = 36
# kubernetes pkg/kubelet/kubelet.go (MaxContainerBackOff: five minutes)
_CONTAINER_CAP = 30


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and after which pauses a failed launcher runs again.

    Attributes:
        limit: ``backoffLimit``.
        in_place: restartPolicy OnFailure restarts the container, Never makes a new pod.
        base_seconds: the first pause; 10 in Kubernetes.
    """

    limit: int
    in_place: bool
    base_seconds: float = BASE_SECONDS

    @property
    def attempts(self) -> int:
        """How many times the launcher may run.

        With OnFailure the Job fails when the restarts *reach* the limit (or exceed 0), which
        is one run fewer (job_controller.go pastBackoffLimitOnFailure).
        """
        return max(1, self.limit) if self.in_place else self.limit + 1

    def pause_seconds(self, failures: int) -> float:
        """Return the pause after the given number of failures, which is at least one.

        The kubelet restarts a container at once the first time.
        """
        if self.in_place:
            factor = 0 if failures == 1 else min(2 ** min(failures - 2, 10), _CONTAINER_CAP)
        else:
            factor = min(2 ** min(failures - 1, 10), _POD_CAP)
        return factor * self.base_seconds
