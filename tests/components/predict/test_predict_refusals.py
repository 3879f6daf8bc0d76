"""What predict refuses, and what it passes over and tells."""

import concurrent.futures
import dataclasses
import gzip
import os
import pathlib
import re
import shutil
import threading

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.core.pictures.decode import Target
from components.core.storage import StorageError, open_store
from components.predict import answering, run
from components.predict.answering import Classifier
from components.predict.champion import fetched_model
from components.predict.run import predict
from tests.components.predict.conftest import in_a_bucket, refusal, rows, write_pictures


def test_drift_fails_the_run_in_a_line_and_its_report_lies_beside_the_answers(here, tmp_path, digits, capsys):
    pictures = digits.splits["validation"][0]
    write_pictures(tmp_path / "same", pictures)
    same = here(tmp_path / "same", max_drift=0.3, out=str(tmp_path / "same-answers"))
    done = predict(same, str(tmp_path / "page"))
    assert done.drift == 0 and done.said == f"answered {len(pictures):,} pictures; drift: none significant"
    assert "drift: none significant" in capsys.readouterr().out
    assert (tmp_path / "page").read_text() == pathlib.Path(done.report).read_text()

    write_pictures(tmp_path / "dark", (pictures * 0.7).astype(np.uint8))
    write_pictures(tmp_path / "dark", np.full((1, 8, 8, 1), 255, np.uint8), first=5000)
    (tmp_path / "dark" / "0.png").write_bytes(b"no picture")
    sure = {"drift_significance": 1e-290, "out": str(tmp_path / "sure-answers")}  # surer than so few can make anybody
    assert predict(here(tmp_path / "dark", max_drift=0.3, **sure)).drift == 0
    dark = here(tmp_path / "dark", max_drift=0.5)
    said = refusal(dark)
    assert said.startswith("expected a drift of at most 50 % (max_drift), received ")
    assert "brightness " in said and "size" not in said
    [page] = (tmp_path / "answers" / "digits-1" / "drift").glob("*.html")
    assert str(page) in said
    text = page.read_text()
    strangers = text.partition('<section id="strangers"')[2].partition("</section>")[0]
    assert "5000.png" in strangers.partition("</figure>")[0] and "certainty" not in strangers
    beyond = text.partition("above max_drift: ")[2].partition(". The run failed")[0]
    assert re.findall(r"[a-z]+", said.partition("received ")[2].partition(";")[0]) == re.findall(r"[a-z]+", beyond)
    assert "brightness below" in text
    assert "Training pictures of these" in text
    assert text.count("data:image/png") == 3 + text.count('alt="a training picture of ') > 6
    # They are answered, and the next run has nothing to say of them; but a pod that is tried again is the same run.
    write_pictures(tmp_path / "dark", np.zeros((30, 8, 8, 1), np.uint8), first=6000)
    for _ in range(2):
        with pytest.raises(PipelineError, match="max_drift"):
            predict(dark, str(tmp_path / "page"))
    assert predict(dark, str(tmp_path / "another")).pictures == 0


def test_an_answer_that_is_no_number_is_told_as_that(here, tmp_path, inbox):
    """NaN is no JSON, and the largest of them no class."""
    folder = inbox(5)
    settings = here(folder)
    with fetched_model(settings) as served:
        load = served.load

        def odd(pictures: np.ndarray) -> np.ndarray:
            answers = load().answer(pictures).copy()
            answers[[1, 3], 0] = np.nan, np.inf
            return answers

        overflows = dataclasses.replace(served, load=lambda: dataclasses.replace(load(), answer=odd))
        done = run.answer_all(overflows, settings)
    found = rows(str(tmp_path))
    assert done.unreadable == 2 and [("class" in row) for row in found] == [True, False, True, False, True]
    assert found[1]["error"] == "the model's answer to it is no number"


def test_names_that_are_no_utf_8_and_films_stop_nothing(here, tmp_path, inbox):
    folder = inbox(2)
    shutil.copy(folder / "0000.png", os.fsencode(folder) + b"/caf\xe9.png")
    with (folder / "film.png").open("wb") as film:
        film.truncate(3 << 30)  # a hole: it takes no room
    settings = here(folder)
    assert predict(settings).unreadable == 1
    found = {pathlib.Path(row["picture"]).name: row for row in rows(str(tmp_path))}
    assert "class" in found["caf\\udce9.png"] and "more than a picture has" in found["film.png"]["error"]
    assert predict(settings).pictures == 0


def test_links_to_folders_are_told_of(here, tmp_path, digits, inbox, capsys):
    folder = inbox(2)
    write_pictures(tmp_path / "elsewhere", digits.splits["validation"][0][2:4])
    (folder / "more").mkdir()
    (folder / "more" / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / ".hidden").symlink_to(tmp_path / "elsewhere")
    behind = "left out: the folders behind 1 link, for instance"
    assert f"received nothing; {behind} linked;" in refusal(here(folder / "more"))
    assert predict(here(folder)).pictures == 2
    assert f"{behind} more/linked; put a copy" in capsys.readouterr().out


