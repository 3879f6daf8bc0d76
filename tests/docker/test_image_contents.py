"""The real images: what is in them, as whom they run, and that KFP's executor starts in them."""

import json
import os

import pytest
from kfp import dsl

from pipeline import ROOT
from pipeline.images import build, names
from pipeline.images.base_image import base_name
from pipeline.images.docker_build import docker_build, obtain_base


def run(engine, image: str, command: list[str], **options) -> str:
    """All that a command prints. The SDK's own way removes the container before it has read the end of it."""
    container = engine.containers.run(image, command, detach=True, network_mode="none", **options)
    try:
        assert container.wait()["StatusCode"] == 0, container.logs().decode()
        return container.logs(stderr=False).decode()
    finally:
        container.remove(force=True)


HARDENED = {"read_only": True, "tmpfs": {"/tmp": ""}, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}

# What a component meets, as JSON. Every import is one that components make.
LOOK_AROUND = """
import json, os, pathlib, sys
import components.core.files, tensorflow
def writable(path):
    try:
        pathlib.Path(path, "probe").write_text("x")
        return True
    except OSError:
        return False
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "home": os.path.expanduser("~"), "python": sys.executable,
    "code": components.core.files.__file__, "tensorflow": tensorflow.__version__,
    "compiled": [pathlib.Path(module.__cached__).exists() for module in (tensorflow, components.core.files)],
    "unbuffered": os.environ["PYTHONUNBUFFERED"], "encoding": sys.getfilesystemencoding(),
    "writable": [path for path in ("/", "/app", "/opt/venv", "/tmp") if writable(path)],
}))
"""


# As OpenShift has it: any user, in the group of root.
@pytest.mark.parametrize(("user", "expected"), [(None, (10001, 10001)), ("12345:0", (12345, 0))])
def test_runs_as_any_user_with_a_read_only_root(engine, cpu_image, user, expected):
    command = ["sh", "-c", 'cd / && python3 -W error::ResourceWarning -c "$0" 2>/dev/null', LOOK_AROUND]
    found = json.loads(run(engine, cpu_image, command, user=user, **HARDENED))
    assert (found["uid"], found["gid"]) == expected
    assert found["python"] == "/opt/venv/bin/python3"
    assert found["code"] == "/app/components/core/files.py"
    assert found["tensorflow"] == "2.21.0"
    assert found["compiled"] == [True, True]
    assert found["home"] == "/tmp"
    assert found["encoding"] == "utf-8"
    assert found["writable"] == ["/tmp"]


def test_a_private_checkout_makes_an_image_that_all_may_read(engine, cpu_image):
    before, name = os.umask(0o077), "conv2d-test-code:private"
    try:
        with build._copied_sources() as context:
            docker_build(context, "code", obtain_base(engine, base_name()), [name])
        assert run(engine, name, ["find", "/app", "!", "-perm", "-a+r"]) == ""
    finally:
        os.umask(before)
        engine.images.remove(name)


