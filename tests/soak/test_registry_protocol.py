"""The registry's protocol, as its docstring has it, against users at once, faults and kills (registry_machine.py).

An ordinary run takes about 20 s of processor time; `make soak` goes on for as many examples as CONV2D_SOAK says
(default 2,000 on a directory, a quarter of that on each server), each of up to 60 rules.
"""

import os
import pathlib
from collections.abc import Callable, Iterator
from unittest import mock

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

import components.export.publish as exporting
from components.core.artifacts.evaluation import read_decision
from components.core.storage import open_store
from tests.servers.fixtures import Place, gcs_server, make_place, s3_server  # noqa: F401
from tests.soak.registry_machine import RegistryMachine
from tests.soak.registry_players import Ground, done

TOLD_FIRST = ("examples", "calls", "kills", "looks of the watcher")
ORDINARY = {"file": 24, "gs": 6, "s3": 4}
SOAK = int(os.environ.get("CONV2D_SOAK", "0"))
SHARE = {"file": 1, "gs": 4, "s3": 4}
Look, Put, Remove = Callable[[str], dict[str, bytes]], Callable[[str, bytes], object], Callable[[str], object]
Past = tuple[Look, Put, Remove]


def on_files(place: Place, bucket: str) -> Past:
    def look(prefix: str) -> dict[str, bytes]:
        top = f"{pathlib.Path(prefix)}/"  # not pathlib's rglob, which was a third of all
        files = [f"{folder}/{name}" for folder, _, names in os.walk(prefix) for name in names]
        return {path.removeprefix(top): pathlib.Path(path).read_bytes() for path in files}

    def put(key: str, data: bytes) -> None:
        pathlib.Path(key).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(key).write_bytes(data)

    return look, put, lambda key: pathlib.Path(key).unlink()


def on_gcs(place: Place, bucket: str) -> Past:
    def look(prefix: str) -> dict[str, bytes]:
        live, top = place.server.state.buckets[bucket], f"{prefix}/"
        return {key[len(top) :]: b"".join(found.parts) for key, found in live.items() if key.startswith(top)}

    def put(key: str, data: bytes) -> None:
        place.server.state.write(bucket, key, [data], {}, {})

    return look, put, lambda key: place.server.state.buckets[bucket].pop(key)


def on_s3(place: Place, bucket: str) -> Past:
    def look(prefix: str) -> dict[str, bytes]:
        live, top = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[bucket].keys, f"{prefix}/"
        return {key[len(top) :]: found.value for key, found in live.items() if key.startswith(top)}

    def put(key: str, data: bytes) -> None:
        place.server.client.put_object(Bucket=bucket, Key=key, Body=data)

    return look, put, lambda key: place.server.client.delete_object(Bucket=bucket, Key=key)


WAYS = {"file": on_files, "gs": on_gcs, "s3": on_s3}


@pytest.fixture(params=WAYS)
def ground(request, monkeypatch) -> Iterator[Ground]:
    """A store, and a way past its client: what is looked at is what is there, not what a client makes of it."""
    for place in make_place(request.param, request):
        if place.server:
            # No proxy in between: what fails is chosen call by call.
            variable = "STORAGE_EMULATOR_HOST" if place.scheme == "gs" else "AWS_ENDPOINT_URL"
            monkeypatch.setenv(variable, place.server.url)
        store = open_store(place.uri)
        yield Ground(store.location, store.backend, *WAYS[place.scheme](place, store.location.bucket))


@pytest.mark.timeout(0 if SOAK else 600)
def test_nothing_is_lost_and_nobody_is_champion_by_mistake(ground, request, monkeypatch, capsys):
    # The step opens its registry by its URI; here it is handed one, and the decision is on any.
    monkeypatch.setattr(exporting, "Registry", lambda registry: registry)
    on_any = {"registry": mock.ANY}
    monkeypatch.setattr(exporting, "read_decision", lambda place: read_decision(place).model_copy(update=on_any))
    kind = request.node.callspec.params["ground"]
    examples = SOAK // SHARE[kind] if SOAK else ORDINARY[kind]
    done.clear()
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=60,
        deadline=None,
        database=None,
        derandomize=not SOAK,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    run_state_machine_as_test(type("Machine", (RegistryMachine,), {"ground": ground}), settings=settings)
    faults = sum(count for what, count in done.items() if what.startswith("faults"))
    deeds = ", ".join(f"{count:,} {what}" for what, count in sorted(done.items()) if what not in TOLD_FIRST)
    with capsys.disabled():
        print(
            f"\n{kind}: nothing lost in {done['examples']:,} histories of {done['calls']:,} store calls, "
            f"{done['kills']:,} kills and {faults:,} faults; the watcher looked "
            f"{done['looks of the watcher']:,} times; {deeds}"
        )
