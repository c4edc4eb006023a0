"""Several launches in one launcher, on both Open MPIs: none ends, misplaces or meets another.

The whole stress is ``MPIJOB_TEST_LAUNCHES=50 MPIJOB_TEST_ROUNDS=20
MPIJOB_TEST_WITHIN_SECONDS=20 pytest`` on this file.
"""

import os
from pathlib import Path

import jobs
import pytest
from jobs import Job, run_job

pytestmark = pytest.mark.cluster

LAUNCHES = os.environ.get("MPIJOB_TEST_LAUNCHES", "8")
ROUNDS = os.environ.get("MPIJOB_TEST_ROUNDS", "1")
SECONDS = os.environ.get("MPIJOB_TEST_WITHIN_SECONDS", "2")
SEED = os.environ.get("MPIJOB_TEST_SEED", "1")
ROUND_SECONDS = 300
STRESS = Path(__file__).with_name("concurrent_launches.py").read_text(encoding="utf-8")

# One job on each worker at a time, both by one launcher, then one beside leftovers of a dead one.
BESIDE = """
export MPIJOB_GRACE=3
for host in 0 1; do
    name=$(sed -n "$((host + 1))s/[ :].*//p" /etc/mpi/hostfile)
    (mpijob-runtime launch --host "$name" --log-dir /tmp/logs -- sh -c 'sleep 1; uname -n' \
        > /tmp/out.$host 2>&1
    echo "job $host: $? $(grep -c "beside-worker-$host$" /tmp/out.$host)") &
done
wait
echo "logs: $(cat /tmp/logs/*/rank-0.log | sort | tr '\\n' ' ')"
mpirun -n 2 sh -c 'trap "" TERM; echo up; while :; do sleep 0.1; done' > /tmp/dead 2>&1 &
until [ "$(grep -c up /tmp/dead)" = 2 ]; do sleep 0.1; done
kill -KILL $!
mpirun -n 2 sh -c 'pgrep -f "trap .* TERM; echo u[p]" || echo alone' 2>&1
"""


def test_launches_at_random_moments_do_no_harm_to_each_other(image, tmp_path, monkeypatch):
    """Each ends with 0 and its own ranks' output, and could meet at a port of its own."""
    monkeypatch.setattr(jobs, "SECONDS", ROUND_SECONDS * int(ROUNDS))
    command = ("python3", "-c", STRESS, LAUNCHES, ROUNDS, SECONDS, SEED)
    ended = run_job(Job("together", image, command), tmp_path)

    assert ended.exit_code == 0, ended.text
    assert f"round 0: 0 of {LAUNCHES} wrong" in ended.text


def test_jobs_beside_each_other_keep_hosts_and_logs_and_a_dead_one_is_ended(image, tmp_path):
    """Two with different hosts at a time; what a killed one has left goes before the next."""
    ended = run_job(Job("beside", image, ("bash", "-c", BESIDE)), tmp_path)

    assert "job 0: 0 1" in ended.text, ended.text
    assert "job 1: 0 1" in ended.text, ended.text
    assert "logs: beside-worker-0 beside-worker-1" in ended.text
    assert ended.text.count("alone") == 2, ended.text
