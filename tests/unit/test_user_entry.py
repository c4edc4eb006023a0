import pytest

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import UserFacts
from mpijob_runtime.user_entry import check_user_entry


@pytest.mark.parametrize("shell", ["/bin/bash", ""])
def test_a_user_that_can_log_in_is_let_through(shell):
    """An empty shell is /bin/sh."""
    check_user_entry(UserFacts(1000, 1000, "mpiuser", "/home/mpiuser", shell))


@pytest.mark.parametrize(
    ("user", "found"),
    [
        (UserFacts(1000650000, 0, None, None, None), "no entry in the user database"),
        (UserFacts(33, 33, "www", "/", "/usr/sbin/nologin"), "login shell /usr/sbin/nologin"),
        (UserFacts(1000650000, 0, "u", "/", "/bin/false"), "login shell /bin/false"),
    ],
    ids=["none", "nologin", "false"],
)
def test_a_user_that_cannot_log_in_is_refused_with_the_remedy(user, found):
    """Another image's base, or a system account: 78, and what would work."""
    with pytest.raises(ConfigurationError, match=found) as caught:
        check_user_entry(user)
    assert "a UID from 500 up" in caught.value.remedy
