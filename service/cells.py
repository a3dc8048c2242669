"""Cells of tables that people open in a spreadsheet, which must not take a text for a formula."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # with which a spreadsheet begins to compute


def is_formula(text: str) -> bool:
    """Returns whether a spreadsheet might take the text for a formula; spaces before it count."""
    return text.lstrip(" ").startswith(FORMULA)


def text_cell(text: str) -> str:
    """Returns the text as a cell that no spreadsheet takes for a formula: quoted if it would be."""
    return f"'{text}" if is_formula(text) else text
