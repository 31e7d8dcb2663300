"""Where tables are printed."""

from rich.console import Console


def wide(least: int = 160) -> Console:
    """Return a console as wide as the terminal or, where there is none, as in a file, so many letters at least."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, least)
    return console
