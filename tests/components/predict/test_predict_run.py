"""Answers for many pictures: what is written, what is answered once, what a kill leaves."""

import csv
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import types
import zipfile

import numpy as np
import pytest

from components.core import machine
from components.core.page.numbers import page_percent, points
from components.core.pictures.decode import Target
from components.core.storage import Store, open_store
from components.core.storage.parallel import AHEAD_BYTES
from components.predict import answering, champion, run
from components.predict.answering import answered
from components.predict.component import predict as component
from components.predict.drift.compare import LEAST_PICTURES
from components.predict.run import predict
from components.predict.settings import PredictSettings
from pipeline import ROOT
from tests.components.core.page.page_checks import read_page
from tests.components.predict.conftest import in_a_bucket, refusal, rows, write_pictures


def test_every_picture_is_answered_once_wherever_it_lies(place, settings, digits, capsys):
    done = predict(settings())
    found = rows(place.uri)
    assert [row["picture"] for row in found][:2] == [
        f"{place.uri}/new/today/0000.png",
        f"{place.uri}/new/today/0001.png",
    ]
    right = [row.get("class") == str(label) for row, label in zip(found, digits.splits["validation"][1], strict=False)]
    assert sum(right) > 30
    assert all(len(row["probabilities"]) == 3 for row in found[:36])
    assert any(round(share, 4) != share for row in found[:36] for share in row["probabilities"].values())
    assert {(row["model"], row["version"]) for row in found} == {("digits", "1")}
    assert found[36]["picture"].endswith("damaged.png") and "not a picture of a known format" in found[36]["error"]
    said = capsys.readouterr().out
    assert "model: digits version 1, the champion" in said and "answered 37 pictures in" in said
    assert "1 left out: not a picture by its extension" in said and "1 could not be read" in said
    assert (done.pictures, done.unreadable) == (37, 1) and done.report.startswith(
        f"{place.uri}/answers/digits-1/drift/"
    )

    again = predict(settings())
    assert (again.pictures, again.report) == (0, "") and rows(place.uri) == found
    assert "nothing new: 37 pictures answered before" in capsys.readouterr().out