def test_a_folder_that_cannot_be_read_is_no_empty_one(here, inbox):
    """Its pictures were missing from the answers, night after night. Here its path is too long, as root reads all."""
    folder = inbox(2)
    at = os.open(folder, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("n" * 250, dir_fd=at)  # noqa: PTH102
        above, at = at, os.open("n" * 250, os.O_RDONLY, dir_fd=at)
        os.close(above)
    os.close(at)
    assert "nnn: File name too long; check its owner" in refusal(here(folder))


def test_files_beside_the_answers_are_none(here, tmp_path, inbox):
    """What a file manager copied, and what somebody packed to save room: that counts as answered."""
    folder = inbox(2)
    settings = here(folder)
    assert predict(settings).pictures == 2
    [file] = (tmp_path / "answers" / "digits-1").glob("answers-*.jsonl")
    shutil.copy(file, file.with_name(f"{file.stem} (1).jsonl"))
    shutil.copy(file, file.with_name("answers-of-today.jsonl"))
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    (file.parent / "drift").mkdir()
    (file.parent / "drift" / "notes.json").write_text("[]")
    assert predict(settings).said == "nothing new"


@pytest.mark.parametrize("damage", [pathlib.Path.unlink, lambda path: path.write_text("{")])
def test_a_lost_record_ends_no_run(here, tmp_path, inbox, damage, capsys):
    """It ended all that came after."""
    settings = here(inbox(2))
    predict(settings)
    [record] = (tmp_path / "answers" / "digits-1" / "records").iterdir()
    damage(record)
    predict(settings)
    assert "is lost: pictures that only answers-" in capsys.readouterr().out
    assert predict(settings).pictures == 0 and len(rows(str(tmp_path))) == 2
    assert "is lost" not in capsys.readouterr().out


def test_a_record_that_the_store_does_not_hand_out_is_not_lost(here, tmp_path, inbox, capsys):
    """All pictures were answered once more if the store was away, or refused to be read."""
    settings = here(inbox(2))
    predict(settings)
    [record] = (tmp_path / "answers" / "digits-1" / "records").iterdir()
    record.unlink()
    record.symlink_to(record.name)  # a circle: there, and not to be read
    with pytest.raises(StorageError, match=record.name):
        predict(settings)
    assert "is lost" not in capsys.readouterr().out and len(rows(str(tmp_path))) == 2


def test_what_the_disk_would_not_read_is_asked_again(here, tmp_path, inbox, capsys):
    """It was answered with "Permission denied" or an I/O error, and never again, whatever was mended."""
    folder = inbox(2)
    (tmp_path / "bad").mkdir()
    for place in (folder, tmp_path / "bad"):
        (place / "lost.png").symlink_to("/proc/self/mem")  # a file that opens, and gives an I/O error
    bad = here(tmp_path / "bad")
    assert "would not read 1 picture, for instance lost.png: Input/output error; nothing was" in refusal(bad)
    settings = here(folder)
    for new in (2, 0):
        done = predict(settings)
        assert (done.pictures, done.unreadable) == (new, 0) and len(rows(str(tmp_path))) == 2
        assert "lost.png: Input/output error; the next run asks again" in capsys.readouterr().out
    (folder / "lost.png").unlink()
    shutil.copy(folder / "0000.png", folder / "lost.png")
    assert predict(settings).pictures == 1
    assert "asks again" not in capsys.readouterr().out


def test_many_damaged_pictures_after_readable_ones_end_no_run(here, inbox, monkeypatch):
    monkeypatch.setattr(run, "FILE_PICTURES", run.SUSPICIOUS)
    folder = inbox(run.SUSPICIOUS)
    for number in range(run.SUSPICIOUS):
        (folder / f"x{number}.png").write_bytes(b"no picture")
    assert predict(here(folder)).unreadable == run.SUSPICIOUS


@in_a_bucket
def test_what_is_refused_is_told_in_a_line(place, settings, made):
    store = open_store(place.uri)
    assert "received nothing" in refusal(settings(source=f"{place.uri}/none/"))
    assert "registry: expected one" in refusal(settings(registry=""))
    assert "no-such" in refusal(settings(model="no-such@champion"))
    assert "expected version 7 of digits, received none; there: 1" in refusal(settings(model="digits@7"))
    assert "expected version 0 of digits, received none; there: 1" in refusal(settings(model="digits@0"))
    for number in range(3):
        store.write_bytes(f"rubbish/{number}.jpg", b"x")
    assert "received 3 files none of which can be read" in refusal(settings(source=f"{place.uri}/rubbish"))
    assert [stored.key for stored in store.files("answers/digits-1")] == ["answers/digits-1/model.json"]
    predict(settings())
    others = [f"no. {digit}" for digit in range(10)]
    made(class_names=others).publish(f"{place.uri}/registry")
    said = refusal(settings())
    assert "expected a model of the classes of the answers" in said and "received one of no. 0" in said
    assert len(rows(place.uri)) == 37 and not list(store.files("answers/digits-2"))


def test_local_places_that_can_not_be_are_refused(here, tmp_path, inbox):
    folder = inbox(2)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert "which does not exist" in refusal(here(tmp_path / "none"))
    assert "received nothing" in refusal(here(tmp_path / "empty"))
    assert "can't use" in refusal(here(folder, out=str(tmp_path / "file" / "below")))


def test_a_store_that_is_away_is_not_asked_for_what_is_left(monkeypatch):
    """Each read takes minutes then: a run ended hours after its first one failed."""
    asked, ending = [], threading.Event()

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def shutdown(self, wait=True, **given):
            super().shutdown(wait=False, **given)
            ending.set()
            super().shutdown(wait)

    def read(number):
        asked.append(number)
        if number:
            ending.wait()
        raise StorageError("the store is away")

    monkeypatch.setattr(answering, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(answering, "READERS", 1)
    with pytest.raises(StorageError, match="away"):
        list(answering.answered([range(9)], read, Classifier(["a"], Target(8, 8, 1), len), lambda number: 1))
    assert len(asked) <= 2
