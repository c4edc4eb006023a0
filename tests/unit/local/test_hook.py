import json
import subprocess
import sys

import pytest

from mpijob_local.hook import RATES_ANNOTATION, annotation, check_shaped, install_hook, shape
from mpijob_runtime.errors import ConfigurationError

STATE = {"id": "c0ffee", "pid": 2**22 + 1, "annotations": {RATES_ANNOTATION: "eth0=100000000"}}


def test_only_pods_with_rates_have_the_hook(tmp_path):
    """The hook runs before the program, for containers that carry rates, and for no other."""
    options = install_hook(tmp_path / "hooks")

    (path,) = (tmp_path / "hooks").glob("*.json")
    hook = json.loads(path.read_text())
    assert options[-1] == f"--hooks-dir={tmp_path / 'hooks'}"
    assert hook["stages"] == ["createRuntime"]
    assert hook["when"] == {"annotations": {f"^{RATES_ANNOTATION}$": ".+"}}


def test_annotation():
    """The hook is told the interfaces that have a rate."""
    found = annotation({"eth0": 10**8, "net1": None, "net2": 10**9})

    assert found == f"--annotation={RATES_ANNOTATION}=eth0=100000000 net2=1000000000"


def test_a_link_that_cannot_be_shaped_stops_the_pod(tmp_path):
    """As the runtime runs it, the hook ends with an error and its reason in a single line."""
    install_hook(tmp_path / "hooks")
    hook = json.loads((tmp_path / "hooks" / "links.json").read_text())["hook"]
    assert hook["path"] == sys.executable

    done = subprocess.run(
        hook["args"], input=json.dumps(STATE), capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("links cannot be shaped to a rate: nsenter ")
    with pytest.raises(ConfigurationError, match="podman ran no hook"):
        check_shaped(tmp_path / "hooks", "c0ffee")


def test_the_mark_of_a_shaped_pod(tmp_path):
    """A pod counts as shaped once its hook has come to its end."""
    shape({**STATE, "annotations": {RATES_ANNOTATION: ""}}, tmp_path)

    check_shaped(tmp_path, "c0ffee")
