from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.cli.main import app
from tests.training.corpora.shapes import iemocap_folder
from training.corpora import READERS
from training.data.manifest import read_corpora


def kanjo(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_corpus_lists_what_it_can_read() -> None:
    told = kanjo("corpus", "--list")
    assert told.exit_code == 0
    assert set(told.stdout.split()) == set(READERS)


def test_corpus_writes_what_train_reads_and_says_what_it_left_out(tmp_path: Path) -> None:
    iemocap_folder(tmp_path / "as-distributed")
    told = kanjo("corpus", "iemocap", tmp_path / "as-distributed", "--out", tmp_path / "corpora")
    assert told.exit_code == 0, told.output
    assert "5,531" in told.stdout or "5531" in told.stdout
    utterances = read_corpora(tmp_path / "corpora")
    assert {u.corpus for u in utterances} == {"iemocap"}
    assert (tmp_path / "corpora" / "iemocap" / "report.txt").is_file()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("corpus", "imaginary", ".", "--out", "x"), "expected one of"),
        (("corpus", "emodb"), "expected both"),
        (("study", "nowhere.toml", "--corpora", "."), "does not exist"),
        (("report", "nowhere"), "does not exist"),
    ],
)
def test_what_is_missing_is_a_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    told = kanjo(*arguments)
    assert told.exit_code == 2
    assert sentence in " ".join(told.stderr.replace("│", " ").split())


def test_a_study_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('name = "mine"\nspeed = 3\n')
    told = kanjo("study", file, "--corpora", tmp_path)
    assert told.exit_code == 1
    assert "speed" in told.stderr


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    told = kanjo("report", tmp_path)
    assert told.exit_code == 1
    assert str(tmp_path) in told.stderr
