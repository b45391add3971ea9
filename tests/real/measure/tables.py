"""Tables for people."""

import math


def table(title: str, head: list[str], rows: list[list]) -> None:
    """The first column is text, the others are figures."""
    cells = [head] + [[cell if isinstance(cell, str) else figure(cell) for cell in row] for row in rows]
    widths = [max(len(row[index]) for row in cells) for index in range(len(head))]
    print(f"\n{title}\n")
    for number, row in enumerate(cells):
        first, *rest = [cell.ljust(widths[0]) if not index else cell.rjust(widths[index]) for index, cell in enumerate(row)]
        print("  " + "  ".join([first, *rest]).rstrip())
        if not number:
            print("  " + "  ".join("-" * width for width in widths))
    print(flush=True)


def figure(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0.0
