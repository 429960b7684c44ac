"""What a person answers to a question that takes yes or no."""

from __future__ import annotations

AGAIN = "y or n?"
"""What is asked, once, if the answer was neither yes nor no."""


def yes_or_no(text: str, *, default: bool) -> bool | None:
    """Whether it is a yes; an empty answer is the default, and None is neither."""
    match text.strip().lower():
        case "y" | "yes":
            return True
        case "n" | "no":
            return False
        case "":
            return default
        case _:
            return None
