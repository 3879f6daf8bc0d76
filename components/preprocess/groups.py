"""Pictures that belong together, as those of a patient, a burst or a video, and that lie in one split therefore.

The table of labels says so, in the column that the user names. A number made of the group's name then decides where a
picture's hash does otherwise (splits.py): a group stays where it is when others come and go, and so do new pictures of
it. A picture without a group is one of its own. Groups that share a picture are one: else it would lie on two sides,
and nobody here knows which of the two it is in by mistake.
"""

import numpy as np

from components.core.artifacts.dataset import SPLITS
from components.core.errors import PipelineError
from components.core.wording import counted, percent
from components.preprocess.settings import PreprocessSettings
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION, Source

# Shares of few groups are hit by chance alone: that is told from a quarter of what was asked for.
FAR = 0.25


def require_groups(source: Source, group_column: str) -> None:
    """Refuses a column of groups where no table of labels has one."""
    if group_column and source.groups is None:
        raise PipelineError(
            f"expected a table of labels that says in the column {group_column} which pictures belong together "
            "(group_column), received none; give one by labels=, or leave group_column out"
        )


def groups_of(source: Source, hashes: np.ndarray, readable: np.ndarray) -> np.ndarray:
    """The number of each picture's group, uint64 [n]; of one that could not be read it says nothing.

    Args:
        hashes: uint64 [n].
        readable: bool [n].
    """
    if source.groups is None:
        return hashes
    groups = np.where(source.groups > 0, source.groups, hashes)
    groups[readable] = joined(groups[readable], hashes[readable])
    return groups


def joined(groups: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """The least number among the groups that share pictures, for each picture: uint64 [n]."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, of_group = np.unique(groups, return_inverse=True)
    pictures, of_picture = np.unique(hashes, return_inverse=True)
    nodes = len(names) + len(pictures)
    edges = coo_array((np.ones(len(groups)), (of_group, len(names) + of_picture)), shape=(nodes, nodes))
    of_name = connected_components(edges, directed=False)[1][: len(names)]
    return names[np.unique(of_name, return_index=True)[1]][of_name[of_group]]


def group_notices(source: Source, groups: np.ndarray, splits: np.ndarray, settings: PreprocessSettings) -> list[str]:
    """What became of the groups, in sentences without their ends.

    Args:
        groups: as groups_of gives them.
        splits: int8 [n], below 0 for a picture that could not be read.
    """
    if source.groups is None:
        return []
    read = splits >= 0
    named = read & (source.groups > 0)
    names = len(np.unique(source.groups[named]))
    _, places, sizes = np.unique(groups[named], return_inverse=True, return_counts=True)
    told = [
        f"pictures stay together by {settings.group_column}: {counted(names, 'group')}, the largest of "
        f"{percent(sizes.max(initial=0) / read.sum())} of all, so that the classes are split less evenly"
    ]
    if alone := int(read.sum() - named.sum()):
        told.append(f"{counted(alone, 'picture')} of no group, each on its own")
    if names > len(sizes):
        told.append(f"{counted(names - len(sizes), 'group')} joined with others that hold the same picture")
    in_splits = np.bincount(np.unique(places * len(SPLITS) + splits[named]) // len(SPLITS))
    if apart := int((in_splits > 1).sum()):
        told.append(f"{counted(apart, 'group')} in more than one split, as the source gives it")
    counts = np.bincount(splits[read], minlength=len(SPLITS))
    shares = {TEST: settings.test_split, VALIDATION: settings.validation_split}
    for split, asked in shares.items():
        share = counts[split] / (counts.sum() if split == TEST else counts[TRAIN] + counts[VALIDATION])
        if split not in source.given and abs(share - asked) > FAR * asked:
            whole = "the pictures" if split == TEST else "those that are left"
            told.append(
                f"the {SPLITS[split]} split has {percent(share)} of {whole} in place of {percent(asked)}: groups are "
                "few or large, and another split_seed draws others"
            )
    return told
