"""Draw what learning_rate.py has measured, and print its table.

pip install matplotlib
python plot_learning_rate.py results.json ../../docs/images/learning-rate.svg
"""

import io
import json
import re
import statistics
import sys

import matplotlib as mpl
from matplotlib import pyplot as plt

COLOURS = ("#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
"""Told apart by most who see colours otherwise (Okabe and Ito)."""

MARKERS = ("", "s", "v", "o", "D")


def quartiles(numbers: list[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return low, middle, high


def table(result: dict) -> str:
    """Return the final accuracies as a Markdown table, and how often a rule did better."""
    lines = ["| base rate | rule | median | quartiles | range | better than one process |"]
    lines.append("|---|---|---|---|---|---|")
    for share, rules in result["accuracy"].items():
        reference = [curve[-1] for curve in rules["one process"]]
        for name, curves in rules.items():
            final = [curve[-1] for curve in curves]
            low, middle, high = quartiles(final)
            pairs = zip(final, reference, strict=True)
            better = f"{sum(mine > other for mine, other in pairs)} of {len(final)}"
            lines.append(
                f"| {result['base_lr'][share]:g} ({share}) | {name} | {middle:.1%} |"
                f" {low:.1%} to {high:.1%} | {min(final):.1%} to {max(final):.1%} |"
                f" {'' if name == 'one process' else better} |"
            )
    return "\n".join(lines)


def draw(result: dict, path: str) -> None:
    """Write medians and quartiles over the epochs as SVG, a panel for each base rate."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "mpijob", "font.size": 10})
    shares = result["accuracy"]
    figure, panels = plt.subplots(
        1, len(shares), figsize=(9, 4.2), sharey=True, layout="constrained"
    )
    for axes, (share, rules) in zip(panels, shares.items(), strict=True):
        draw_panel(axes, rules)
        axes.set_title(f"base rate {result['base_lr'][share]:g} ({share})")
    panels[0].set_ylabel("test accuracy")
    panels[0].yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1.0, decimals=0))
    panels[-1].legend(frameon=False, loc="lower right")
    batch = result["ranks"] * result["batch_per_rank"]
    figure.suptitle(
        f"digits, {result['ranks']} ranks, batch {batch}; one process: {result['batch_per_rank']}"
    )
    panels[0].set_ylim(0.4, 1.0)  # what lies below is the first epoch's
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{shorten(line.rstrip())}\n" for line in buffer.getvalue().splitlines())


def shorten(line: str) -> str:
    """Round the coordinates of a line of SVG: a tenth of a point is enough."""
    coordinates = re.match(r"[MLCQ] |\s*<(use|path)", line)
    return re.sub(r"(\.\d)\d+", r"\1", line) if coordinates else line


def draw_panel(axes: plt.Axes, rules: dict) -> None:
    """Draw each rule's median, with a band between the quartiles."""
    for index, (name, curves) in enumerate(rules.items()):
        bands = [quartiles(list(scores)) for scores in zip(*curves, strict=True)]
        low, middle, high = zip(*bands, strict=True)
        epochs = range(1, len(middle) + 1)
        style = {"color": COLOURS[index], "marker": MARKERS[index], "markersize": 4}
        axes.plot(epochs, middle, label=name, linestyle="-" if index else "--", **style)
        axes.fill_between(epochs, low, high, color=COLOURS[index], alpha=0.2, linewidth=0)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def main() -> None:
    """Print the table and write the plot."""
    source, target = sys.argv[1:]
    with open(source, encoding="utf-8") as file:
        result = json.load(file)
    print(table(result))
    draw(result, target)


if __name__ == "__main__":
    main()
