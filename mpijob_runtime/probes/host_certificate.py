"""Is a host's certificate the job's word that this is that host?

ssh(1) checks the same by ``@cert-authority``; paramiko reads certificates and checks nothing in
them. That the host holds the certified key is proved in the key exchange, before this.

Layer: probe; the only importer of cryptography; imports carried.
"""

import base64

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    SSHCertPublicKeyTypes,
    load_ssh_public_identity,
)

from mpijob_runtime.carried import HOST_CERTIFICATE

NO_CERTIFICATE = (
    "shows no certificate of this job: its sshd was not started by mpijob-runtime, or by one that "
    "is older than the launcher's"
)
_ANOTHER_JOB = (
    "certified by another job's key: a pod of another job, or an impostor, has this address"
)
_RSA_SIGNATURES = (b"rsa-sha2-256", b"rsa-sha2-512")
_SHOWN_NAMES = 4
_SHOWN_CHARACTERS = 80


def find_fault(
    certificate: bytes, *, key: str, host: str, authority: str, now_seconds: float
) -> str | None:
    """Return why a certificate is no proof that this is that host, or None if it is.

    Args:
        certificate: as it came in the key exchange.
        key: ``TYPE BASE64`` of the key that the host has proved to hold.
        host: the name that was connected to.
        authority: ``TYPE BASE64`` of the job's key.
        now_seconds: the time, in seconds since 1970.
    """
    try:
        shown = _read(certificate)
        if _line(shown.signature_key()) != authority:
            return _ANOTHER_JOB
        shown.verify_cert_signature()
    except InvalidSignature:
        return "shows a certificate with a false signature: an impostor has this address"
    except Exception as error:  # noqa: BLE001 - a stranger's bytes make the parser raise anything
        return f"shows a certificate that cannot be read: {str(error) or type(error).__name__}"
    return _find_contradiction(shown, key, now_seconds) or _find_wrong_name(shown, host)


def _read(certificate: bytes) -> SSHCertificate:
    text = f"{HOST_CERTIFICATE} ".encode() + base64.b64encode(certificate)
    read = load_ssh_public_identity(text)
    if not isinstance(read, SSHCertificate):
        raise TypeError("a plain key")
    return read


def _line(key: SSHCertPublicKeyTypes) -> str:
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _find_contradiction(shown: SSHCertificate, key: str, now_seconds: float) -> str | None:
    if shown.type is not SSHCertificateType.HOST:
        return "shows a user's certificate, not a host's"
    if _line(shown.public_key()) != key:
        return "shows a certificate for another key than its own"
    if not _is_signed_by_an_approved_hash(shown):
        return "shows a certificate signed with SHA-1, wanted rsa-sha2-256 or rsa-sha2-512"
    if shown.critical_options:
        return "shows a certificate with conditions that mpijob-runtime does not know"
    if not shown.valid_after <= now_seconds < shown.valid_before:
        return "shows a certificate that is not valid now, by the launcher's clock"
    return None


def _is_signed_by_an_approved_hash(shown: SSHCertificate) -> bool:
    """Tell whether an RSA key has signed with SHA-2; the hash of other keys is fixed.

    A certificate ends with the signature: its type, its length in four bytes and the signature
    itself, which has the key's size.
    """
    authority = shown.signature_key()
    if not isinstance(authority, RSAPublicKey):
        return True
    whole = base64.b64decode(shown.public_bytes().split()[1])
    return whole[: -(authority.key_size // 8 + 4)].endswith(_RSA_SIGNATURES)


def _find_wrong_name(shown: SSHCertificate, host: str) -> str | None:
    """Compare as ssh does: whole names, in lower case, no patterns."""
    if host.lower().encode() in shown.valid_principals:
        return None
    return (
        f"certified as {_words(shown.valid_principals)}, not {host}: the name service gives "
        f"another pod's address, or that pod needs MPIJOB_HOST_NAMES={host}"
    )


def _words(names: list[bytes]) -> str:
    """Return the last few names, the longest, fit for a line of a log: a stranger chose them."""
    text = ", ".join(name.decode("ascii", "replace") for name in names[-_SHOWN_NAMES:])
    shown = "".join(c if c.isprintable() else "?" for c in text[:_SHOWN_CHARACTERS])
    return shown or "nobody"
