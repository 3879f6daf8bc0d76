"""Answers for many pictures: what is written, what is answered once, what a kill leaves, what is refused."""

import csv
import dataclasses
import gzip
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import types
import zipfile

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.core.storage import open_store
from components.predict import answers, run
from components.predict.champion import fetched_model
from components.predict.component import predict as component
from components.predict.run import predict
from components.predict.settings import PredictSettings
from pipeline import ROOT
from tests.components.core.page.page_checks import read_page
from tests.components.predict.conftest import write_pictures

# Elsewhere it is the same, which the first test shows.
in_a_bucket = pytest.mark.parametrize("place", ["gs"], indirect=True)


@pytest.fixture
def settings(place, made, tmp_path, digits):  # noqa: F811
    """Makes settings for 36 pictures in the place, and a champion in a registry beside them."""
    made().publish(f"{place.uri}/registry")
    folder = write_pictures(tmp_path / "sent", digits.splits["validation"][0][:36])
    (folder / "damaged.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture")
    open_store(place.uri).upload_directory(folder, "new/today")

    def make(**changes) -> PredictSettings:
        given = {
            "model": "digits@champion",
            "registry": f"{place.uri}/registry",
            "source": f"{place.uri}/new",
            "out": f"{place.uri}/answers",
        }
        return PredictSettings.checked(**{**given, **changes})

    return make


def rows(uri: str, folder: str = "digits-1") -> list[dict]:
    store = open_store(f"{uri}/answers")
    found = [stored.key for stored in store.files(folder) if "answers-" in stored.key]
    return [json.loads(line) for key in found for line in store.read_bytes(key).decode().splitlines()]


def test_every_picture_is_answered_once_wherever_it_lies(place, settings, digits, capsys):  # noqa: F811
    done = predict(settings())
    found = rows(place.uri)
    assert [row["picture"] for row in found][:2] == [
        f"{place.uri}/new/today/0000.png",
        f"{place.uri}/new/today/0001.png",
    ]
    right = [row.get("class") == str(label) for row, label in zip(found, digits.splits["validation"][1], strict=False)]
    assert sum(right) > 30
    assert all(len(row["probabilities"]) == 3 for row in found[:36])
    assert {(row["model"], row["version"]) for row in found} == {("digits", "1")}
    assert found[36]["picture"].endswith("damaged.png") and "not a picture of a known format" in found[36]["error"]
    said = capsys.readouterr().out
    assert "model: digits version 1, the champion" in said and "answered 37 pictures in" in said
    assert "1 left out: no picture by its ending" in said and "1 could not be read" in said
    assert (done.pictures, done.unreadable) == (37, 1) and done.report.startswith(
        f"{place.uri}/answers/digits-1/drift/"
    )

    again = predict(settings())
    assert (again.pictures, again.report) == (0, "") and rows(place.uri) == found
    assert "nothing new: 37 pictures answered before" in capsys.readouterr().out


