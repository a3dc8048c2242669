"""`kanjo classify` with several recordings, folders, models and tables."""

import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from model import SHIPPED, artifact
from service.cells import text_cell
from tests.limits import ENOUGH_S
from tests.service.cli.command import ANGRY, KANJO, invoke

MANY = 400  # recordings that no machine classifies before it is interrupted


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings of 4 s, in a folder and one inside it, with a file that is none."""
    voice, rate = soundfile.read(ANGRY, frames=96_000, dtype="int16")
    folder = tmp_path / "recordings"
    (folder / "deep").mkdir(parents=True)
    for i, name in enumerate(("a.wav", "b.FLAC", "deep/c.ogg")):
        soundfile.write(folder / name, voice[32_000 * i : 32_000 * (i + 1)], rate)
    (folder / "notes.txt").write_text("no sound")
    return folder


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_is_classified_with_all_that_is_in_it(folder: Path) -> None:
    result = invoke("classify", folder)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [
        str(folder / name) for name in ("a.wav", "b.FLAC", "deep/c.ogg")
    ]
    assert all("s of speech in    4.0 s" in line for line in lines)
    assert "1 files are no recordings by name, the first" in result.stderr
    assert "notes.txt" in result.stderr


def test_answers_go_into_a_table(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    result = invoke("classify", folder, ANGRY, "--csv", table)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{table}: 4 more answers\n"
    found = rows(table)
    assert [row["file"] for row in found] == [
        *(str(folder / name) for name in ("a.wav", "b.FLAC", "deep/c.ogg")),
        ANGRY,
    ]
    [alone] = [row for row in found if row["file"] == ANGRY]
    answer = json.loads(invoke("classify", ANGRY, "--json").stdout)
    assert alone["emotion"] == answer["emotion"]
    assert float(alone["anger"]) == pytest.approx(answer["probabilities"]["anger"], abs=1e-4)
    assert float(alone["acted"]) == pytest.approx(answer["style"]["acted"], abs=1e-4)
    assert float(alone["speech_s"]) == pytest.approx(answer["speech_s"], abs=0.01)
    assert (alone["channel"], alone["model"]) == ("caller", answer["model"]["name"])


def test_what_can_not_be_read_is_named_and_the_others_go_on(folder: Path, tmp_path: Path) -> None:
    (folder / "a.wav").write_bytes(b"RIFF")
    table = tmp_path / "answers.csv"
    result = invoke("classify", folder, tmp_path / "absent.wav", "--csv", table)
    assert result.exit_code == 1
    assert f"kanjo: {folder}/a.wav: got unreadable audio" in result.stderr
    assert f"kanjo: {tmp_path}/absent.wav: No such file or directory" in result.stderr
    assert [Path(row["file"]).name for row in rows(table)] == ["b.FLAC", "c.ogg"]


def test_a_folder_of_no_recordings_is_a_sentence(tmp_path: Path) -> None:
    result = invoke("classify", tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path}: got a folder of no recordings, expected .aif" in result.stderr


def test_json_of_several_recordings_names_each(folder: Path) -> None:
    result = invoke("classify", folder, "--json")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(answer["file"]).name for answer in answers] == ["a.wav", "b.FLAC", "c.ogg"]


def test_the_model_is_that_of_the_option_or_of_the_environment(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine.pt", tmp_path / "other.pt"
    for path in (mine, other):
        shutil.copy(SHIPPED, path)
        artifact.rewrite(path, replace(artifact.load(path).meta, name=path.stem))

    def answered_by(*options: object, **environ: object) -> str:
        result = invoke("classify", ANGRY, "--json", *options, **environ)
        assert result.exit_code == 0, result.output
        return str(json.loads(result.stdout)["model"]["name"])

    assert answered_by("--model", "compact") == "kanjo-compact"
    assert answered_by(KANJO_MODEL="compact") == "kanjo-compact"
    assert answered_by("--model", mine) == "mine"
    assert answered_by(KANJO_MODEL=other) == "other"
    assert answered_by("--model", mine, KANJO_MODEL=other) == "mine"


def test_a_model_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"none")
    for given in ({"KANJO_MODEL": tmp_path / "model.pt"}, {"KANJO_MODEL": tmp_path / "absent.pt"}):
        result = invoke("classify", ANGRY, **given)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"kanjo: model {given['KANJO_MODEL']}: found ")
    result = invoke("classify", ANGRY, "--model", SHIPPED, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2


def test_several_recordings_are_classified_by_a_service(
    folder: Path, tmp_path: Path, service: str
) -> None:
    (folder / "a.wav").write_bytes(b"RIFF")
    table = tmp_path / "answers.csv"
    result = invoke("classify", folder, "--csv", table, "--url", service)
    assert result.exit_code == 1
    assert f"kanjo: {folder}/a.wav: {service}/classify answered HTTP 400" in result.stderr
    assert [Path(row["file"]).name for row in rows(table)] == ["b.FLAC", "c.ogg"]
    again = invoke("classify", folder, "--csv", table, "--url", service)
    assert "2 of 3 are answered already" in again.stderr
    assert len(rows(table)) == 2


def test_an_interrupted_command_has_kept_its_answers_and_goes_on(tmp_path: Path) -> None:
    folder, table = tmp_path / "recordings", tmp_path / "answers.csv"
    folder.mkdir()
    shutil.copy(ANGRY, folder / "000.flac")
    for number in range(1, MANY):
        os.link(folder / "000.flac", folder / f"{number:03}.flac")
    classifying = subprocess.Popen(
        [*KANJO, "classify", str(folder), "--csv", str(table)],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + ENOUGH_S
    while not table.exists() or len(table.read_text().splitlines()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    classifying.send_signal(signal.SIGINT)
    _, stderr = classifying.communicate(timeout=ENOUGH_S)
    assert classifying.returncode == 130
    assert "Traceback" not in stderr
    kept = rows(table)
    assert f"kanjo: interrupted after {len(kept)} recordings; {table} has them" in stderr
    assert 2 <= len(kept) < MANY

    for file in sorted(folder.iterdir())[len(kept) + 5 :]:
        file.unlink()
    result = invoke("classify", folder, "--csv", table)
    assert result.exit_code == 0, result.output
    assert f"{len(kept)} of {len(kept) + 5} are answered already" in result.stderr
    assert sorted(row["file"] for row in rows(table)) == sorted(map(str, folder.iterdir()))


def test_a_row_that_was_not_written_whole_is_written_anew(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "answers.csv"
    invoke("classify", folder, "--csv", table)
    whole = table.read_text()
    table.write_text(whole[:-20])
    result = invoke("classify", folder, "--csv", table)
    assert result.exit_code == 0, result.output
    assert table.read_text() == whole


@pytest.mark.parametrize("content", ["file,emotion\na.wav,anger\n", "no newline", "\0\0\n"])
def test_another_table_is_not_written_to(content: str, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "other.csv"
    table.write_text(content)
    result = invoke("classify", folder, "--csv", table)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"kanjo: {table}: got a file with something")
    assert table.read_text() == content


def test_a_device_is_no_table(folder: Path) -> None:
    result = invoke("classify", folder, "--csv", "/dev/zero")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("kanjo: /dev/zero: got something that is no")


def test_an_answer_that_can_not_be_kept_ends_the_command(folder: Path, tmp_path: Path) -> None:
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)); "
    command = f"from service.cli.main import app; app(['classify', '{folder}', '--csv', 't.csv'])"
    result = subprocess.run(
        [sys.executable, "-c", limit + command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
    )
    assert result.returncode == 1, result.stderr
    assert "kanjo: t.csv: File too large" in result.stderr
    assert "Traceback" not in result.stderr


def test_answers_reach_a_pipe_while_a_bar_is_on_the_terminal(folder: Path) -> None:
    screen, terminal = pty.openpty()
    try:
        classified = subprocess.run(
            [*KANJO, "classify", str(folder), "--json"],
            stdout=subprocess.PIPE,
            stderr=terminal,
            env={**os.environ, "TERM": "xterm"},
            timeout=ENOUGH_S,
        )
        assert len(classified.stdout.splitlines()) == 3
        assert b"recordings" in os.read(screen, 100_000)
    finally:
        os.close(screen)
        os.close(terminal)


def test_no_cell_of_a_table_is_a_formula(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names = ["./=1+1.wav", "./@x.wav", "./-2.wav", "a.wav"]
    for name in names[:3]:
        shutil.copy("a.wav", name)
    assert invoke("classify", *names, "--csv", "t.csv").exit_code == 0
    assert [row["file"] for row in rows(Path("t.csv"))] == names
    assert "4 of 4 are answered already" in invoke("classify", *names, "--csv", "t.csv").stderr
    assert text_cell("=HYPERLINK(1)") == "'=HYPERLINK(1)"
