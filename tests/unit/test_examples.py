"""What examples and documentation tell people to set and to call is right."""

import re
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from mpijob_runtime.cli import group
from mpijob_runtime.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_REFERENCE = re.compile(r"\$\((\w+)\)")
_ASSIGNMENT = re.compile(r"\b(MPIJOB_[A-Z_]+)=([^\s`'\",;)…]+)")


def texts():
    """Yield a name and the text of every manifest, and of every YAML in the documentation."""
    for path in sorted((ROOT / "examples").rglob("*.yaml")):
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for path in PAGES:
        for number, found in enumerate(_BLOCK.finditer(path.read_text(encoding="utf-8"))):
            yield f"{path.relative_to(ROOT)}:{number}", found[1]


def mappings(node):
    """Yield every mapping in a document."""
    if isinstance(node, dict):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from mappings(child)


def environment(items):
    """Return variables as the kubelet gives them; what it takes from elsewhere is a word."""
    found = {}
    for item in items:
        value = item.get("value", "from-elsewhere")
        found[item["name"]] = _REFERENCE.sub(lambda name: found[name[1]], value)
    return found


CASES = dict(texts())


@pytest.mark.parametrize("name", CASES)
def test_what_a_manifest_sets_and_calls_can_be(name):
    """Every env is a string that the settings take, and every line of ours has only real flags."""
    for document in YAML(typ="safe").load_all(CASES[name]):
        for part in mappings(document):
            if isinstance(part.get("env"), list):
                environ = environment(part["env"])
                assert all(isinstance(value, str) for value in environ.values())
                Settings.from_environ(environ)
            line = [*(part.get("command") or ()), *(part.get("args") or ())]
            if line[:1] == ["mpijob-runtime"]:
                check(line[1:])


def check(line):
    """Parse a command line of ours as it would be, and run nothing."""
    context = click.Context(group)
    command = group.get_command(context, line[0])
    command.make_context(line[0], [str(word) for word in line[1:]])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_documentation_assigns_can_be(page):
    """``MPIJOB_NAME=VALUE`` in the text is a value that the settings take."""
    known = {variable.name for variable in VARIABLES}
    for name, value in _ASSIGNMENT.findall(page.read_text(encoding="utf-8")):
        if name in known:
            Settings.from_environ({name: value})


def test_there_are_manifests_to_look_at():
    """The tests above would pass on an empty tree; the one that was wrong is among them."""
    assert {"examples/bench/mpijob-gpu.yaml", "README.md:0"} <= CASES.keys()
    assert "MPIJOB_DISTINCT_NODES" in CASES["examples/bench/mpijob-gpu.yaml"]