def test_a_run_with_nothing_new_loads_no_tensorflow(made, tmp_path, digits):
    """As a schedule's mostly are: it takes 4 s of a core to load."""
    made().publish(str(tmp_path / "registry"))
    write_pictures(tmp_path / "new", digits.splits["validation"][0][:2])
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(tmp_path / "new")}
    settings = PredictSettings(**given, out=str(tmp_path / "answers"))
    predict(settings)
    code = (
        "import sys; from components.predict import run, settings\n"
        "run.predict(settings.PredictSettings.model_validate_json(sys.argv[1])); print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, settings.model_dump_json()]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "nothing new: 2 pictures answered before" in said and said.endswith("False\n")


@in_a_bucket
def test_only_what_is_new_or_another_by_now_is_answered_the_next_time(place, settings, digits):  # noqa: F811
    predict(settings())
    before = rows(place.uri)
    store = open_store(place.uri)
    store.write_bytes("new/today/0000.png", store.read_bytes("new/today/0001.png"))
    store.write_bytes("new/tomorrow.png", store.read_bytes("new/today/0002.png"))
    assert predict(settings()).pictures == 2
    after = [row for row in rows(place.uri) if row not in before]
    assert sorted(row["picture"] for row in after) == [
        f"{place.uri}/new/{name}" for name in ("today/0000.png", "tomorrow.png")
    ]


@in_a_bucket
def test_a_new_champion_answers_all_anew_in_a_folder_of_its_own(place, settings, made):  # noqa: F811
    predict(settings())
    made().publish(f"{place.uri}/registry")
    assert predict(settings()).pictures == 37
    assert len(rows(place.uri)) == len(rows(place.uri, "digits-2")) == 37
    assert predict(settings(model="digits@1")).pictures == 0


@in_a_bucket
def test_an_emptied_inbox_is_no_failure_and_one_that_never_had_any_is(place, settings, made, capsys):  # noqa: F811
    predict(settings())
    before = rows(place.uri)
    store = open_store(place.uri)
    for stored in list(store.list("new")):
        if not stored.key.endswith(".txt"):
            store.delete(stored.key)
    capsys.readouterr()
    done = predict(settings())
    assert (done.pictures, done.report, done.said) == (0, "", "no new pictures")
    emptied = f"nothing new: no pictures at '{place.uri}/new'; earlier answers are in {place.uri}/answers"
    said = capsys.readouterr().out
    assert emptied in said and "1 left out: no picture by its ending" in said
    made().publish(f"{place.uri}/registry")  # of another champion's answers there are none yet
    assert predict(settings()).said == "no new pictures"
    assert rows(place.uri) == before
    assert "received 1 .txt" in refusal(settings(out=f"{place.uri}/elsewhere"))


@in_a_bucket
def test_a_damaged_picture_that_alone_is_new_fails_no_run(place, settings):  # noqa: F811
    predict(settings())
    store = open_store(place.uri)
    store.write_bytes("new/cut-off.jpg", b"no picture")
    assert (done := predict(settings())).unreadable == 1 and done.said == "answered 1 picture, 1 of them unreadable"
    assert "not a picture" in next(row for row in rows(place.uri) if row["picture"].endswith("cut-off.jpg"))["error"]
    assert predict(settings()).pictures == 0
    for number in range(run.SUSPICIOUS):
        store.write_bytes(f"new/{number}.jpg", b"no picture")
    assert "received 30 files none of which can be read" in refusal(settings())


@in_a_bucket
def test_csv_has_a_column_for_each_rank_and_the_reasons(place, settings):  # noqa: F811
    predict(settings(answers_as="csv", top=0))
    store = open_store(f"{place.uri}/answers/digits-1")
    [key] = [stored.key for stored in store.files() if stored.key.startswith("answers-")]
    found = list(csv.DictReader(io.StringIO(store.read_bytes(key).decode())))
    assert list(found[0])[:5] == ["picture", "class", "probability", "class_2", "probability_2"]
    assert list(found[0])[-5:] == ["probability_10", "error", "model", "version", "generation"]
    assert sum(
        float(found[0][f"probability{rank}"]) for rank in ("", *(f"_{n}" for n in range(2, 11)))
    ) == pytest.approx(1)
    assert found[36]["class"] == "" and found[36]["error"]
    before = "expected answers_as=csv top=10, as the answers in .*/answers are, received answers_as="
    for other in ({"top": 0}, {"answers_as": "csv", "top": 2}):  # "nothing new" hid that there are none of this form
        assert re.match(before, refusal(settings(**other)))
    assert predict(settings(answers_as="csv", top=12)).pictures == 0


class Killed(BaseException):
    """What no handler catches: the process is gone."""


@in_a_bucket
def test_a_killed_run_goes_on_with_the_file_that_it_was_at(place, settings, monkeypatch):  # noqa: F811
    monkeypatch.setattr(run, "FILE_PICTURES", 12)
    write, written = answers.Answers.commit, []

    def commit(self, *given):
        if len(written) == 2:
            # The record is there, the answers are not.
            self.store.write_bytes(f"{self.folder}/records/{'0' * 16}.json", b"torn")
            raise Killed
        written.append(given)
        return write(self, *given)

    monkeypatch.setattr(answers.Answers, "commit", commit)
    with pytest.raises(Killed):
        predict(settings())
    assert len(rows(place.uri)) == 24
    monkeypatch.setattr(answers.Answers, "commit", write)
    done = predict(settings())
    found = rows(place.uri)
    assert done.pictures == 13 and len(found) == len({row["picture"] for row in found}) == 37
    # The report covers what the killed run answered too.
    facts = json.loads(open_store(place.uri).read_bytes(done.report.removeprefix(f"{place.uri}/")[:-4] + "json"))
    assert facts["pictures"] == 37 and len(facts["files"]) == 4


def test_of_runs_at_once_no_picture_has_two_answers(made, tmp_path, digits, monkeypatch):
    made().publish(str(tmp_path / "registry"))
    write_pictures(tmp_path / "new", digits.splits["validation"][0][:60])
    monkeypatch.setattr(run, "FILE_PICTURES", 10)
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(tmp_path / "new")}
    done: list[int] = []
    runs = [
        threading.Thread(
            target=lambda: done.append(predict(PredictSettings(**given, out=str(tmp_path / "answers"))).pictures)
        )
        for _ in range(3)
    ]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert sum(done) == 60 and len(rows(str(tmp_path))) == 60
    assert list((tmp_path / "answers").rglob("*.partial")) == []


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_answered_member_by_member_and_once(kind, made, tmp_path, digits):
    made().publish(str(tmp_path / "registry"))
    pictures = digits.splits["validation"][0][:300]
    folder = write_pictures(tmp_path / "sent", pictures)
    archive = pathlib.Path(shutil.make_archive(str(tmp_path / "sent"), kind, folder))
    if kind == "tar":  # a name twice: the last one counts
        with tarfile.open(archive, "a") as tar:
            tar.add(folder / "0001.png", "0000.png")
    else:
        with zipfile.ZipFile(archive, "a") as zipped:
            zipped.writestr("__MACOSX/._0000.png", b"x")
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(archive)}
    wanted = PredictSettings(**given, out=str(tmp_path / "answers"))
    assert predict(wanted).pictures == 300
    found = {row["picture"]: row for row in rows(str(tmp_path))}
    assert set(found) == {f"{archive}/{number:04d}.png" for number in range(300)}
    if kind == "tar":
        same = [found[f"{archive}/{name}.png"]["probabilities"] for name in ("0000", "0001")]
        assert same[0] == pytest.approx(same[1], abs=1e-5)
    assert predict(wanted).pictures == 0


