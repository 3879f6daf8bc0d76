"""The TensorBoard image: its tag, what is in it, and that it shows a run in gs:// and in s3:// while it grows."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.request

import pytest
import yaml
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from tests.k8s.manifests import K8S, ROOT
from tests.servers.gcs import GcsServer
from tests.servers.s3 import ACCESS_KEY, SECRET_KEY, S3Server

LOCKS = ROOT / "docker/requirements"
KEY = "v2/artifacts/training/8d1f/train/tensorboard/train/events.out.tfevents.1700000000.pod.1.0"
RUN = "training/8d1f/train/tensorboard/train"


def image_name(base: str | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("BASE_IMAGE", "REGISTRY")}
    environment |= {"BASE_IMAGE": base} if base else {}
    command = [ROOT / "docker/tensorboard/image.sh", "name"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_the_manifests_run_the_image_that_the_sources_make():
    kustomization = yaml.safe_load((K8S / "base/kustomization.yaml").read_text())
    (entry,) = [image for image in kustomization["images"] if image["name"] == "conv2d-tensorboard"]
    assert entry["newTag"] == image_name().rpartition(":")[2], "put the new tag into k8s/base/kustomization.yaml"


def test_a_push_of_another_base_has_the_overlays_run_what_was_pushed(tmp_path):
    """The engine does nothing here: what is looked at is the tag that the push leaves in k8s/base."""
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    shutil.copytree(K8S / "base", tmp_path / "k8s/base")
    environment = {key: value for key, value in os.environ.items() if key != "BASE_IMAGE"}
    environment |= {"REGISTRY": "registry.example.com/team", "DOCKER": "true"}

    def image(action: str, **given: str) -> str:
        command = [tmp_path / "docker/tensorboard/image.sh", action]
        done = subprocess.run(command, env=environment | given, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    pushed = image("push", BASE_IMAGE="mine:1")
    name, _, tag = pushed.rpartition(":")
    assert (name, tag) == ("registry.example.com/team/conv2d-tensorboard", image_name("mine:1").rpartition(":")[2])
    kustomization = yaml.safe_load((tmp_path / "k8s/base/kustomization.yaml").read_text())
    assert {"name": "conv2d-tensorboard", "newTag": tag} in kustomization["images"]
    (tmp_path / "build").mkdir()
    (tmp_path / "build/base-image").write_text("mine:1\n")  # as the push of the steps' images remembers it
    assert image("name") == pushed


def test_its_build_reaches_packages_as_that_of_the_steps_images_does(tmp_path):
    """Behind a proxy, or with an index of one's own, `make images ACTION=push` had pushed all when it failed."""
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\n[ "$1" != image ] && echo "$@" >> {tmp_path}/told\n')
    docker.chmod(0o755)
    reached = {"HTTPS_PROXY": "http://me:pw@proxy:3128", "PIP_EXTRA_INDEX_URL": "https://index.example/simple"}
    left_out = {"PIP_INDEX_URL": "https://me:pw@index.example/simple", "PIP_TRUSTED_HOST": ""}
    environment = {"PATH": os.environ["PATH"], "DOCKER": str(docker), **reached, **left_out}
    subprocess.run([ROOT / "docker/tensorboard/image.sh", "build"], env=environment, check=True)
    given = re.findall(r"--build-arg (\S+)", (tmp_path / "told").read_text())
    assert [name for name in given if not name.startswith("BASE_IMAGE=")] == list(reached)


def pinned(lock: str) -> dict[str, set[str]]:
    versions = {}
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", (LOCKS / lock).read_text(), re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return versions


def test_the_lock_holds_no_tensorflow_and_the_trainers_versions():
    inside, trainers = pinned("tensorboard.txt"), pinned("cpu.txt")
    assert {"tensorboard", "gcsfs", "boto3"} <= set(inside)
    assert not {name for name in inside if name.startswith("tensorflow") or name == "keras"}
    differing = {
        name: (inside[name], trainers[name]) for name in set(inside) & set(trainers) if inside[name] != trainers[name]
    }
    assert not differing


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image():
    """The image of the sources as they are, on whichever base image it was built."""
    written = '{{index .Config.Labels "org.opencontainers.image.base.name"}}'
    try:
        for name in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "conv2d-tensorboard").split():
            if name == image_name(docker("image", "inspect", "--format", written, name)):
                return name
    except (OSError, subprocess.SubprocessError):
        pytest.skip("no Docker engine answers")
    pytest.skip("the image is not built: BASE_IMAGE=$(docker/base-image.sh) docker/tensorboard/image.sh build")