def test_a_run_with_nothing_new_loads_no_tensorflow(here, inbox):
    """As a schedule's mostly are: it takes 4 s of a core to load."""
    settings = here(inbox(2))
    predict(settings)
    code = (
        "import sys; from components.predict import run, settings\n"
        "run.predict(settings.PredictSettings.model_validate_json(sys.argv[1])); print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, settings.model_dump_json()]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "nothing new: 2 pictures answered before" in said and said.endswith("False\n")


@in_a_bucket
def test_only_what_is_new_or_another_by_now_is_answered_the_next_time(place, settings):
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
def test_a_new_champion_answers_all_anew_in_a_folder_of_its_own(place, settings, made):
    predict(settings())
    made().publish(f"{place.uri}/registry")
    assert predict(settings()).pictures == 37
    assert len(rows(place.uri)) == len(rows(place.uri, "digits-2")) == 37
    assert predict(settings(model="digits@1")).pictures == 0


@in_a_bucket
def test_an_emptied_inbox_is_no_failure_and_one_that_never_had_any_is(place, settings, made, capsys):
    predict(settings())
    before = rows(place.uri)
    store = open_store(place.uri)
    for stored in list(store.list("new")):
        if not stored.key.endswith(".txt"):
            store.delete(stored.key)
    capsys.readouterr()
    done = predict(settings())
    # The notice has it too: of a schedule whose source has a mistake in its name it told nothing else for ever.
    assert (done.pictures, done.report, done.said) == (0, "", f"no pictures at '{place.uri}/new'")
    emptied = f"no pictures at '{place.uri}/new': 37 pictures answered before, in {place.uri}/answers"
    said = capsys.readouterr().out
    assert emptied in said and "1 left out: not a picture by its extension" in said
    made().publish(f"{place.uri}/registry")  # of another champion's answers there are none yet
    assert predict(settings()).said == done.said
    assert rows(place.uri) == before
    assert "received 1 .txt" in refusal(settings(out=f"{place.uri}/elsewhere"))


@in_a_bucket
def test_a_damaged_picture_that_alone_is_new_fails_no_run(place, settings):
    predict(settings())
    store = open_store(place.uri)
    store.write_bytes("new/cut-off.jpg", b"no picture")
    assert (done := predict(settings())).unreadable == 1 and done.said == "answered 1 picture, 1 of them unreadable"
    assert "not a picture" in next(row for row in rows(place.uri) if row["picture"].endswith("cut-off.jpg"))["error"]
    bucket, _, prefix = place.uri.removeprefix("gs://").partition("/")
    live = place.server.state.buckets[bucket]
    live[f"{prefix}/new/a\tb.png".lstrip("/")] = live[f"{prefix}/new/cut-off.jpg".lstrip("/")]
    assert predict(settings()).unreadable == 1
    assert "without control characters" in next(row for row in rows(place.uri) if "b.png" in row["picture"])["error"]
    assert predict(settings()).pictures == 0
    for number in range(run.SUSPICIOUS):
        store.write_bytes(f"new/{number}.jpg", b"no picture")
    assert "received 30 files none of which can be read" in refusal(settings())


@in_a_bucket
def test_csv_has_a_column_for_each_rank_and_the_reasons(place, settings):
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
def test_a_killed_run_goes_on_with_the_file_that_it_was_at(place, settings, monkeypatch):
    monkeypatch.setattr(run, "FILE_PROBABILITIES", 36)  # of three classes each
    write, written = Store.write_bytes, []

    def killed(self, key, *given, **conditions):
        done = write(self, key, *given, **conditions)
        if "/answers-" in key and (written.append(key) or len(written) == 2):
            # Of the next file the record is there, the answers are not.
            write(self, f"digits-1/records/{'0' * 16}.json", b"torn")
            raise Killed
        return done

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Store, "write_bytes", killed)
        predict(settings())
    assert len(rows(place.uri)) == 24
    done = predict(settings())
    found = rows(place.uri)
    assert done.pictures == 13 and len(found) == len({row["picture"] for row in found}) == 37
    # The report covers what the killed run answered too.
    facts = json.loads(open_store(place.uri).read_bytes(done.report.removeprefix(f"{place.uri}/")[:-4] + "json"))
    assert facts["pictures"] == 37 and len(facts["files"]) == 4


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
def test_large_pictures_are_few_at_a_time(packed, here, tmp_path, inbox, monkeypatch):
    """256 of 512 x 512, several times ahead, and what the layers give for them, are more than a pod has."""
    folder = inbox(8)
    monkeypatch.setattr(machine, "MOST_PIXELS", 3 * 8 * 8)
    seen: list[int] = []
    monkeypatch.setattr(
        run, "answered", lambda found, *rest: answered((seen.append(len(some)) or some for some in found), *rest)
    )
    predict(here(shutil.make_archive(str(tmp_path / "sent"), "zip", folder) if packed else folder))
    assert seen == [3, 3, 2]


