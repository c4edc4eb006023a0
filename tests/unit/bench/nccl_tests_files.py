"""Hand-made outputs of nccl-tests, small; numbers are invented, forms are those of src/util.cu."""

import json

SECRET = "hunter2"


def per_iteration(times, processes):
    """Return what -I adds."""
    return {
        "skipped_iterations": 1,
        "times_us": times,
        "per_process_max_times_us": processes,
        "p50_us": 0.0,
    }


def result(size, micros, ranks, /, *, factor=None, **changes):
    """Return one entry of results."""
    algbw = size / micros / 1e3
    factor = 2 * (ranks - 1) / ranks if factor is None else factor
    body = {"time": micros, "alg_bw": algbw, "bus_bw": algbw * factor, "nwrong": 0.0}
    row = {"size": size, "count": size // 4, "type": "float", "redop": "sum", "root": "    -1"}
    row |= {"out_of_place": body, "in_place": body, "actual_iterations": 20}
    return row | {"experiment_name": ""} | changes


def document(version=3, *, program="./build/all_reduce_perf", ngpus=1, results=None, hosts=2):
    """Return a file of -J: two processes, one on each host."""
    devices = [
        {"rank": rank * ngpus, "group": 0, "pid": 1, "hostname": f"gpu-{rank}", "device": 0}
        | {"device_hex": "0000:01:00", "device_info": "NVIDIA H100"}
        for rank in range(hosts)
    ]
    ranks = hosts * ngpus
    config = {"nthreads": 1, "ngpus": ngpus, "blocking_collectives": "false", "devices": devices}
    rows = [result(4**power, 10 + 4**power / 1e4, ranks) for power in range(5, 13)]
    return {
        "version": version,
        "start_time": "2026-01-01 00:00:00",
        "args": [program, "-b", "1K"],
        "env": [f"REGISTRY_PASSWORD={SECRET}"],
        "nccl_version": 22907,
        "config": config,
        "results": rows if results is None else results,
        "out_of_bounds": {"count": 0, "okay": "true"},
        "average_bus_bandwidth": {"bandwidth": 1.0, "okay": "unchecked"},
        "errors": [],
    }


def as_bytes(*arguments, **changes):
    """Return such a file's bytes."""
    return json.dumps(document(*arguments, **changes)).encode()


TEXT = """\
# nccl-tests version 2.19.6 nccl-headers=22907 nccl-library=22907
# Collective test starting: alltoall_perf
# nThread 1 nGpus 1 minBytes 1024 maxBytes 1048576 step: 16(factor) warmup iters: 1 iters: 20
#
# Using devices
#  Rank  0 Group  0 Pid      7 on      gpu-0 device  0 [0000:01:00] NVIDIA H100 80GB HBM3
#  Rank  1 Group  0 Pid      8 on      gpu-0 device  1 [0000:02:00] NVIDIA H100 80GB HBM3
#  Rank  2 Group  0 Pid      7 on      gpu-1 device  0 [0000:01:00] NVIDIA H100 80GB HBM3
#  Rank  3 Group  0 Pid      8 on      gpu-1 device  1 [0000:02:00] NVIDIA H100 80GB HBM3
#
#                                                 out-of-place                       in-place
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)
           0             0     float    none      -1     5.10    0.00    0.00       0     5.00
        1024            64     float    none      -1    10.24    0.10    0.08       0    11.00
       16384          1024     float    none      -1    16.38    1.00    0.75       2    17.00
      262144         16384     float    none      -1    65.54    4.00    3.00       0    66.00
     1048576         65536     float    none      -1   131.07    8.00    6.00       0   132.00
# Out of bounds values : 2 FAILED
# Avg bus bandwidth    : 2.4
"""

OLD_TEXT = """\
# nThread 1 nGpus 2 minBytes 1048576 maxBytes 16777216 step: 4(factor) warmup iters: 5 iters: 20
#
# Using devices
#   Rank  0 Pid     42 on       dgx device  0 [0x06] Tesla V100
#   Rank  1 Pid     42 on       dgx device  1 [0x07] Tesla V100
#
#       size         count    type   redop     time   algbw   busbw  error     time   algbw
     1048576        262144   float     sum   104.86   10.00   10.00  2e-07   105.00   10.00
     4194304       1048576   float     sum   419.43   10.00   10.00  2e-07   419.00   10.00
    16777216       4194304   float     sum   1677.7   10.00   10.00    N/A   1678.0   10.00
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 10
"""
"""Of the time before 2.13: no root, no name of the test, an error in place of a count."""
