import pytest

from mpijob_runtime.nccl_log import NcclLog

# Lines of NCCL as people have posted them, under the issue that each is from.
POSTED = {
    "NVIDIA/nccl#226": """\
ip-172-31-12-21:45361:45361 [0] NCCL INFO NET/IB : No device found.
ip-172-31-12-210:45305:45305 [0] NCCL INFO NET/Socket : Using [0]ens3:172.31.12.210<0>
ip-172-31-8-153:45343:45343 [0] NCCL INFO NET/Plugin : No plugin found (libnccl-net.so).
""",
    "NVIDIA/nccl#229": """\
ip-192-168-29-243:26465:26533 [0] NCCL INFO Ring 00 : 7 -> 8 [receive] via NET/AWS Libfabric/0
ip-192-168-29-243:26465:26533 [0] NCCL INFO Ring 00 : 8[0] -> 9[1] via P2P/IPC
""",
    "NVIDIA/nccl#300": """\
[1,0]<stdout>:5873af64cf59:10158:10560 [0] NCCL INFO Bootstrap : Using [0]lo:127.0.0.1<0>
[1,0]<stdout>:NCCL version 2.5.6+cuda10.2
""",
    "Mellanox/nv_peer_memory#56": """\
master_node:20:289 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB ; OOB ib0:192.168.11.1<0>
NCCL version 2.4.7+cuda10.0
""",
    "NVIDIA/nccl#676": """\
gpu01:124172:124172 [0] NCCL INFO Bootstrap : Using enp225s0f1:10.10.10.2<0>
gpu01:124172:124172 [0] NCCL INFO Using network Socket
NCCL version 2.11.4+cuda11.4
""",
    "aws/aws-ofi-nccl#65": """\
ip-172-31-13-103:3695:3748 [7] NCCL INFO Channel 03 : 7[a01d0] -> 6[a01c0] via P2P/IPC/read
ip-172-31-13-103:3686:3747 [1] NCCL INFO Channel 04 : 1[101d0] -> 8[101c0] [send] \
via NET/AWS Libfabric/0/GDRDMA
""",
    "NVIDIA/nccl-tests#166": """\
ubuntu:9621:9692 [7] NCCL INFO Channel 14/0 : 15[7] -> 0[0] [send] via NET/Socket/0
ubuntu:39964:40050 [6] NCCL INFO Channel 09 : 6[6] -> 7[7] via SHM/direct/direct
""",
    "NVIDIA/nccl#952": """\
<cluster_name>:926:1151 [7] NCCL INFO Channel 03/0 : 15[7] -> 6[6] [send] via NET/Socket/3
<cluster_name>:919:1150 [0] NCCL INFO Channel 01/0 : 8[0] -> 15[7] via P2P/IPC/read
""",
    "NVIDIA/nccl#892": """\
036260b61d3a:33347:33367 [7] NCCL INFO Channel 15/0 : 7[7] -> 4[4] via P2P/direct pointer
036260b61d3a:33347:33366 [6] NCCL INFO 16 coll channels, 0 nvls channels, 16 p2p channels, \
16 p2p channels per peer
""",
    "aws/aws-ofi-nccl#715": """\
algo-1:18059:20782 [2] NCCL INFO Channel 04/1 : 15[7] -> 2[2] [receive] \
via NET/AWS Libfabric/1/GDRDMA/Shared
algo-1:18059:20782 [2] NCCL INFO Channel 00/1 : 2[2] -> 5[5] via P2P/CUMEM/read
algo-1:18062:18131 [5] NCCL INFO NVLS multicast support is not available on dev 5
""",
    "NVIDIA/nccl#1646": """\
d5618706-01:1106803:1106803 [4] NCCL INFO Bootstrap: Using bond0:172.19.50.38<0>
d5618706-01:1106803:1106803 [4] NCCL INFO NCCL version 2.25.1+cuda12.2
d5618706-01:1106799:1106856 [0] NCCL INFO NET/Plugin: Could not find: libnccl-net.so. \
Using internal network plugin.
""",
    "NVIDIA/nccl#1538": """\
worker-0:5665:5734 [2] NCCL INFO Using network IBext_v8
""",
    "NVIDIA/nccl#1412": """\
swat1-04:2017630:2017675 [6] NCCL INFO comm 0x8ec0ac0 rank 6 nRanks 16 nNodes 2 localRanks 8 \
localRank 6 MNNVL 0
swat1-04:2017630:2017699 [5] NCCL INFO Channel 03/0 : 5[5] -> 12[4] [send] via NET/IB/3
""",
    "NVIDIA/nccl#2047": """\
VM-16-2-ubuntu:20184:20184 [0] NCCL INFO Bootstrap: Using eth0:172.17.16.2<0>
VM-16-2-ubuntu:20184:20184 [0] NCCL INFO NCCL version 2.29.2+cuda12.8
VM-16-2-ubuntu:20184:20184 [0] NCCL INFO Failed to open libibverbs.so[.1]
VM-16-2-ubuntu:20184:20184 [0] NCCL INFO Initialized NET plugin Socket
""",
}
EXPECTED = {
    "NVIDIA/nccl#226": {"remarks": ["no InfiniBand device"]},
    "NVIDIA/nccl#229": {"transports": {"P2P/IPC": 1}},
    "NVIDIA/nccl#300": {"versions": {"2.5.6": [0]}, "interfaces": ["lo"]},
    "Mellanox/nv_peer_memory#56": {"versions": {"2.4.7": [0]}},
    "NVIDIA/nccl#676": {
        "versions": {"2.11.4": [0]},
        "net": "Socket",
        "interfaces": ["enp225s0f1"],
    },
    "aws/aws-ofi-nccl#65": {
        "net": "AWS Libfabric",
        "transports": {"P2P/IPC": 1, "NET/AWS Libfabric": 1},
        "gdr": True,
    },
    "NVIDIA/nccl-tests#166": {"net": "Socket", "transports": {"NET/Socket": 1, "SHM": 1}},
    "NVIDIA/nccl#952": {"net": "Socket", "transports": {"NET/Socket": 1, "P2P/IPC": 1}},
    "NVIDIA/nccl#892": {"transports": {"P2P/direct pointer": 1}},
    "aws/aws-ofi-nccl#715": {
        "transports": {"P2P/CUMEM": 1},
        "remarks": ["no NVLS on these GPUs"],
    },
    "NVIDIA/nccl#1646": {"versions": {"2.25.1": [0]}, "interfaces": ["bond0"]},
    "NVIDIA/nccl#1538": {"net": "IBext_v8"},
    "NVIDIA/nccl#1412": {"net": "IB", "transports": {"NET/IB": 1}},
    "NVIDIA/nccl#2047": {
        "versions": {"2.29.2": [0]},
        "remarks": ["no libibverbs"],
        "interfaces": ["eth0"],
    },
}
NOTHING = {
    "versions": {},
    "net": None,
    "transports": {},
    "gdr": False,
    "nvls": False,
    "mnnvl": False,
    "interfaces": [],
    "remarks": [],
}

