"""Finds the recordings that a command was given: files, and all recordings in folders."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from service.cli.console import report_error

# The kinds that libsndfile reads and telephone systems write.
SUFFIXES = frozenset(
    ".aif .aifc .aiff .au .caf .flac .mp3 .oga .ogg .opus .rf64 .snd .w64 .wav .wave".split()
)


@dataclass(slots=True)
class FoundRecordings:
    """What stands for the arguments of a command."""

    files: list[Path] = field(default_factory=list)  # each once, in the order of the arguments
    left_out: list[Path] = field(default_factory=list)  # files in folders, of another kind
    problems: list[str] = field(default_factory=list)  # folders that can't be read or hold nothing

    def report(self) -> None:
        """Prints the problems, and how many files were left out by their names."""
        for problem in self.problems:
            report_error(problem)
        if self.left_out:
            count = len(self.left_out)
            report_error(f"{count} files are no recordings by name, the first {self.left_out[0]}")


def find_recordings(given: Iterable[Path]) -> FoundRecordings:
    """Returns the files given, and of each folder the files with the suffix of a recording.

    Folders are searched to any depth, in the order of names. A file that was given by its name is
    taken whatever it is called, also if it does not exist: whoever reads it reports why it can't.
    """
    found = FoundRecordings()
    for path in given:
        if not path.is_dir():
            found.files.append(path)
            continue
        unreadable: list[OSError] = []
        inside: list[Path] = []
        for folder, folders, names in os.walk(path, onerror=unreadable.append):
            folders.sort()
            inside += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        recordings = [file for file in inside if file.suffix.lower() in SUFFIXES]
        found.files += recordings
        found.left_out += [file for file in inside if file.suffix.lower() not in SUFFIXES]
        found.problems += [f"{error.filename}: {error.strerror}" for error in unreadable]
        if not recordings and not unreadable:
            found.problems.append(f"{path}: got a folder of no recordings, expected {_kinds()}")
    found.files = list(dict.fromkeys(found.files))
    return found


def _kinds() -> str:
    return ", ".join(sorted(SUFFIXES))
