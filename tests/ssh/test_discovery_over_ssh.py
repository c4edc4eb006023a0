"""discover-hosts against real servers, as a process of its own."""

import json
import subprocess
import sys


def discover(tmp_path, keys, port, *hosts, timeout="5"):
    """Run the command for hosts by address and return its JSON."""
    script = tmp_path / "discover.sh"
    script.write_text("#!/bin/sh\n" + "".join(f"echo {host}\n" for host in hosts))
    script.chmod(0o755)
    secret = tmp_path / "secret"
    secret.mkdir(exist_ok=True)
    (secret / "id_rsa").write_bytes((keys / "job").read_bytes())
    argv = (sys.executable, "-m", "mpijob_runtime", "discover-hosts", "--json")
    done = subprocess.run(
        (*argv, "--timeout", timeout, "--script", str(script)),
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "MPIJOB_SSH_DIR": str(secret),
            "MPIJOB_SSH_PORT": str(port),
            "MPIJOB_RUN_DIR": str(tmp_path / "run"),
            "K_MPI_JOB_ROLE": "launcher",
            "OMPI_MCA_orte_set_default_slots": "4",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def test_only_hosts_that_let_us_in_are_listed(server, tmp_path, keys):
    """A host that refuses the connection is named as missing, with why."""
    found = discover(tmp_path, keys, server.port, server.address, "127.0.0.99")

    assert found["hosts"] == [{"name": server.address, "slots": 4}]
    assert list(found["missing"]) == ["127.0.0.99"]
    assert "Connection refused" in found["missing"]["127.0.0.99"]


def test_a_host_that_has_gone_is_no_longer_listed(server, tmp_path, keys):
    """Each call looks anew."""
    before = discover(tmp_path, keys, server.port, server.address)
    server.stop()
    after = discover(tmp_path, keys, server.port, server.address)

    assert [host["name"] for host in before["hosts"]] == [server.address]
    assert after["hosts"] == []


def test_a_host_of_another_job_is_not_listed(make_server, tmp_path, keys):
    """An address that now is another job's pod shows another key."""
    stranger = make_server(authority="stranger")
    stranger.start()

    found = discover(tmp_path, keys, stranger.port, stranger.address)

    assert found["hosts"] == []
    assert found["missing"][stranger.address].startswith("host key: ")
