import json
import resource

from hypothesis import given
from hypothesis import strategies as st

from mpijob_runtime.facts import HostFacts, InterfaceFacts, LimitFacts, RdmaFacts
from mpijob_runtime.frames import _to_json
from mpijob_runtime.host_facts import Listening, parse_host_facts, parse_listening
from mpijob_runtime.machine import describe_machine

NAMES = st.sampled_from(["name", "mtu", "speed", "addresses", "kind", "state", "rate", "usable"])
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=80)
    | st.sampled_from(["10.0.0.1/24", "::1/64", "fe80::1%eth0/64", "10.0.0.1/99", "eth0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(), inner),
    max_leaves=20,
)
KEYS = ["cpus", "cpu_nodes", "allowed_cpus", "interfaces", "rdma", "memlock_bytes", "shm_bytes"]
KEYS += ["gpu_driver", "shm_free_bytes", "limits", "umask", "missing_directory", "home"]


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(), ANY))
def test_whatever_an_agent_says_gives_facts(said):
    """Any JSON: never an exception, and nothing in it that would break a line or a command."""
    facts = parse_host_facts(said)
    assert facts.cpus >= 1
    assert facts.memlock_bytes is None or facts.memlock_bytes >= 0
    for interface in facts.interfaces:
        assert interface.name.isprintable()
        assert interface.addresses
        assert all(text.isprintable() for text in interface.addresses)
    assert all(device.name.isprintable() for device in facts.rdma)


@given(ANY | st.fixed_dictionaries({"word": ANY, "ports": st.dictionaries(st.text(), ANY)}))
def test_whatever_an_agent_answers_can_be_told_to_others(said):
    """A word with a newline or a NUL would be a command of its own to another host's agent."""
    listening = parse_listening(said)
    assert listening.word.isalnum() or not listening.word
    assert all(0 < port < 1 << 16 for port in listening.ports.values())


def test_what_this_host_says_is_taken_whole():
    """The agent's own description, through JSON, gives these facts."""
    said = describe_machine()
    facts = parse_host_facts(json.loads(_to_json(said)))
    assert facts.cpus == said["cpus"]
    assert [interface.name for interface in facts.interfaces] == [
        interface["name"] for interface in said["interfaces"]
    ]
    assert len(facts.rdma) == len(said["rdma"])
    assert facts.shm_bytes == said["shm_bytes"]
    assert facts.shm_free_bytes == said["shm_free_bytes"]
    assert facts.umask == said["umask"]
    limits = {limit.name: -1 if limit.most is None else limit.most for limit in facts.limits}
    assert limits == said["limits"]
    assert limits["nofile"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert facts.gpu_driver == said["gpu_driver"]


def test_facts_are_these():
    """Every field, once."""
    found = parse_host_facts(
        {
            "cpus": 4,
            "interfaces": [{"name": "eth0", "mtu": 9000, "speed": -1, "addresses": ["10.0.0.1/8"]}],
            "rdma": [
                {"name": "mlx5_0", "kind": "roce", "state": "ACTIVE", "rate": "r", "usable": 1}
            ],
            "memlock_bytes": -1,
            "shm_bytes": 7,
            "shm_free_bytes": 5,
            "gpu_driver": True,
            "limits": {"nofile": 1024, "core": -1, "stack": "much"},
            "umask": 18,
            "missing_directory": "/tmp/code",
            "home": "/home/m\n",
        }
    )
    assert found == HostFacts(
        cpus=4,
        interfaces=(InterfaceFacts("eth0", 9000, None, ("10.0.0.1/8",)),),
        rdma=(RdmaFacts("mlx5_0", "roce", "ACTIVE", "r", usable=False),),
        memlock_bytes=None,
        shm_bytes=7,
        shm_free_bytes=5,
        gpu_driver=True,
        limits=(LimitFacts("nofile", 1024), LimitFacts("core", None), LimitFacts("stack", None)),
        umask=0o22,
        missing_directory="/tmp/code",
        home="",
    )


def test_where_an_agent_listens_is_taken_as_it_said():
    """And ports that are none are left out."""
    said = {"word": "ab12", "ports": {"10.0.0.1": 4000, "10.0.0.2": 70000, "10.0.0.3": True}}
    assert parse_listening(said) == Listening("ab12", {"10.0.0.1": 4000})


def test_numa_nodes_are_told_as_far_as_the_container_may_use_them():
    """A node of which the cpuset leaves nothing is none; what is no list is left out."""
    said = {"cpu_nodes": ["0-3", "4-7", "8-11", "x", 5, "9999"], "allowed_cpus": [1, 2, 4, "8", []]}
    assert parse_host_facts(said).cpu_nodes == ((1, 2), (4,))
