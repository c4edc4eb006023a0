import pytest

from mpijob_runtime.job_hosts import is_job_host, parse_listed

LISTED = ("train-worker-0.train.team-a.svc", "train-worker-1.train.team-a.svc", "10.0.0.7")
OWN = ("train-worker-5.train.team-a.svc.cluster.local", "train-worker-5", "10.0.0.5")


@pytest.mark.parametrize(
    "name",
    [
        "train-worker-0.train.team-a.svc",
        "train-worker-0.train.team-a.svc.",
        "train-worker-0.train.team-a.svc.cluster.local",
        "Train-Worker-0.train",
        "train-worker-0",
        "10.0.0.7",
    ],
)
def test_a_listed_host_is_the_jobs_by_any_form_of_its_name(name):
    """Long, short, or with more of its domain than the hostfile says."""
    assert is_job_host(name, listed=LISTED, own=())


@pytest.mark.parametrize(
    "name",
    [
        "train-worker-9",
        "train-worker-9.train",
        "train-launcher.train.team-a.svc",
        "train-worker-9.train.team-a.svc.cluster.local",
        "train-worker-5",
        "10.0.0.5",
    ],
)
def test_a_worker_knows_its_peers_by_its_own_full_name(name):
    """Workers have no hostfile; pods of a job share a service, and its name begins theirs."""
    assert is_job_host(name, listed=(), own=OWN)


@pytest.mark.parametrize(
    "name",
    [
        *("github.com", "git", "localhost", "train", "train.team-a.svc", "10.0.0.70", "10.0.0"),
        *("train-worker-0.example.com", "train-worker-0.train.team-b.svc", "gateway.train"),
        *("train-worker-01", "other-worker-0.other.team-a.svc", "10.0.0.7.example.com", ""),
    ],
)
def test_all_other_hosts_are_not_the_jobs(name):
    """Git over ssh still goes to port 22."""
    assert not is_job_host(name, listed=LISTED[:1] + LISTED[2:], own=OWN[2:])
    own = ("dev-worker-5.dev.team-a.svc.cluster.local", "dev-worker-5")
    assert not is_job_host("git.dev", listed=(), own=own)
    if not name.startswith("train-worker-01"):  # that could be a peer
        assert not is_job_host(name, listed=LISTED, own=OWN)


@pytest.mark.parametrize(
    "text",
    [
        "a.b slots=2\nc.d slots=2\n",
        "a.b:2\nc.d:2\n",
        "#!/bin/sh\necho a.b\necho c.d\n",
        "# hosts\n\n  a.b  # first\nc.d\n",
    ],
    ids=["Open MPI", "Hydra", "script", "comments"],
)
def test_every_list_of_an_operator_is_read(text):
    """The hostfile's two spellings, and the script that mpi-operator mounts."""
    assert parse_listed(text) == ("a.b", "c.d")


@pytest.mark.parametrize("text", ["", "\n\n", "echo", "echo ", "#"])
def test_a_list_without_hosts_is_empty(text):
    """Odd lines are left to the launch, which names them."""
    assert not [name for name in parse_listed(text) if name != "echo"]