def test_one_picture_alone(made, tmp_path, digits):
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:2])
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "out": str(tmp_path / "answers")}
    assert predict(PredictSettings(**given, source=str(folder / "0001.png"))).pictures == 1


def test_a_version_of_before_is_told_of_in_one_line_and_has_no_report(made, tmp_path, digits, capsys):
    made().publish(str(tmp_path / "registry"), reference=False)
    write_pictures(tmp_path / "new", digits.splits["validation"][0][:60])
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(tmp_path / "new")}
    done = predict(PredictSettings(**given, out=str(tmp_path / "answers")))
    assert (done.pictures, done.report) == (60, "")
    assert "no drift report: digits version 1 has no reference.json" in capsys.readouterr().out
    assert not (tmp_path / "answers" / "digits-1" / "drift").exists()


def test_the_headline_of_a_drift_report_says_what_it_counts(made, tmp_path, digits):
    """Not 0 % where the table has measures that have moved, if only by chance."""
    made().publish(str(tmp_path / "registry"))
    write_pictures(tmp_path / "same", digits.splits["validation"][0])
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry")}
    predict(
        PredictSettings(**given, source=str(tmp_path / "same"), out=str(tmp_path / "out")), str(tmp_path / "page.html")
    )
    text = read_page(tmp_path / "page.html").text
    assert "Lies elsewhere, at most, in measures that differ none differs" in text
    assert "May lie elsewhere (max_drift) no limit was set" in text