def test_of_runs_at_once_no_picture_has_two_answers(here, tmp_path, inbox, monkeypatch):
    folder = inbox(60)
    monkeypatch.setattr(run, "FILE_PICTURES", 10)
    done: list[int] = []
    runs = [threading.Thread(target=lambda: done.append(predict(here(folder)).pictures)) for _ in range(3)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()
    assert sum(done) == 60 and len(rows(str(tmp_path))) == 60
    assert list((tmp_path / "answers").rglob("*.partial")) == []


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_is_answered_member_by_member_and_once(kind, here, tmp_path, digits, monkeypatch):
    monkeypatch.setattr(run, "FILE_PICTURES", 100)
    pictures = digits.splits["validation"][0][:300]
    folder = write_pictures(tmp_path / "sent", pictures)
    archive = pathlib.Path(shutil.make_archive(str(tmp_path / "sent"), kind, folder))
    if kind == "tar":  # a name twice: the last one counts
        with tarfile.open(archive, "a") as tar:
            tar.add(folder / "0001.png", "0000.png")
    else:
        with zipfile.ZipFile(archive, "a") as zipped:
            zipped.writestr("__MACOSX/._0000.png", b"x")
    wanted = here(archive)
    assert predict(wanted).pictures == 300
    found = {row["picture"]: row for row in rows(str(tmp_path))}
    assert set(found) == {f"{archive}/{number:04d}.png" for number in range(300)}
    if kind == "tar":
        same = [found[f"{archive}/{name}.png"]["probabilities"] for name in ("0000", "0001")]
        assert same[0] == pytest.approx(same[1], abs=1e-5)
    assert predict(wanted).pictures == 0


@pytest.mark.parametrize(("kind", "count"), [("zip", 9), ("tar", 9), ("tar", 8)])
def test_an_archive_that_another_takes_the_place_of_once_it_is_listed_is_not_answered(
    kind, count, here, tmp_path, digits, monkeypatch
):
    """Its members would have been answered under the names of the other's; those of one with fewer never were."""
    pictures = digits.splits["validation"][0][:9]
    archive = shutil.make_archive(str(tmp_path / "sent"), kind, write_pictures(tmp_path / "sent", pictures))
    newer = shutil.make_archive(str(tmp_path / "newer"), kind, write_pictures(tmp_path / "newer", pictures[:count], 1))
    load = champion.load_answering
    with monkeypatch.context() as loading:
        loading.setattr(champion, "load_answering", lambda path: (shutil.move(newer, archive), load(path))[1])
        assert "was changed" in refusal(here(archive))
    assert rows(str(tmp_path)) == []
    assert predict(here(archive)).pictures == count


def test_pictures_of_a_bucket_are_held_and_decoded_a_few_at_a_time(monkeypatch, inbox):
    """One of 12 megapixels takes 110 MB: 32 at once ended a pod of 4 GiB, night after night."""
    read, held, really_decode = [], [], answering.decode

    def watched(*given):
        time.sleep(0.02)  # all who may be read meanwhile are
        held.append(len(read) - len(held))
        return really_decode(*given)

    monkeypatch.setattr(answering, "decode", watched)
    files = sorted(inbox(40).iterdir())
    classifier = answering.Classifier(["a"], Target(8, 8, 1), lambda pictures: np.ones((len(pictures), 1)))
    given = [files], lambda file: (read.append(file), file.read_bytes())[1], classifier, lambda file: AHEAD_BYTES // 4
    [batch] = answering.answered(*given)
    assert len(batch.readable) == 40 and max(held) <= 5


def test_a_folder_has_one_name_from_wherever_it_is_asked(here, tmp_path, inbox, monkeypatch):
    monkeypatch.chdir(inbox(2))
    assert predict(here(tmp_path / "new")).pictures == 2
    assert predict(here("../new")).pictures == 0


def test_one_picture_alone_and_as_many_as_a_report_takes(here, tmp_path, digits):
    pictures = digits.splits["validation"][0]
    folder = write_pictures(tmp_path / "new", pictures[: LEAST_PICTURES - 1])
    assert predict(here(folder / "0001.png")).pictures == 1
    (folder / "damaged.png").write_bytes(b"no picture")
    done = predict(here(folder))  # one too few that can be read: they wait for the next report
    assert (done.pictures, done.unreadable, done.report) == (LEAST_PICTURES - 1, 1, "")
    write_pictures(folder, pictures[LEAST_PICTURES - 1 : LEAST_PICTURES], LEAST_PICTURES)
    done = predict(here(folder, max_drift=0.01))  # what has moved by chance is no drift
    assert (done.pictures, done.drift) == (1, 0) and done.report


def test_a_version_of_before_is_told_of_in_one_line_and_has_no_report(made, tmp_path, inbox, capsys):
    made().publish(str(tmp_path / "registry"), reference=False)
    given = {"model": "digits@champion", "registry": str(tmp_path / "registry"), "source": str(inbox(60))}
    done = predict(PredictSettings(**given, out=str(tmp_path / "answers")))
    assert (done.pictures, done.report) == (60, "")
    assert "no drift report: digits version 1 has no reference.json" in capsys.readouterr().out
    folder = tmp_path / "answers" / "digits-1"
    assert not (folder / "drift").exists()
    guarded = PredictSettings(**given, out=str(tmp_path / "answers"), max_drift=0.2)
    assert refusal(guarded).startswith("expected a model that max_drift can be held against, received digits version 1")
    again = PredictSettings(**given, out=str(tmp_path / "answers"))
    (tmp_path / "answers" / "answers.json").write_text('{"class_names": []}')
    assert refusal(again).endswith(
        "something else (answers_as: Field required); give another OUT, or remove that file alone"
    )
    (tmp_path / "answers" / "answers.json").unlink()
    assert predict(again).pictures == 0
    (folder / "model.json").write_text((folder / "model.json").read_text().replace('"sha256": "', '"sha256": "0'))
    assert "expected digits version 1 with sha256 0" in refusal(again)


def test_the_headline_of_a_drift_report_says_what_it_counts(here, tmp_path, inbox):
    """Not 0 % where the table has measures that have moved, if only by chance."""
    predict(here(inbox()), str(tmp_path / "page.html"))
    text = read_page(tmp_path / "page.html").text
    assert "Largest significant drift none" in text
    assert "Allowed drift (max_drift) no limit" in text


def test_the_tables_of_a_drift_report_are_its_facts(here, made, tmp_path, digits):
    folder = write_pictures(tmp_path / "dark", (digits.splits["validation"][0] * 0.7).astype(np.uint8))
    (folder / "damaged.png").write_bytes(b"no picture")
    report = pathlib.Path(predict(here(folder)).report)
    text = read_page(report).text
    for name, found in json.loads(report.with_suffix(".json").read_text())["measures"].items():
        moved, low, high, chance = (page_percent(found[key]) for key in ("moved", "low", "high", "chance"))
        told = f"{name.capitalize()} {moved} {low} – {high} {chance} ".replace("\u00a0", " ")
        assert re.search(f"{re.escape(told)}[<.0-9 ]+ {'yes' if found['different'] else 'no'} ", text)
    answered = [row["class"] for row in rows(str(tmp_path)) if "class" in row]
    assert f"measures of {len(answered)} new pictures drifted significantly" in text
    for digit, known in enumerate(json.loads(made().reference.read_text())["classes"]):
        shares = known / len(digits.splits["test"][0]), answered.count(str(digit)) / len(answered)
        told = " ".join([str(digit), *map(page_percent, shares), points(shares[1] - shares[0])])
        assert told.replace("\u00a0", " ") in text
    section = report.read_text().partition('<section id="gone"')[2].partition("</section>")[0]
    gone, _, more = section.partition("<h3>New")
    for told, sign in ((gone, -1), (more, 1)):
        pairs = re.findall(r'number">([.\d]+)\s%</td><td class="number">([.\d]+)\s%<', told)
        assert pairs and all(sign * (float(new) - float(known)) > 0 for known, new in pairs)


class Metrics(types.SimpleNamespace):
    """KFP's artifact of that name, as far as a component knows it."""

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


@in_a_bucket
def test_the_component_leaves_what_was_done_for_the_page_and_the_notice(place, settings, tmp_path):
    metrics = Metrics(path=str(tmp_path / "metrics"), logged={})
    outputs = [types.SimpleNamespace(path=str(tmp_path / name)) for name in ("answered", "report")]
    said = component.python_func(*outputs, metrics, **settings().model_dump())
    assert re.match("answered [0-9]+ pictures, 1 of them unreadable; drift: ", said)
    assert json.loads((tmp_path / "answered" / "answered.json").read_text())["said"] == said
    assert metrics.logged["unreadable"] == 1 and (tmp_path / "report").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(SystemExit):  # answers on the pod's disk are gone with it
        component.python_func(*outputs, metrics, **settings(out=str(tmp_path / "answers")).model_dump())
    assert not (tmp_path / "answers").exists()


def test_marks_tell_pictures_and_their_states_apart():
    from components.predict.source import Picture

    made = {Picture(name, generation, 1, "k").mark for name in ("a", "b") for generation in ("1", "2")}
    assert len(made) == 4 and all(len(mark) == 8 for mark in made)
    assert np.frombuffer(b"".join(made), "<u8").shape == (4,)
