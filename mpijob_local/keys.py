"""The key pair that the operator makes for each job.

The only module that uses cryptography.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The two halves as the operator's secret holds them.

    Attributes:
        private: PEM, ``EC PRIVATE KEY``.
        public: a line for ``authorized_keys``, with its newline.
    """

    private: bytes
    public: bytes


def make_key_pair() -> KeyPair:
    """Make an ECDSA P-521 pair (mpi_job_controller.go 1440-1477 of mpi-operator v0.8.2)."""
    key = ec.generate_private_key(ec.SECP521R1())
    # The operator uses Go's x509.MarshalECPrivateKey: SEC 1, here called traditional.
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return KeyPair(private, public + b"\n")
