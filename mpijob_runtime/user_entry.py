"""Checks that this user has a place in the user database, without which ssh and sshd refuse it.

OpenShift runs containers under a random UID. The images' libnss_mpijob (images/nss) names it in
every process, however that was started; this module says what is wrong where it does not.

Layer: pure; imports errors, facts.
"""

from mpijob_runtime.errors import ConfigurationError
from mpijob_runtime.facts import UserFacts

LEAST_UID = 500
"""libnss_mpijob leaves lower ids to the system's own files."""


def check_user_entry(user: UserFacts) -> None:
    """Refuse a user whom sshd would not let in.

    Raises:
        ConfigurationError: if there is no entry, or one without a login shell.
    """
    if user.can_log_in:
        return
    found = "no entry in the user database" if user.name is None else f"login shell {user.shell}"
    raise ConfigurationError(
        f"UID {user.uid}: found {found}, wanted one that sshd lets in",
        remedy=f"run as a UID from {LEAST_UID} up, or use an mpijob-runtime image as the base",
    )
