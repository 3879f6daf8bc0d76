"""Preprocess: turns the raw artifact into the dataset artifact and the data report.

    read      index the pictures of the source, whatever its format         sources/
    decode    all of them once, on all cores, to the shape they all get     targets.py, decoding.py, chunks.py
    split     by each picture's hash, or its group's                        identity.py, groups.py, splits.py
    write     the splits into shards, in their final order                  shards.py
    tell      dataset.json, quarantine.json, the report                     report/

The same raw bytes and settings give the same bytes out, whatever the number of cores. Disk, until the step ends: the
decoded pictures once more, beside the decompressed source or the result, whichever is larger. Memory: 110 bytes a
picture, and 4 MB of pixels for each of three chunks a core.
"""

import pathlib
import time

import numpy as np

from components.core.artifacts.dataset import INFO_FILE, DatasetInfo, fingerprint_of, read_info
from components.core.artifacts.picture_hashes import HASHES_FILE, write_hashes
from components.core.artifacts.raw import RawInfo, read_raw
from components.core.catalog import DATASETS
from components.core.files import remove, require_free, whole_directory, write_json
from components.core.machine import usable_cores
from components.core.wording import listed
from components.preprocess.channels import Channels
from components.preprocess.decoding import decode_all
from components.preprocess.groups import group_notices, groups_of, require_groups
from components.preprocess.processes import Processes
from components.preprocess.report import examples
from components.preprocess.report.facts import DataFacts
from components.preprocess.report.notices import notices, scarce
from components.preprocess.report.page import write_data_report
from components.preprocess.report.tally import Tally
from components.preprocess.settings import PreprocessSettings
from components.preprocess.shards import record_size, write_shards
from components.preprocess.sources.reading import read_source
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION
from components.preprocess.splits import assign_splits, lasting_order, shuffled
from components.preprocess.targets import choose_target

QUARANTINE_FILE = "quarantine.json"
# Below this, starting processes (0.3 to 0.7 s of a core each) costs more than it saves: 8 MB of photographs are decoded
# in 0.2 s, of small JPEGs in 0.5 s. A request to a store costs 2 ms.
WORTH_PROCESSES_BYTES = 8 << 20
WORTH_PROCESSES_OBJECTS = 500


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
    known = DATASETS[raw_info.dataset]
    rule = known.validation if settings.validation == "auto" else settings.validation
    with whole_directory(dataset_path) as directory:
        scratch = directory / "scratch"
        scratch.mkdir()
        with Processes(_process_count(raw_info, workers)) as processes:
            source = read_source(raw, raw_info, known.class_names, scratch, settings.group_column)
            require_groups(source, settings.group_column)
            target = choose_target(settings, source)
            needed = 2 * len(source) * record_size(target.shape)
            require_free(directory.parent, needed, "free some, or choose a smaller image_size")
            tally = Tally(source, settings.max_unreadable)
            pixels = decode_all(source, target, tally, processes, scratch / "decoded")
            source.payloads.discard()
        groups = groups_of(source, tally.hashes, tally.readable)
        splits, words = assign_splits(source, groups, tally.readable, settings, rule)
        order = lasting_order(source, tally.hashes)
        orders = [shuffled(order, splits, split, settings.seed) for split in (TRAIN, VALIDATION, TEST)]
        hashes = tally.hashes if source.groups is None else np.stack([tally.hashes, groups])
        channels = Channels(target.channels)
        written = write_shards(directory, pixels, source.labels, orders, len(source.class_names), channels)
        mean, std = channels.mean_and_std()
        info = DatasetInfo(
            dataset=raw_info.dataset,
            title=raw_info.title,
            image_shape=target.shape,
            class_names=source.class_names,
            splits=written,
            mean=mean,
            std=std,
            seed=settings.seed,
            split_seed=settings.split_seed,
            hashes_sha256=write_hashes(directory / HASHES_FILE, hashes[..., np.concatenate(orders)]),
            resized=tally.resized,
            quarantined=tally.left_out,
            sizes=tally.sizes(),
            source_uri=f"{raw_info.uri}, labels from {raw_info.labels}" if raw_info.labels else raw_info.uri,
            source_sha256=raw_info.sha256,
            resize=target.resize,
            fingerprint=fingerprint_of(target.shape, source.class_names, written),
        )
        seconds = time.monotonic() - began
        facts = DataFacts(
            info=info,
            samples=examples.samples(source, orders[TRAIN], pixels),
            in_two_splits=examples.duplicates(source, tally.hashes, splits, pixels, splits),
            in_two_classes=examples.duplicates(source, tally.hashes, splits, pixels, source.labels),
            notices=[*source.notices, *group_notices(source, groups, splits, settings), *notices(source, tally)],
            quarantine=tally.quarantine(),
            ignored=source.ignored,
            chosen=words,
            widths=tally.smallest_median_largest(tally.widths),
            heights=tally.smallest_median_largest(tally.heights),
            conversions=dict(sorted(tally.changes.items())),
            seconds=seconds,
            pictures_per_second=len(source) / seconds,
        )
        remove(scratch)
        listed = [left_out._asdict() for left_out in facts.quarantine]
        write_json(directory / QUARANTINE_FILE, {"total": tally.left_out, "listed": listed})
        write_json(directory / INFO_FILE, info.model_dump(mode="json"))
        read_info(directory)
        write_data_report(report_path, facts)
    _print_summary(facts)
    return info


def _process_count(raw_info: RawInfo, workers: int | None) -> int:
    """One for pixels that need no decoding, and for so few pictures that it does not pay."""
    if workers is None:
        objects = sum(file.listing.objects for file in raw_info.files if file.listing)
        worthwhile = raw_info.bytes >= WORTH_PROCESSES_BYTES or objects >= WORTH_PROCESSES_OBJECTS
        return usable_cores() if raw_info.format == "pictures" and worthwhile else 1
    return workers


def _print_summary(facts: DataFacts) -> None:
    counts = ", ".join(f"{split.count:,} {name}" for name, split in facts.info.splits.items())
    height, width, channels = facts.info.image_shape
    print(
        f"{counts} pictures of {len(facts.info.class_names)} classes, {height}x{width}x{channels}, in "
        f"{facts.seconds:.1f} s ({facts.pictures_per_second:,.0f} pictures/s)"
    )
    print(f"  classes: {listed(facts.info.class_names, 12)}")
    for what, number in [
        *facts.conversions.items(),
        *((f"left out: {reason}", count) for reason, count in facts.ignored.items()),
        ("unreadable or odd, listed in the data report", facts.info.quarantined),
        ("in more than one split", facts.in_two_splits.count),
        ("in more than one class", facts.in_two_classes.count),
    ]:
        if number:
            print(f"  {number:,} {what}")
    for notice in facts.notices:
        print(f"  note: {notice}")
    for shortage in scarce(facts):
        print(f"  warning: {shortage}")
