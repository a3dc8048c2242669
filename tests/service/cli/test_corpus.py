from pathlib import Path

from tests.service.cli.command import invoke
from tests.training.corpora.shapes import iemocap_folder
from training.corpora import READERS
from training.data.manifest import read_corpora


def test_corpus_lists_what_it_can_read() -> None:
    result = invoke("corpus", "--list")
    assert result.exit_code == 0
    assert set(result.stdout.split()) == set(READERS)


def test_corpus_writes_what_train_reads_and_prints_what_it_left_out(tmp_path: Path) -> None:
    iemocap_folder(tmp_path / "as-distributed")
    result = invoke("corpus", "iemocap", tmp_path / "as-distributed", "--out", tmp_path / "corpora")
    assert result.exit_code == 0, result.output
    assert "5,531" in result.stdout or "5531" in result.stdout
    utterances = read_corpora(tmp_path / "corpora")
    assert {u.corpus for u in utterances} == {"iemocap"}
    assert (tmp_path / "corpora" / "iemocap" / "report.txt").is_file()
