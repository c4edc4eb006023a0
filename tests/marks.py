"""Tables that programs write into the documentation, between two marks."""

from pathlib import Path


def write_between_marks(path: Path, text: str, marks: tuple[str, str]) -> None:
    """Replace what stands between the two marks in a file.

    Raises:
        ValueError: if the file does not have each mark once.
    """
    begin, end = marks
    old = path.read_text(encoding="utf-8")
    if old.count(begin) != 1 or old.count(end) != 1:
        message = f"{path}: found no place for the table, wanted the lines {begin} and {end}"
        raise ValueError(message)
    before, rest = old.split(begin)
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8")