# Hand-made: the forms in libnccl 2.29.7, filled in; nobody posted them.
FORMS_2_29 = b"""\
w0:1:9 [0] NCCL INFO NCCL version 2.29.7+cuda13.2
w0:1:9 [0] NCCL INFO Assigned NET plugin IB to comm
w0:1:9 [0] NCCL INFO Using network IB
w0:1:9 [0] NCCL INFO MNNVL 1 cliqueId 7 cliqueSize 72 cliqueRank 0
w0:1:9 [0] NCCL INFO NVLS multicast support is available on dev 0 (NVLS_NCHANNELS 16)
w0:1:9 [0] NCCL INFO 24 coll channels, 24 collnet channels, 16 nvls channels, 32 p2p channels, \
2 p2p channels per peer
w0:1:9 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/MNNVL
w0:1:9 [0] NCCL INFO Channel 01/0 : 0[0] -> 8[0] [send] via NET/IB/0(3)/GDRDMA(PCI)/Shared
"""


def summarize(*texts):
    """Return the summary of what ranks 0, 1, 2 … wrote."""
    log = NcclLog()
    for rank, text in enumerate(texts):
        log.add(rank, text if isinstance(text, bytes) else text.encode())
    return log.summary()


@pytest.mark.parametrize("source", POSTED)
def test_lines_of_real_jobs_are_understood(source):
    """NCCL 2.4 to 2.29, with and without the prefixes of launchers."""
    assert summarize(POSTED[source]).to_json() == NOTHING | EXPECTED[source]


