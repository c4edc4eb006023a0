import os

import pytest

from mpijob_runtime.mpirun_errors import MpirunErrors


@pytest.fixture
def errors():
    """Return mpirun's stderr, and a function that closes it and returns what was passed on."""
    reading, writing = os.pipe()
    errors = MpirunErrors(target=writing)

    def end():
        os.close(errors.descriptor)
        errors.close()
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            return file.read()

    errors.end = end
    return errors


def test_mpiruns_words_are_passed_on_as_they_are(errors):
    """Byte for byte, a last line without its end included."""
    os.write(errors.descriptor, b"one\ntwo \xff\nla")
    os.write(errors.descriptor, b"st")
    assert errors.end() == b"one\ntwo \xff\nlast"
    assert errors.tail == "one\ntwo \ufffd\nlast"


def test_noise_is_neither_passed_on_nor_kept(errors):
    """Open MPI's race with its own child, on lines of its own; what is about it stays."""
    noise = (
        b"[pi-launcher:00021] plm:ssh: Warning: setpgid(30,30) failed in parent with"
        b" errno=Permission denied(13)\n"
    )
    other = b"[w:1] plm:ssh: Error: setpgid(0,0) failed in child with errno=Permission denied(13)\n"
    os.write(errors.descriptor, b"one\n" + noise[:50])
    os.write(errors.descriptor, noise[50:] + other)
    os.write(errors.descriptor, b"seen: " + noise)
    expected = b"one\n" + other + b"seen: " + noise
    assert errors.end() == expected
    assert errors.tail == expected.decode()


def test_the_tail_is_the_last_sixty_lines(errors):
    """A talkative mpirun costs no memory."""
    for number in range(500):
        os.write(errors.descriptor, b"line %d\n" % number)
    passed = errors.end()
    assert passed.count(b"\n") == 500
    assert errors.tail.splitlines() == [f"line {number}" for number in range(440, 500)]


def test_a_stderr_that_nobody_reads_ends_nothing():
    """Mpirun goes on, and its last words are still known."""
    reading, writing = os.pipe()
    os.close(reading)
    errors = MpirunErrors(target=writing)
    os.write(errors.descriptor, b"one\n")
    os.write(errors.descriptor, b"two\n")
    os.close(errors.descriptor)
    errors.close()
    os.close(writing)
    assert errors.tail == "one\ntwo\n"
