"""Limits for tests. A module of its own, so that other processes need not load the servers."""

from components.core.storage import Limits

# Small, so that a file of a few hundred kilobytes has parts and a stall is noticed soon.
SMALL = Limits(
    deadline_s=20.0,
    stall_s=0.5,
    workers=8,
    chunk=64 << 10,
    part=128 << 10,
    part_workers=4,
    first_pause_s=0.02,
)
