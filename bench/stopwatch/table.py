"""The table: medians, and ratios within the rounds."""

import statistics

from stopwatch.peers import PEERS, SUFFIXES, TITLES
from stopwatch.rows import Figure, Row
from stopwatch.work import Figures

# By row and peer: the figures of each round.
Results = dict[tuple[str, str], list[Figures]]


def table(results: Results, rows: list[Row], scale: float) -> str:
    """Markdown: medians, and the ratios within the rounds."""
    head = ["Work", *TITLES.values(), "budget, Python", "budget, Rust", "upstream ÷ ours", "ours ÷ bare"]
    lines = ["| " + " | ".join(head) + " |", "|" + "--|" * len(head)]
    for row in rows:
        count = row.objects * scale
        for figure in row.figures:
            cells = [figure.title.replace("{n}", f"{count:,.0f}")]
            if not any(figure.key in figures for peer in row.peers for figures in results.get((row.name, peer), [])):
                continue
            for peer in PEERS:
                texts = []
                for variant in (name for name in row.peers if name.partition("+")[0] == peer):
                    values = [
                        found[figure.key] for found in results.get((row.name, variant), []) if figure.key in found
                    ]
                    if values:
                        suffix = variant.partition("+")[2]
                        text = figure.form.format(statistics.median(values))
                        texts.append(f"{text} {SUFFIXES[suffix]}" if suffix else text)
                cells.append("; ".join(texts) or "-")
            cells += [figure.budget_python or "-", figure.budget_rust or "-"]
            cells.append(ratios(results, row, figure, "upstream", ("python", "rust")))
            cells.append(ratios(results, row, figure, "limit", ("python", "rust")))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratios(results: Results, row: Row, figure: Figure, base: str, peers: tuple[str, ...]) -> str:
    """The medians of the ratios to the base in the same round, for both of our doors."""
    texts = []
    for peer in peers:
        pairs = zip(results.get((row.name, peer), []), results.get((row.name, base), []), strict=False)
        values = [(mine[figure.key], theirs[figure.key]) for mine, theirs in pairs if figure.key in mine]
        over = [(a / b if base == "limit" else b / a) for a, b in values if a and b]
        if over:
            texts.append(f"{statistics.median(over):.3g}")
    return ", ".join(texts) or "-"