class GoogleStore:
    """Cloud Storage's stand-in, and what a container needs to reach it."""

    def __init__(self, server: GcsServer):
        self.uri, self.server = "gs://artifacts", server
        self.environment = {"STORAGE_EMULATOR_HOST": server.url}

    def put(self, key: str, data: bytes) -> None:
        url = f"{self.server.url}/upload/storage/v1/b/artifacts/o?uploadType=media&name={key}"
        urllib.request.urlopen(urllib.request.Request(url, data=data, method="POST"), timeout=10).close()


class AmazonStore:
    """S3's stand-in, and what a container needs to reach it."""

    def __init__(self, server: S3Server):
        self.uri, self.server = "s3://artifacts", server
        keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
        self.environment = keys | {"AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1"}
        self.environment |= {"AWS_MAX_ATTEMPTS": "1"}

    def put(self, key: str, data: bytes) -> None:
        self.server.client.put_object(Bucket="artifacts", Key=key, Body=data)


@pytest.fixture(params=["gs", "s3"])
def store(request, image):
    if request.param == "gs":
        with GcsServer("artifacts") as server:
            yield GoogleStore(server)
    else:
        with S3Server("artifacts") as server:
            yield AmazonStore(server)


def events(*steps: int) -> bytes:
    """The records of an event file, written now: one accuracy a step. Of old ones TensorBoard expects no growth."""
    written = io.BytesIO()
    writer = RecordWriter(written)
    for step in steps:
        value = Summary.Value(tag="epoch_accuracy", simple_value=step / 10)
        writer.write(Event(step=step, wall_time=time.time(), summary=Summary(value=[value])).SerializeToString())
    return written.getvalue()


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def container(image, store, port):
    """TensorBoard's, as the Deployment runs it: its user, read-only, no capabilities."""
    hardened = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    environment = [part for pair in store.environment.items() for part in ("--env", "=".join(pair))]
    told = [f"--logdir={store.uri}/v2/artifacts", "--reload_interval=1", "--reload_multifile=true", f"--port={port}"]
    started = docker("run", "--detach", "--network", "host", *hardened, *environment, image, *told)
    try:
        yield started
    finally:
        docker("rm", "--force", started)


@pytest.fixture
def tensorboard(container, port) -> str:
    """Its URL."""
    return f"http://127.0.0.1:{port}"


def shown(url: str) -> list[int]:
    """The steps of the run's accuracy that the page would draw."""
    wanted = json.dumps([{"plugin": "scalars", "tag": "epoch_accuracy", "run": RUN}])
    form = f'--x\r\nContent-Disposition: form-data; name="requests"\r\n\r\n{wanted}\r\n--x--\r\n'.encode()
    request = urllib.request.Request(f"{url}/data/plugin/timeseries/timeSeries", data=form, method="POST")
    request.add_header("Content-Type", "multipart/form-data; boundary=x")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            series = json.load(answer)[0].get("runToSeries", {})
    except OSError:
        return []
    return [point["step"] for point in series.get(RUN, [])]


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.2)


def test_a_run_is_shown_while_it_grows(store, tensorboard):
    """The object is uploaded anew, longer, as the trainer does it."""
    wait_until(lambda: answers(tensorboard))
    assert shown(tensorboard) == []
    store.put(KEY, events(1, 2))
    wait_until(lambda: shown(tensorboard) == [1, 2])
    store.put(KEY, events(1, 2) + events(3, 4, 5))
    wait_until(lambda: shown(tensorboard) == [1, 2, 3, 4, 5])


@pytest.mark.parametrize("store", ["s3"], indirect=True)
def test_a_store_that_was_away_is_read_again(store, container, tensorboard):
    """As when a cluster is restarted: the page stayed as it was, empty mostly, until somebody deleted the pod."""
    store.put(KEY, events(1, 2))
    wait_until(lambda: shown(tensorboard) == [1, 2])
    store.server.refused = (503, "SlowDown")
    wait_until(lambda: "not read this time: ClientError: " in docker("logs", container))
    store.server.refused = None
    store.put(KEY, events(1, 2) + events(3))
    wait_until(lambda: shown(tensorboard) == [1, 2, 3])


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/data/environment", timeout=10).close()
    except OSError:
        return False
    return True


def test_the_pod_says_what_the_image_is(image):
    """The pod's user is the image's, by number, and the image brings the arguments that the pod relies on."""
    config = json.loads(docker("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    assert "--load_fast=false" in config["Entrypoint"]
    assert "--port=6006" in config["Entrypoint"]
