from cryptography.hazmat.primitives.asymmetric.ec import SECP521R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mpijob_local.keys import make_key_pair


def test_private_key_is_the_operators_kind():
    """The private key is an ECDSA P-521 key in the PEM form of SEC 1."""
    pair = make_key_pair()

    assert pair.private.startswith(b"-----BEGIN EC PRIVATE KEY-----\n")
    key = load_pem_private_key(pair.private, password=None)
    assert isinstance(key, EllipticCurvePrivateKey)
    assert isinstance(key.curve, SECP521R1)


def test_public_key_is_one_line():
    """The public key is a line for authorized_keys."""
    line = make_key_pair().public

    assert line.startswith(b"ecdsa-sha2-nistp521 ")
    assert line.count(b"\n") == 1


def test_keys_differ():
    """Each job has a key of its own."""
    assert make_key_pair().private != make_key_pair().private
