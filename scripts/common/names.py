"""Names of classes where there is little room."""

from scripts.common.formatting import printable


def class_name(name: str, width: int = 22) -> str:
    """The printable name, cut to the width; of a list of synonyms, the first."""
    name = printable(name)
    if len(name) > width:
        name = name.partition(',')[0]
    return name if len(name) <= width else f'{name[: width - 1]}…'