@dsl.component(base_image="image", install_kfp_package=False)
def probe(text: str, made: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> str:
    from components.core.files import write_json

    write_json(made.path, {"text": text})
    metrics.log_metric("length", len(text))
    return text.upper()


def test_kfp_s_executor_runs_a_component_in_it(engine, cpu_image, tmp_path):
    """The command that KFP gives every container, with the input a launcher would give."""
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    out.chmod(0o777)
    artifacts = {
        name: {"artifacts": [{"name": name, "type": {"schemaTitle": f"system.{kind}"}, "uri": f"/out/{name}"}]}
        for name, kind in (("made", "Dataset"), ("metrics", "Metrics"))
    }
    executor_input = {
        "inputs": {"parameterValues": {"text": "hello"}},
        "outputs": {
            "parameters": {"Output": {"outputFile": "/out/Output"}},
            "artifacts": artifacts,
            "outputFile": "/out/executor_output.json",
        },
    }
    container = probe.component_spec.implementation.container
    given = json.dumps(executor_input)
    command = [*container.command, *(given if argument == "{{$}}" else argument for argument in container.args)]
    run(engine, cpu_image, command, volumes={str(out): {"bind": "/out"}}, **HARDENED)
    written = json.loads((out / "executor_output.json").read_text())
    assert written["parameterValues"] == {"Output": "HELLO"}
    assert written["artifacts"]["metrics"]["artifacts"][0]["metadata"] == {"length": 5}
    assert json.loads((out / "made").read_text()) == {"text": "hello"}


@pytest.fixture(scope="module")
def files(engine, cpu_image) -> list[str]:
    listed = run(engine, cpu_image, ["find", "/", "-xdev", "-type", "f"], user="0:0")
    return listed.splitlines()


def test_holds_our_components_and_nothing_else_of_ours(cpu_image, files):
    """Beside train and core the image may hold older files, of components that changed since: nothing runs them."""
    ours = {file.removeprefix("/app/") for file in files if file.startswith("/app/") and not file.endswith(".pyc")}
    assert {file.split("/")[0] for file in ours} == {"components"}
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in ("core", "train")
        for path in (ROOT / "components" / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith(".")
    }
    if names.image("train") != cpu_image:
        pytest.skip("the sources were edited since the image was made")
    assert {file for file in ours if file.startswith(("components/core/", "components/train/"))} == sources


@pytest.mark.parametrize(
    "unwanted",
    [
        "/opt/pip/",
        "/build/",
        "/root/.cache/",
        "site-packages/pip/",
        "site-packages/kubernetes/",
        "/tensorflow/include/",
        "libonnxruntime.so",
        "/botocore/data/ec2/",
        ".whl",
    ],
)
def test_holds_no_installer_cache_or_dead_weight(files, unwanted):
    venv = [file for file in files if not file.startswith(("/usr/", "/var/lib/"))]  # a base image has its own pip
    assert [file for file in venv if unwanted in file] == []


DATA_STEPS = """
import importlib.util, json, pathlib, sys
for step in sys.argv[1:]:
    for path in pathlib.Path("/app/components", step).rglob("*.py"):
        if path.stem != "component":  # KFP runs a copy of its function
            importlib.import_module(".".join(path.relative_to("/app").with_suffix("").parts))
held = [name for name in ("keras", "tensorflow", "tensorboard", "jax", "onnxruntime") if importlib.util.find_spec(name)]
print(json.dumps(held))
"""


def test_what_handles_files_has_an_image_without_a_framework(engine, cpu_image):
    """All of it can be imported there, and the other image has its layers and the framework's."""
    data = engine.images.get(names.image("download"))
    command = ["python3", "-c", DATA_STEPS, *names.WITHOUT_FRAMEWORK]
    held = run(engine, names.image("download"), command, **HARDENED)
    assert json.loads(held) == []
    layers, shared = (image.attrs["RootFS"]["Layers"] for image in (engine.images.get(cpu_image), data))
    assert layers[: len(shared) - 1] == shared[:-1] and len(layers) == len(shared) + 1
    assert data.attrs["Size"] < 0.6e9
    assert engine.images.get(cpu_image).attrs["Size"] < 1.5e9


def test_adds_no_way_to_another_user(engine, cpu_image):
    find = ["find", "/", "-xdev", "-type", "f", "-perm", "/6000"]
    base = engine.images.get(cpu_image).labels["org.opencontainers.image.base.name"]
    assert run(engine, cpu_image, find, user="0:0") == run(engine, base, find, user="0:0")


def test_nothing_in_it_can_be_changed_by_who_runs_it(engine, cpu_image):
    find = [
        "find",
        "/app",
        "/opt/venv",
        "/opt/framework",
        "(",
        "-perm",
        "-0002",
        "-o",
        "!",
        "-user",
        "0",
        ")",
        "!",
        "-type",
        "l",
    ]
    assert run(engine, cpu_image, find) == ""


def test_its_settings_tell_nothing_of_the_machine_that_built_it(engine, cpu_image):
    settings = engine.images.get(cpu_image).attrs["Config"]
    assert settings["User"] == "10001:10001"
    assert not settings["Entrypoint"]
    names = {entry.partition("=")[0] for entry in settings["Env"]}
    assert not {name for name in names if name.startswith("PIP_") or "PROXY" in name.upper()}
