import pytest

from mpijob_runtime.container_environ import read_environ, without_added_places

OURS = "/usr/lib/mpijob/openmpi"


@pytest.mark.parametrize(
    ("added", "own"),
    [
        (f"{OURS}/bin:", "/opt/venv/bin:/usr/bin"),
        (f"{OURS}/bin:{OURS}/bin:", "/opt/venv/bin:/usr/bin"),
        ("", "/usr/bin:/opt/venv/bin"),
        (f"{OURS}/bin:", f"/x:{OURS}/bin:/usr/bin"),
        (f"{OURS}/bin:", "/usr/bin::/x:"),
    ],
)
def test_path_is_as_the_daemon_was_given_it(added, own):
    """What Open MPI put before it is gone, all else stays, empty parts included."""
    assert without_added_places({"PATH": added + own, "A": "b"}) == {"PATH": own, "A": "b"}


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_search_path_that_was_not_there_is_not_there(times):
    """Open MPI makes LD_LIBRARY_PATH of nothing, with an empty part at its end."""
    assert without_added_places({"LD_LIBRARY_PATH": f"{OURS}/lib:" * times}) == {}


@pytest.mark.parametrize("value", ["", "/mine", "/opt/openmpi/lib:/mine", f"{OURS}/lib2:/mine"])
def test_a_users_library_path_stays(value):
    """An image's own place, an empty value and what only looks like ours are the user's word."""
    assert without_added_places({"LD_LIBRARY_PATH": value}) == {"LD_LIBRARY_PATH": value}


def test_another_users_process_is_not_read():
    """No such process is an error that callers expect."""
    with pytest.raises(OSError, match="No such"):
        read_environ(2**22 + 1)
