import pytest
from rank_processes import run_ranks


@pytest.mark.parametrize(("ranks", "hosts"), [(3, 3), (4, 2)])
def test_hosts_are_looked_at(ranks, hosts):
    """Facts and clocks of each host, the speed of each rank, each pair of hosts once."""
    lines = run_ranks("machine", "--rounds", 2, ranks=ranks, hosts=hosts)
    found = [line for rank in lines for line in rank]
    by_kind = {
        kind: [line for line in found if line["bench"] == kind]
        for kind in ("machine", "clock", "speed", "pair")
    }
    assert sorted(line["index"] for line in by_kind["machine"]) == [*range(hosts)]
    assert {line["local_ranks"] for line in by_kind["machine"]} == {ranks // hosts}
    assert len({line["boot_id"] for line in by_kind["machine"]}) == 1
    assert len(by_kind["speed"]) == ranks
    assert all(len(line["seconds"]) == 2 and line["flop"] > 0 for line in by_kind["speed"])
    assert len({line["flop"] for line in by_kind["speed"]}) == 1
    pairs = hosts * (hosts - 1) // 2
    assert len(by_kind["pair"]) == pairs * ranks // hosts
    assert all(line["bytes"] >= 1 << 20 and min(line["seconds"]) > 0 for line in by_kind["pair"])


def test_clocks_of_one_machine_agree():
    """Within the round trip that bounds the error."""
    lines = run_ranks("machine", "--rounds", 1, ranks=3, hosts=3)
    clocks = [line for rank in lines for line in rank if line["bench"] == "clock"]
    assert len(clocks) == 2
    for clock in clocks:
        assert abs(clock["offset_seconds"]) <= clock["round_trip_seconds"]