def test_drift_fails_the_run_in_a_line_and_its_report_lies_beside_the_answers(made, tmp_path, digits, capsys):
    made().publish(str(tmp_path / "registry"))
    pictures = digits.splits["validation"][0]
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "max_drift": 0.3}
    write_pictures(tmp_path / "same", pictures)
    same = PredictSettings(**given, source=str(tmp_path / "same"), out=str(tmp_path / "same-answers"))
    done = predict(same, str(tmp_path / "page"))
    assert done.drift == 0 and done.said == f"answered {len(pictures):,} pictures; drift: none beyond chance"
    assert "drift: none beyond chance" in capsys.readouterr().out
    assert (tmp_path / "page").read_text() == pathlib.Path(done.report).read_text()

    write_pictures(tmp_path / "dark", (pictures * 0.7).astype(np.uint8))
    dark = PredictSettings(**given, source=str(tmp_path / "dark"), out=str(tmp_path / "answers"))
    said = refusal(dark)
    assert said.startswith(
        "expected at most 30 % of the pictures elsewhere than what the model knows (max_drift), received"
    )
    assert "brightness by" in said and "size" not in said
    [page] = (tmp_path / "answers" / "digits-1" / "drift").glob("*.html")
    assert str(page) in said
    text = page.read_text()
    assert "The run failed for that" in text and "brightness below" in text
    assert "Training pictures of what is gone" in text
    assert text.count("data:image/png") == 3 + text.count('alt="a training picture of ') > 6
    # They are answered, and the next run has nothing to say of them.
    assert predict(dark).pictures == 0


def test_an_answer_that_is_no_number_is_told_as_that(made, tmp_path, digits):
    """NaN is no JSON, and the largest of them no class."""
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:5])
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(folder)}
    settings = PredictSettings(**given, out=str(tmp_path / "answers"))
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


class Metrics(types.SimpleNamespace):
    """KFP's artifact of that name, as far as a component knows it."""

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


def test_the_component_leaves_what_was_done_for_the_page_and_the_notice(made, tmp_path, digits):
    made().publish(str(tmp_path / "registry"))
    write_pictures(tmp_path / "new", digits.splits["validation"][0][:40])
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(tmp_path / "new")}
    settings = PredictSettings(**given, out=str(tmp_path / "answers"))
    metrics = Metrics(path=str(tmp_path / "metrics"), logged={})
    outputs = [types.SimpleNamespace(path=str(tmp_path / name)) for name in ("answered", "report")]
    said = component.python_func(*outputs, metrics, **settings.model_dump())
    assert said.startswith("answered 40 pictures; drift: ")
    assert json.loads((tmp_path / "answered" / "answered.json").read_text())["said"] == said
    assert metrics.logged["pictures"] == 40 and (tmp_path / "report").read_text().startswith("<!DOCTYPE html>")


def test_names_that_are_no_utf_8_and_films_stop_nothing(made, tmp_path, digits):
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:2])
    shutil.copy(folder / "0000.png", os.fsencode(folder) + b"/caf\xe9.png")
    with (folder / "film.png").open("wb") as film:
        film.truncate(3 << 30)  # a hole: it takes no room
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(folder)}
    settings = PredictSettings(**given, out=str(tmp_path / "answers"))
    assert predict(settings).unreadable == 1
    found = {pathlib.Path(row["picture"]).name: row for row in rows(str(tmp_path))}
    assert "class" in found["caf\\udce9.png"] and "more than a picture has" in found["film.png"]["error"]
    assert predict(settings).pictures == 0


