"""NUMA nodes, read as the kernel writes them."""

import pytest

from mpijob_runtime.numa import list_cpu_nodes


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({}, []),
        ({"node0": "0-1\n"}, []),
        ({"node0": "0-23,48-71\n", "node1": "24-47,72-95\n"}, ["0-23,48-71", "24-47,72-95"]),
        ({"node10": "8-9\n", "node2": "0-7\n", "node3": "\n", "power": ""}, ["0-7", "8-9"]),
    ],
    ids=["no node", "one node", "two sockets", "a node of memory alone, and numbers in order"],
)
def test_the_processors_of_each_node_are_listed(nodes, expected, tmp_path):
    """In the order of the nodes' numbers; one node says nothing."""
    for name, text in nodes.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "cpulist").write_text(text)
    assert list_cpu_nodes(str(tmp_path)) == expected


def test_a_kernel_without_numa_has_none(tmp_path):
    """Absence is a fact."""
    assert list_cpu_nodes(str(tmp_path / "nothing")) == []
