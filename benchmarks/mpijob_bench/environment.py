"""The variables that say how a job was set up, for its result. Pure."""

from collections.abc import Mapping

from mpijob_runtime.masking import shown_value

_SHOWN = ("NCCL_", "GLOO_", "HOROVOD_", "OMPI_MCA_", "PRTE_MCA_", "UCX_", "OMP_", "MPIJOB_", "FI_")
_HIDDEN = ("MPIJOB_HOSTS",)


def shown_environment(environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables of libraries and launcher, by name; secrets are masked."""
    return {
        name: shown_value(name, value)
        for name, value in sorted(environ.items())
        if name.startswith(_SHOWN) and name not in _HIDDEN
    }
