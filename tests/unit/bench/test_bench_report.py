import html.parser
import json
import re

import pytest
from hand_made_results import Recipe, result_of, write_results

from mpijob_bench.cli import main
from mpijob_bench.report.palette import COLOURS, HEAT_LEVELS
from mpijob_bench.report.summary import MOST_LINES
from mpijob_runtime.masking import MASK

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "br", "img", "hr", "input", "use", "path"}


MOST_BYTES = 2_000_000


class Page(html.parser.HTMLParser):
    """Collects tags, ids and what lies open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.open, self.wrong = [], [], [], []
        self.attributes = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        """Take a tag that opens."""
        self.tags.append(tag)
        self.attributes += [(tag, *one) for one in attributes]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        """Take a tag that is its own end."""
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Take a tag that closes."""
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


def make(tmp_path, capsys, recipe=None, **changes):
    """Write a report of a hand-made result and return its page."""
    write_results(tmp_path, recipe or Recipe(steps=8, pairs=3, changes=changes))
    assert main(["report", str(tmp_path)]) == 0
    capsys.readouterr()
    return (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Return the directory of a usual report."""
    directory = tmp_path_factory.mktemp("usual")
    write_results(directory, Recipe(steps=8, pairs=3))
    assert main(["report", str(directory)]) == 0
    return directory


@pytest.fixture(scope="module")
def page(usual):
    """Return the page of a usual report."""
    return (usual / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed(page):
    """Tags are closed in their order, ids are unique, and all that is referred to is there."""
    found = Page(page)
    assert found.wrong == []
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    referred = set(re.findall(r"url\(#([^)]*)\)|href=\"#([^\"]*)\"", page))
    referred = {one or other for one, other in referred}
    referred |= {value for _, name, value in found.attributes if name == "aria-labelledby"}
    assert referred <= set(found.ids)
    assert referred


def test_the_page_needs_nothing_else(page):
    """No script, and no address of anything outside."""
    found = Page(page)
    assert not {"script", "iframe", "object", "embed", "base"} & set(found.tags)
    for _, name, value in found.attributes:
        assert not name.startswith("on")
        if name in {"src", "href"}:
            assert value.startswith(("#", "data:"))
    assert not re.search(r"https?://|@import|url\((?!#)", page)


def test_the_page_can_be_read_without_seeing(page):
    """Pictures have names, tables have headings, and there is one heading of the first order."""
    found = Page(page)
    pictures = [one for one in found.attributes if one[1:] == ("role", "img")]
    names = [one for one in found.attributes if one[1] in {"aria-label", "aria-labelledby"}]
    assert pictures
    assert len(names) >= len(pictures)
    assert found.tags.count("h1") == 1
    assert '<html lang="en">' in page
    assert page.count("<table") == page.count('role="region"')


def test_the_verdict_comes_first(page):
    """Before every heading of a section, with its bounds and its clause."""
    head = page[: page.index("<h2>")]
    assert ">PASS<" in head
    assert re.search(r"95&nbsp;% bounds [\d.]+\s%", head)
    assert "is at least the target 0.85" in head


def test_sections_are_in_their_order(page):
    """As the reader asks: how far, where lost, what helps, network, steps, guards, plan."""
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == [
        "Scaling",
        "Where the points went",
        "What would help",
        "Network",
        "Steps and launches",
        "Guards",
        "Plan and environment",
    ]


def test_text_of_charts_is_text_and_colours_are_variables(page):
    """So that it can be searched, and follows the scheme."""
    drawings = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert ">load balance<" in drawings
    assert "var(--measured)" in drawings
    assert not re.search(r"#[0-9a-f]{6}", drawings)
    assert "font-family" not in drawings


@pytest.mark.parametrize(
    ("fidelity", "word", "stamped"),
    [("measured", "PASS", False), ("emulated", "EMULATED-PASS", True)],
)
def test_what_is_emulated_says_so_everywhere(tmp_path, capsys, fidelity, word, stamped):
    """In the verdict, in a band above it, and behind every chart."""
    recipe = Recipe(steps=8, pairs=3, fidelity=fidelity, bandwidth=43e6)
    text = make(tmp_path, capsys, recipe)
    assert f">{word}<" in text
    assert ("not a hardware result" in text) == stamped
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert drawings
    assert all((">emulated<" in one) == stamped for one in drawings)


@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        (Recipe(steps=0, pairs=3, transfer=0.7), "FAIL"),
        (Recipe(steps=0, pairs=3, noise=0.08, transfer=0.9), "INCONCLUSIVE"),
        (Recipe(steps=0, pairs=2), "INVALID"),
    ],
)
def test_every_verdict_has_its_page(tmp_path, capsys, recipe, word):
    """With its word and its colour."""
    text = make(tmp_path, capsys, recipe)
    assert f">{word}<" in text
    tone = {"FAIL": "fail", "INCONCLUSIVE": "open", "INVALID": "invalid"}[word]
    assert f"verdict tone-{tone}" in text


def test_nothing_that_a_result_says_is_taken_for_html(tmp_path, capsys):
    """Host names, reasons, guards, names of workloads and variables."""
    result = result_of(Recipe(pairs=3, steps=0))
    for one in result["launches"]:
        one["hosts"] = [f"{EVIL}$x^2$-{node}" for node in range(one["nodes"])]
    result["launches"][0] |= {"status": "failed", "reason": EVIL}
    changes = {
        "launches": result["launches"],
        "hosts": [EVIL],
        "guards": [{"name": EVIL, "ok": True, "value": EVIL, "limit": EVIL}],
        "environment": {EVIL: EVIL},
        "transport": {"declared": EVIL, "observed": EVIL},
        "workload": {"kind": "command", "name": EVIL, "argv": [EVIL]},
        "emulation": {"network": EVIL},
    }
    write_results(tmp_path, Recipe(pairs=3, steps=0, fidelity="emulated", changes=changes))
    lines = [
        {"launch": 2, "rank": rank, "host": EVIL, "mode": "local", "step": 1, "step_seconds": 0.1}
        for rank in range(8)
    ]
    text = "\n".join(json.dumps(line | {"launch": n}) for line in lines for n in range(6))
    (tmp_path / "steps.jsonl").write_text(text)
    assert main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "script" not in Page(page).tags
    assert "&lt;script&gt;" in page
    assert "<script" not in (tmp_path / "summary.md").read_text(encoding="utf-8")
    capsys.readouterr()


def test_secrets_are_masked_everywhere(tmp_path, capsys):
    """Variables, options of programs and passwords in addresses, in all files."""
    argv = ["python", "x.py", "--api-key=hidden1", "--token", "hidden2", "http://u:hidden3@h/"]
    argv += ["--header", "Authorization: Bearer hidden7", "https://hidden8-0123456789@h/"]
    environment = {
        "HF_TOKEN": "hidden4",
        "PROXY": "http://u:hidden5@h/",
        "OMP_NUM_THREADS": "8",
        "PROXY_AUTHORIZATION": "hidden9",
        "MPIJOB_X": "a --password=hidden10",
    }
    result = result_of(Recipe(pairs=3))
    result["launches"][0] |= {
        "status": "failed",
        "reason": "http://u:hidden6@h/ --token=hidden11 HF_TOKEN=hidden12",
    }
    make(
        tmp_path,
        capsys,
        workload={"kind": "command", "name": None, "argv": argv},
        environment=environment,
        launches=result["launches"],
    )
    for name in ("report.html", "summary.md", "launches.csv", "comm.csv"):
        assert "hidden" not in (tmp_path / name).read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert MASK in page
    assert "OMP_NUM_THREADS" in page


def test_a_result_with_the_verdict_alone_has_a_page(tmp_path, capsys):
    """Everything else is said to be missing, and no empty chart is drawn."""
    names = ("schema", "fidelity", "plan", "pairs", "guards", "transport", "wrong_elements")
    result = result_of(Recipe(pairs=3))
    (tmp_path / "result.json").write_text(json.dumps({name: result[name] for name in names}))
    assert main(["report", str(tmp_path / "result.json"), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2  # throughput and efficiency
    assert page.count('class="missing"') == 8
    assert "only E is known" in page
    assert not (tmp_path / "out" / "comm.csv").exists()
    capsys.readouterr()


def test_a_huge_result_stays_small(tmp_path, capsys):
    """128 nodes, 40 pairs and their steps: less than 2 MB."""
    recipe = Recipe(nodes=128, pairs=40, steps=2, curve=(2, 8, 32))
    text = make(tmp_path, capsys, recipe)
    assert len(text.encode()) < MOST_BYTES / 2


def test_texts_without_end_are_cut(tmp_path, capsys):
    """Whatever a program's arguments, reasons, guards and variables are: less than 2 MB."""
    long = "x" * 3_000_000
    result = result_of(Recipe(pairs=3))
    result["launches"][0] |= {"status": "failed", "reason": long}
    guards = [{"name": f"{number} {long[:1000]}", "ok": True} for number in range(10_000)]
    text = make(
        tmp_path,
        capsys,
        workload={"kind": "command", "name": None, "argv": [long, "x"]},
        environment={"MPIJOB_X": long},
        guards=guards,
        launches=result["launches"],
    )
    assert len(text.encode()) < MOST_BYTES / 2


def test_an_interrupted_launch_is_no_failure(tmp_path, capsys):
    """It was done again: only one that failed is a cross."""
    result = result_of(Recipe(pairs=3))
    first = result["launches"][0]
    again = [{**first, "status": "interrupted"}, *result["launches"]]
    assert ">failed<" not in make(tmp_path, capsys, launches=again)
    failed = [{**first, "status": "failed", "reason": "x"}, *result["launches"]]
    assert ">failed<" in make(tmp_path, capsys, launches=failed)


def test_a_program_is_not_said_to_use_ddp(tmp_path, capsys):
    """Nobody knows."""
    workload = {"kind": "command", "name": "python", "argv": ["python"], "framework": "ddp"}
    assert "DDP" not in make(tmp_path, capsys, workload=workload).split("<title>")[1][:80]


def plain_text(page):
    """Return a page's words."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).replace("\u00a0", " ").split())


def test_evenness_of_steps_is_shown(tmp_path, capsys):
    """Correlation and spikes by nodes, who was slow in them, and a warm-up that was too short."""
    whole = make(tmp_path, capsys)
    text = plain_text(whole)
    assert "0.31 9 of 600" in text
    assert "5 of 250 steps stood out on all ranks, 10 on some only" in text
    assert "a longer --warmup" not in text
    launches = result_of(Recipe(pairs=3))["launches"]
    launches[0]["modes"]["full"]["settled"] = False
    text = plain_text(make(tmp_path, capsys, launches=launches))
    assert "In 1 of these launches steps still got shorter or longer" in text


def test_results_of_before_have_no_evenness(tmp_path, capsys):
    """And are shown without."""
    launches = result_of(Recipe(pairs=3))["launches"]
    for launch in launches:
        for mode in launch["modes"].values():
            for name in ("spikes", "neighbour_correlation", "settled"):
                del mode[name]
    text = plain_text(make(tmp_path, capsys, launches=launches))
    assert "stood out" not in text
    assert "Step times" in text


def test_each_doubling_has_its_own_efficiency(tmp_path, capsys):
    """Rates of 2, 4 and 8 nodes, each against twice that of half as many."""
    recipe = Recipe(steps=0, pairs=3, noise=0.0, compute=0.9, serialisation=1.0, transfer=1.0)
    page = make(tmp_path, capsys, recipe)
    for nodes, doubling in ((2, 0.9 ** (1 / 7)), (4, 0.9 ** (2 / 7)), (8, 0.9 ** (4 / 7))):
        row = re.search(f'<th scope="row">{nodes}</th>(.*?)</tr>', page)[1]
        cells = re.findall('<td class="n">(.*?)</td>', row)
        assert cells[3] == f"{100 * doubling:.1f}\u00a0%"


def test_an_extension_is_shown_beside_the_pairs(tmp_path, capsys):
    """As it was declared."""
    plan = {**result_of(Recipe(pairs=3))["plan"], "extension": 3}
    assert "3 of 3 + 3 planned" in plain_text(make(tmp_path, capsys, plan=plan))


def test_summary_is_short_and_has_the_numbers(usual):
    """At most 30 lines, the verdict in the first."""
    text = (usual / "summary.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= MOST_LINES
    assert lines[0].startswith("## PASS: resnet50")
    assert "| transfer |" in text
    assert "bounds" in text


def test_tables_have_a_row_for_each_launch_and_mode(usual):
    """Alone one, together three; of the sweep one for each size."""
    launches = (usual / "launches.csv").read_text(encoding="utf-8").splitlines()
    assert len(launches) == 1 + 3 * (1 + 3) + 2 * 3
    comm = (usual / "comm.csv").read_text(encoding="utf-8").splitlines()
    assert len(comm) == 1 + 19


def test_a_cell_is_no_formula(tmp_path, capsys):
    """A reason that begins like one is quoted."""
    result = result_of(Recipe(pairs=3))
    result["launches"][0] |= {"status": "failed", "reason": "=1+1"}
    make(tmp_path, capsys, launches=result["launches"])
    assert ",'=1+1," in (tmp_path / "launches.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"launches": [{"kind": "alone"}]}, "launches[0]"),
        ({"launches": 3}, "launches"),
        ({"comm": {"ranks": 0, "results": []}}, "comm.ranks"),
        ({"workload": {"options": {"bucket_mb": -1}}}, "workload.options.bucket_mb"),
        (
            {"fidelity": "emulated", "comm": None, "emulation": {"byte_scale": 0}},
            "emulation.byte_scale",
        ),
        ({"environment": {"A": 1}}, "environment.A"),
    ],
)
@pytest.mark.parametrize("command", ["report", "explain"])
def test_a_section_that_is_wrong_is_refused(tmp_path, capsys, command, changes, where):
    """With its place, and 65."""
    write_results(tmp_path, Recipe(pairs=3, steps=0, changes=changes))
    assert main([command, str(tmp_path / "result.json")]) == 65
    assert where in capsys.readouterr().err


def test_a_directory_that_cannot_be_written_is_said(tmp_path, capsys):
    """78, with the next step."""
    write_results(tmp_path, Recipe(pairs=3, steps=0))
    (tmp_path / "file").write_text("")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "file" / "out")]) == 78
    assert "by --out" in capsys.readouterr().err


def luminance(colour):
    """Return the relative luminance of WCAG 2.2."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Return the contrast ratio of WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


TEXTS = ("ink", "muted", "measured", "target", "pass", "fail", "open", "invalid")
MARKS = ("model", "ideal", "loss", "gain", "heat4", "heat5", "heat6")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("names", "least"), [(TEXTS, 4.5), (MARKS, 3.0)])
def test_colours_have_contrast(scheme, names, least):
    """Text 4.5 and marks 3, on the surface and on the page."""
    for name in names:
        for ground in ("surface", "page"):
            colours = (getattr(COLOURS[one], scheme) for one in (name, ground))
            assert contrast(*colours) >= least, (name, ground)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_slower_is_further_from_the_ground(scheme):
    """The levels of a map go one way, so that they are told apart without hues."""
    levels = [getattr(COLOURS[f"heat{level}"], scheme) for level in range(HEAT_LEVELS)]
    contrasts = [contrast(one, getattr(COLOURS["surface"], scheme)) for one in levels]
    assert contrasts == sorted(contrasts)