def test_forms_of_the_newest_library_are_understood():
    """As they stand in its binary."""
    found = summarize(FORMS_2_29)
    assert found.to_json() == NOTHING | {
        "versions": {"2.29.7": [0]},
        "net": "IB",
        "transports": {"P2P/MNNVL": 1, "NET/IB": 1},
        "gdr": True,
        "nvls": True,
        "mnnvl": True,
    }
    words = "NCCL 2.29.7 over NET/IB with GPUDirect RDMA, NVLS, NVLink between hosts"
    assert found.describe() == words


VERSION = "NCCL version 2.29.7+cuda13.2\n"
SOCKET = "a:1:1 [0] NCCL INFO Using network Socket\n"
NO_IB = "a:1:1 [0] NCCL INFO NET/IB : No device found.\n"
P2P = "a:1:1 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM\n"
NET = "a:1:1 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/Socket/0\n"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["epoch 1\n"], ""),
        ([VERSION + SOCKET + NO_IB + NET], "NCCL 2.29.7 over NET/Socket (no InfiniBand device)"),
        ([VERSION + SOCKET + NO_IB + P2P], "NCCL 2.29.7 within hosts by P2P/CUMEM"),
        ([VERSION], "NCCL 2.29.7"),
        ([NET], "NCCL over NET/Socket"),
        (
            [VERSION + NET, "NCCL version 2.18.3+cuda12.1\n" + SOCKET, SOCKET],
            "NCCL 2.29.7 (rank 0) and 2.18.3 (rank 1) over NET/Socket",
        ),
        (
            [SOCKET + NET, "a:1:1 [0] NCCL INFO Using network IB\n"],
            "NCCL over NET/Socket (rank 0) and IB (rank 1)",
        ),
    ],
)
def test_the_summary_in_words(texts, words):
    """What people want to know: which version, which network, and which ranks differ."""
    assert summarize(*texts).describe() == words


def test_a_connection_is_counted_where_it_is_sent_from():
    """Both ends tell of it."""
    receive = NET.replace("[send]", "[receive]")
    assert summarize(NET * 4, receive * 4).transports == {"NET/Socket": 4}


def test_memory_is_bounded():
    """A program that writes such lines on purpose does not fill the launcher."""
    log = NcclLog()
    for n in range(1000):
        log.add(0, f"NCCL version 2.{n // 100}.{n % 100}\n".encode())
        log.add(0, f"NCCL INFO Channel 0 : 0[0] -> 1[1] via NET/x{n}/0\n".encode())
        log.add(0, f"NCCL INFO Using network x{n}\n".encode())
    found = log.summary()
    assert {len(found.versions), len(found.networks), len(found.transports)} == {32}
    log.add(0, b"NCCL " * 10_000_000)
    assert log.summary() == found


def test_other_lines_change_nothing():
    """Neither text that only mentions NCCL nor half of a character."""
    text = b"my NCCL INFO via carrier pigeon\nusing network NCCL\nNCCL \xff\xfe\nnccl version 2.1\n"
    assert summarize(text).to_json() == NOTHING