def test_links_to_folders_are_told_of(made, tmp_path, digits, capsys):
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:2])
    write_pictures(tmp_path / "elsewhere", digits.splits["validation"][0][2:4])
    (folder / "more").mkdir()
    (folder / "more" / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / ".hidden").symlink_to(tmp_path / "elsewhere")
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "out": str(tmp_path / "answers")}
    behind = "left out: the folders behind 1 link, for instance"
    assert f"received nothing; {behind} linked;" in refusal(PredictSettings(**given, source=str(folder / "more")))
    assert predict(PredictSettings(**given, source=str(folder))).pictures == 2
    assert f"{behind} more/linked; put a copy" in capsys.readouterr().out


def test_files_beside_the_answers_are_none(made, tmp_path, digits):
    """What a file manager copied, and what somebody packed to save room: that counts as answered."""
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:2])
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "out": str(tmp_path / "answers")}
    settings = PredictSettings(**given, source=str(folder))
    assert predict(settings).pictures == 2
    [file] = (tmp_path / "answers" / "digits-1").glob("answers-*.jsonl")
    shutil.copy(file, file.with_name(f"{file.stem} (1).jsonl"))
    shutil.copy(file, file.with_name("answers-of-today.jsonl"))
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    (file.parent / "drift").mkdir()
    (file.parent / "drift" / "notes.json").write_text("[]")
    assert predict(settings).said == "no new pictures"


def test_what_the_disk_would_not_read_is_asked_again(made, tmp_path, digits, capsys):
    """It was answered with "Permission denied" or an I/O error, and never again, whatever was mended."""
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:2])
    (tmp_path / "bad").mkdir()
    for place in (folder, tmp_path / "bad"):
        (place / "lost.png").symlink_to("/proc/self/mem")  # a file that opens, and gives an I/O error
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "out": str(tmp_path / "answers")}
    bad = PredictSettings(**given, source=str(tmp_path / "bad"))
    assert "would not read 1 picture, for instance lost.png: Input/output error; nothing was" in refusal(bad)
    settings = PredictSettings(**given, source=str(folder))
    for new in (2, 0):
        done = predict(settings)
        assert (done.pictures, done.unreadable) == (new, 0) and len(rows(str(tmp_path))) == 2
        assert "lost.png: Input/output error; the next run asks again" in capsys.readouterr().out
    (folder / "lost.png").unlink()
    shutil.copy(folder / "0000.png", folder / "lost.png")
    assert predict(settings).pictures == 1
    assert "asks again" not in capsys.readouterr().out


def refusal(settings: PredictSettings) -> str:
    with pytest.raises(PipelineError) as refused:
        predict(settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@in_a_bucket
def test_what_is_refused_is_told_in_a_line(place, settings, made, digits):  # noqa: F811
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


def test_local_places_that_can_not_be_are_refused(made, tmp_path, digits):
    made().publish(str(tmp_path / "registry"))
    folder = write_pictures(tmp_path / "new", digits.splits["validation"][0][:2])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(folder)}
    given["out"] = str(tmp_path / "answers")
    assert "which does not exist" in refusal(PredictSettings(**given | {"source": str(tmp_path / "none")}))
    assert "received nothing" in refusal(PredictSettings(**given | {"source": str(tmp_path / "empty")}))
    assert "can't use" in refusal(PredictSettings(**given | {"out": str(tmp_path / "file" / "below")}))


def test_marks_tell_pictures_and_their_states_apart():
    from components.predict.source import Picture

    made = {Picture(name, generation, 1, "k").mark for name in ("a", "b") for generation in ("1", "2")}
    assert len(made) == 4 and all(len(mark) == 8 for mark in made)
    assert np.frombuffer(b"".join(made), "<u8").shape == (4,)
