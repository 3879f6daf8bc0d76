"""Predict: classifies the new pictures of a source, and compares them with the model's training data (drift)."""

import dataclasses
import itertools
import operator
import time
from collections.abc import Collection, Iterator

from components.core.artifacts.answered import PredictionSummary
from components.core.errors import PipelineError
from components.core.machine import at_once
from components.core.progress import Progress
from components.core.wording import counted, listed, percent
from components.predict.answering import Batch, answered
from components.predict.answers import Answers, Form, answered_before
from components.predict.champion import Served, fetched_model
from components.predict.drift.report import Report, report_drift
from components.predict.drift.tally import Counts, counts_of
from components.predict.rows import Rows
from components.predict.settings import AnswerSettings, PredictSettings
from components.predict.source import Picture, PictureSource, not_followed, nothing_found, open_source

# Pictures to a file of answers, and to what a killed run does again; fewer if many classes are told of each.
FILE_PICTURES = 10_000
FILE_PROBABILITIES = 1_000_000
# So many new files and no picture among them: that is not a damaged one or two, somebody should look.
SUSPICIOUS = 30


def predict(settings: PredictSettings, page_path: str = "") -> PredictionSummary:
    """Has a version of the registry answer what is new at the source; see answers.py for what it leaves.

    Args:
        page_path: where a copy of the drift report is to lie, if there is one.

    Raises:
        PipelineError: something is missing, no picture can be read, the answers there are of another form, or more
            than max_drift of the pictures lies elsewhere than what the model knows. StorageError.
    """
    with fetched_model(settings) as served:
        return answer_all(served, settings, page_path)


