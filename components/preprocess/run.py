"""Preprocess: from the raw artifact to the dataset artifact and the data report.

    read      index the pictures of the source, whatever its format         reading.py, folders.py, cifar.py, ...
    choose    the shape they all get, and the split each one goes into      targets.py, splits.py
    write     decode them in their final order, on all cores, into shards   shards.py, chunks.py, core/decode.py
    tell      dataset.json, quarantine.json, the report                     tally.py, examples.py, report.py

The same raw bytes and settings give the same bytes out, whatever the number of cores. Disk: the decompressed source
once more, beside the result, until the step ends. Memory: 110 bytes a picture, and 4 MB of pixels for each of three
chunks a core; 123 MB in all processes together for CIFAR-10's 60,000 pictures. On two cores those take 4.6 s as JPEGs
in a .tar.gz (13,000 a second; 8.2 s where simplejpeg is missing), 4.2 s as a binary archive.
"""

import contextlib
import pathlib
import shutil
import time
from collections.abc import Iterator

from components.core import disk
from components.core.artifacts.dataset import INFO_FILE, DatasetInfo, fingerprint_of, read_info
from components.core.artifacts.raw import RawInfo, read_raw
from components.core.catalog import DATASETS
from components.core.errors import PipelineError
from components.core.files import remove, whole_directory, write_json
from components.core.pictures.decode import Target
from components.core.progress import amount
from components.preprocess.processes import Processes, usable_cores
from components.preprocess.report import examples
from components.preprocess.report.facts import DataFacts
from components.preprocess.report.page import write_data_report
from components.preprocess.report.tally import Tally
from components.preprocess.report.wording import listed
from components.preprocess.settings import PreprocessSettings
from components.preprocess.shards import record_size, write_shards
from components.preprocess.sources.reading import read_source
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION, Source
from components.preprocess.splits import assign_splits, shuffled
from components.preprocess.targets import choose_target

QUARANTINE_FILE = "quarantine.json"
# Below this, starting processes (0.3 to 0.7 s of a core each) costs more than it saves: 8 MB of photographs are decoded
# in 0.2 s, of small JPEGs in 0.5 s.
WORTH_PROCESSES_BYTES = 8 << 20


def preprocess(
    settings: PreprocessSettings, raw_path: str, dataset_path: str, report_path: str, workers: int | None = None
) -> DatasetInfo:
    """Makes the dataset artifact at `dataset_path` and the HTML report at `report_path` from the raw artifact.

    Args:
        workers: decoding processes; by default one for each core that may be used. It changes nothing in the result.

    Raises:
        PipelineError: the source or the settings can't be used, too many pictures are unreadable, or there is no room.
            Nothing is left at `dataset_path` then.
    """
    began = time.monotonic()
    raw = pathlib.Path(raw_path)
    raw_info = read_raw(raw)
    known = DATASETS.get(raw_info.dataset)
    with _one_line_disk_errors(dataset_path), whole_directory(dataset_path) as directory:
        scratch = directory / "scratch"
        scratch.mkdir()
        with Processes(_process_count(raw_info, workers)) as processes:
            source = read_source(raw, raw_info, known, scratch)
            target = choose_target(settings, source)
            rule = settings.validation
            if rule == "auto":
                rule = known.validation if known else "stratified"
            splits, words = assign_splits(source, settings, rule)
            _require_room(directory, len(source) * record_size(target))
            orders = [shuffled(splits, split, settings.seed) for split in (TRAIN, VALIDATION, TEST)]
            tally = Tally(source, settings.max_unreadable)
            split_infos = write_shards(directory, source, orders, target, tally, processes)
        info = _dataset_info(raw_info, settings, source, target, tally, split_infos)
        quarantine = tally.quarantine()
        found, shown = examples.duplicates(source, splits, tally, target)
        height, width = tally.size_ranges()
        seconds = time.monotonic() - began
        facts = DataFacts(
            dataset=raw_info.dataset,
            info=info,
            samples=examples.samples(source, orders[TRAIN], tally, target),
            duplicates=found,
            duplicate_examples=shown,
            quarantined=tally.quarantined,
            quarantine=quarantine,
            ignored=source.ignored,
            validation=words[VALIDATION],
            test=words[TEST],
            original_height=height,
            original_width=width,
            conversions=dict(sorted(tally.changes.items())),
            seconds=seconds,
            pictures_per_second=len(source) / seconds,
        )
        remove(scratch)
        listing = [{"name": picture.name, "reason": picture.reason} for picture in quarantine]
        write_json(directory / QUARANTINE_FILE, {"total": tally.quarantined, "listed": listing})
        write_json(directory / INFO_FILE, info.model_dump(mode="json"))
        read_info(directory)
        write_data_report(report_path, facts)
    _print_summary(facts)
    return info


def _process_count(raw_info: RawInfo, workers: int | None) -> int:
    """One for pixels that need no decoding, and for so few pictures that it does not pay."""
    if workers is None:
        worthwhile = raw_info.format == "pictures" and raw_info.bytes >= WORTH_PROCESSES_BYTES
        return usable_cores() if worthwhile else 1
    return workers


def _dataset_info(
    raw_info: RawInfo, settings: PreprocessSettings, source: Source, target: Target, tally: Tally, splits: dict
) -> DatasetInfo:
    empty = [source.class_names[label] for label, count in enumerate(splits["train"].per_class) if not count]
    if empty or not all(split.count for split in splits.values()):
        what = f"training pictures of {listed(empty)}" if empty else "pictures left in every split"
        raise PipelineError(
            f"expected readable {what}, received {tally.quarantined:,} unreadable pictures of {len(source):,}; "
            "repair or replace them"
        )
    mean, std = tally.mean_and_std()
    shape = target.shape
    return DatasetInfo(
        dataset=raw_info.dataset,
        image_shape=shape,
        class_names=source.class_names,
        splits=splits,
        mean=mean,
        std=std,
        seed=settings.seed,
        quarantined=tally.quarantined,
        source_uri=raw_info.uri,
        source_sha256=raw_info.sha256,
        resize=target.resize,
        fingerprint=fingerprint_of(shape, source.class_names, splits),
    )


def _require_room(directory: pathlib.Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise PipelineError(
            f"expected {amount(needed, 'B')} of free space for the data set in {directory.parent}, received "
            f"{amount(free, 'B')}; free some, or choose a smaller image_size"
        )


@contextlib.contextmanager
def _one_line_disk_errors(dataset_path: str) -> Iterator[None]:
    """Turns a full or write-protected disk, met on the way, into one line."""
    try:
        yield
    except OSError as error:
        said = disk.trouble(error, "free some space, or choose a smaller image_size", "check owner and rights")
        if said is None:
            raise
        raise PipelineError(
            f"expected to write the data set into {pathlib.Path(dataset_path).parent}, but {said}"
        ) from None


def _print_summary(facts: DataFacts) -> None:
    counts = ", ".join(f"{split.count:,} {name}" for name, split in facts.info.splits.items())
    height, width, channels = facts.info.image_shape
    print(
        f"{counts} pictures of {len(facts.info.class_names)} classes, {height}x{width}x{channels}, in "
        f"{facts.seconds:.1f} s ({facts.pictures_per_second:,.0f} pictures/s)"
    )
    for what, number in [
        *facts.conversions.items(),
        *((f"left out: {reason}", count) for reason, count in facts.ignored.items()),
        (f"unreadable, see {QUARANTINE_FILE}", facts.quarantined),
        ("in more than one split", facts.duplicates),
    ]:
        if number:
            print(f"  {number:,} {what}")
