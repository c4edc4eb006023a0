import configparser

import pytest

from mpijob_local.pipconf import format_pip_conf, parse_pip_listing

LISTING = """\
:env:.cert='/etc/ca.pem'
:env:.default-timeout='180'
:env:.disable-pip-version-check='1'
global.cert='/other.pem'
global.extra-index-url='file:///srv/pypi/simple https://index.example/simple'
global.find-links='/srv/wheels file:///srv/more%20wheels https://x.example/'
install.index-url='https://one.example/simple'
list.format='columns'
"""


def test_parse():
    """Only what matters in a build is taken, and variables win over files."""
    assert dict(parse_pip_listing(LISTING).values) == {
        "cert": "/etc/ca.pem",
        "timeout": "180",
        "extra-index-url": "file:///srv/pypi/simple https://index.example/simple",
        "find-links": "/srv/wheels file:///srv/more%20wheels https://x.example/",
        "index-url": "https://one.example/simple",
    }


def test_volumes():
    """Local directories are found, an index with the files beside it, and renamed."""
    settings = parse_pip_listing(LISTING)

    assert settings.volumes() == {
        "/srv/wheels": "/run/pip-0",
        "/srv/more wheels": "/run/pip-1",
        "/srv/pypi": "/run/pip-2",
    }


def test_format():
    """The pip.conf of a build names everything where the build sees it."""
    text = format_pip_conf(parse_pip_listing(LISTING).inside())

    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser["global"]["cert"] == "/run/secrets/ca"
    assert parser["global"]["timeout"] == "180"
    assert parser["global"]["extra-index-url"].split() == [
        "file:///run/pip-2/simple",
        "https://index.example/simple",
    ]
    assert parser["global"]["find-links"].split() == [
        "/run/pip-0",
        "file:///run/pip-1",
        "https://x.example/",
    ]
    assert "srv" not in text


@pytest.mark.parametrize("listing", ["", "garbage", "a=b\n"])
def test_no_settings(listing):
    """A machine without settings gives an empty configuration."""
    assert format_pip_conf(parse_pip_listing(listing)) == "[global]\n"