def answer_all(served: Served, settings: AnswerSettings, page_path: str = "") -> PredictionSummary:
    """`predict` by a version that is fetched."""
    began = time.monotonic()
    names = served.class_names
    with open_source(settings.source) as source:
        found = source.pictures()
        first = list(itertools.islice(found, 1))
        if not first and not answered_before(settings.out):  # a name with a mistake in it, most likely
            raise nothing_found(settings.source, source)
        top = min(settings.top or len(names), len(names))
        form = Form(class_names=names, answers_as=settings.answers_as, top=top)
        answers = Answers(settings.out, served.model, form)
        size = max(1, min(FILE_PICTURES, FILE_PROBABILITIES // top))
        done = Counts()
        with Progress("predict", total=None, unit="pictures") as progress:
            for pictures in _files(itertools.chain(first, found), answers, size):
                waited = time.monotonic()
                served.load()
                began += time.monotonic() - waited  # what is told is how fast it answers
                rows = Rows(form, served.model)
                counts = _answer(served, source, pictures, rows, progress)
                pictures = [picture for picture in pictures if picture.key not in source.refused]
                if not pictures:
                    continue
                if _is_no_source(counts, done, settings.out):
                    bad = counts.listed[0]
                    raise PipelineError(
                        f"expected pictures at {settings.source!a}, received {counts.pictures:,} files none of which "
                        f"can be read, for instance {listed([bad.name])}: {bad.reason}; nothing was answered"
                    )
                if answers.commit(pictures, rows.text.getvalue(), rows.ending, counts):
                    done = done.plus(counts)
    if source.refused and not done.pictures and not answered_before(settings.out):
        raise PipelineError(f"expected pictures at {settings.source!a}: {_refused(source)}; nothing was answered")
    seconds = time.monotonic() - began
    nothing = "nothing new" if first else f"no pictures at {settings.source!a}"
    _say(answers, source, done, seconds, nothing)
    report = report_drift(answers, served, settings, page_path)
    return _judged(answers, done, seconds, report, settings.max_drift, nothing)


def _is_no_source(counts: Counts, done: Counts, out: str) -> bool:
    """Whether a source has no picture in it, by a file of answers and those before it. A few damaged ones that are new
    beside pictures answered before are answered with the reason: else each later run would fail of them again."""
    if counts.unreadable < counts.pictures or done.unreadable < done.pictures:
        return False
    return counts.pictures >= SUSPICIOUS or not answered_before(out)


def _files(found: Iterator[Picture], answers: Answers, size: int) -> Iterator[list[Picture]]:
    """The pictures that are new, as many at a time as go into a file. Others may be answering some meanwhile."""
    new: list[Picture] = []
    while some := list(itertools.islice(found, FILE_PICTURES)):
        new += answers.unanswered(some)
        while len(new) >= size:
            new, file = new[size:], new[:size]
            yield from _still_new(file, answers)
    yield from _still_new(new, answers)


def _still_new(pictures: list[Picture], answers: Answers) -> Iterator[list[Picture]]:
    answers.refresh()
    if left := answers.unanswered(pictures):
        yield left


def _answer(served: Served, source: PictureSource, pictures: list[Picture], rows: Rows, progress: Progress) -> Counts:
    """Fills the rows of one file."""
    counts = Counts()
    classifier = served.load()
    batches = source.batches(pictures, at_once(classifier.target.shape))
    size_of = operator.attrgetter("size") if source.remote else None
    for batch in answered(batches, source.read, classifier, size_of):
        progress.advance(len(batch.items))
        batch = _without(batch, source.refused)
        rows.add(batch)
        counts = counts.plus(counts_of(batch, served.reference))
    return counts


def _without(batch: Batch[Picture], refused: Collection[str]) -> Batch[Picture]:
    """The batch without the pictures that the disk would not read: they are neither answered nor remembered."""
    if not refused:
        return batch
    both = zip(batch.items, batch.reasons, strict=True)
    kept = [(picture, reason) for picture, reason in both if picture.key not in refused]
    return dataclasses.replace(batch, items=[picture for picture, _ in kept], reasons=[reason for _, reason in kept])


def _refused(source: PictureSource) -> str:
    """How many pictures the disk would not read, one of them, and why."""
    name, why = next(iter(source.refused.items()))
    return f"the disk would not read {counted(len(source.refused), 'picture')}, for instance {listed([name])}: {why}"


def _say(answers: Answers, source: PictureSource, done: Counts, seconds: float, nothing: str) -> None:
    if done.pictures:
        speed = f"{seconds:.1f} s ({done.pictures / seconds:,.0f} pictures/s)"
        print(f"answered {counted(done.pictures, 'picture')} in {speed}, in {answers.uri()}", flush=True)
    else:
        print(f"{nothing}: {counted(len(answers.seen), 'picture')} answered before, in {answers.uri()}", flush=True)
    if source.left_out:
        print(f"  {source.left_out.total():,} left out: not a picture by its extension")
    if source.links:
        print(f"  {not_followed(source.links)}", flush=True)
    if source.refused:
        print(f"  {_refused(source)}; the next run asks again", flush=True)
    if done.unreadable:
        bad = done.listed[0]
        print(f"  {done.unreadable:,} could not be read, for instance {listed([bad.name])}: {bad.reason}", flush=True)


def _judged(
    answers: Answers, done: Counts, seconds: float, report: Report | None, max_drift: float, nothing: str
) -> PredictionSummary:
    """What became of it all; `nothing` says what if no picture is new.

    Raises:
        PipelineError: more than max_drift has moved.
    """
    drifts = report.drifts if report else []
    moved = {drift.name: drift.moved for drift in drifts if drift.different}
    shares = ", ".join(f"{name} {percent(round(share, 3))}" for name, share in moved.items())
    where = report.place if report else ""
    if report:
        print(f"drift: {shares or 'none significant'}; report: {where}", flush=True)
    if beyond := [f"{drift.name} {percent(drift.moved, max_drift)}" for drift in drifts if drift.exceeds(max_drift)]:
        raise PipelineError(
            f"expected a drift of at most {percent(max_drift)} (max_drift), received {', '.join(beyond)}; the answers "
            f"were written; look at {where}"
        )
    said = f"answered {counted(done.pictures, 'picture')}" if done.pictures else nothing
    unreadable = f", {done.unreadable:,} of them unreadable" if done.unreadable else ""
    drifted = f"; drift: {shares or 'none significant'}" if report else ""
    return PredictionSummary(
        pictures=done.pictures,
        unreadable=done.unreadable,
        pictures_per_second=done.pictures / seconds,
        place=answers.uri(),
        report=where,
        drift=max(moved.values(), default=0.0),
        said=f"{said}{unreadable}{drifted}",
    )
