"""The documentation against the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in ROOT.rglob("*.md") if not {".venv", ".build"} & set(p.parts))


@pytest.mark.parametrize("name", ["reference.md", "reference/environment.md"])
def test_the_reference_is_what_the_code_says(name):
    """The pages are made by tools/reference.py and current."""
    script = f"import reference; print(reference.page({name!r}), end='')"
    argv = (sys.executable, "-c", script)
    made = subprocess.run(argv, cwd=ROOT / "tools", capture_output=True, text=True, check=True)

    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made.stdout


def test_no_variable_for_debugging_is_set():
    """What NCCL's guide warns of keeping is in no table of ours."""
    import reference

    from mpijob_runtime.defaults import DEFAULTS, RANK_DEFAULTS

    assert not {row.name for row in (*DEFAULTS, *RANK_DEFAULTS)} & set(reference.NEVER)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_resolve(page):
    """Every link to a file of the repository has its file."""
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]

    assert not missing


def test_the_dependencies_of_the_image_are_those_of_the_package():
    """images/requirements/runtime.in names pyproject.toml's packages, and a tool: py-spy."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {re.split(r"[<>=]", name)[0] for name in project["dependencies"]}
    lines = (
        (ROOT / "images" / "requirements" / "runtime.in").read_text(encoding="utf-8").split("\n")
    )

    assert {line for line in lines if line and not line.startswith("#")} == asked | {"py-spy"}
