"""The containers of a run's steps.

Some are started before it is their step's turn: TensorFlow and Keras take 3 to 5 seconds to import, which they do while
the step before works; warm.py does as much for processes. The quickstart takes 10.4 s through Docker in place of 16.5,
and 8.0 as processes (medians, two idle cores). A container that waits holds 0.4 GB, for ten minutes.

A step's container is the same as without: its own, of the step's image, with the same user, folders, limits and label,
and in it KFP's executor runs the same code with the same arguments. It ends with the run, and by itself if the run was
killed, since its standard input is closed then (waiting.py).
"""

import codecs
import contextlib
import json
import os
import pathlib
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from components.core.errors import PipelineError
from pipeline.console import option
from pipeline.images.engine import address, short
from pipeline.local.waiting import UNTOLD
from pipeline.local.warm import LOADED

# What is started when a step starts: once one step has to run, so have all after it, as their inputs are new.
AFTER = {"download": "train", "train": "evaluate", "evaluate": "export"}
# What helps, by what the engine says.
MENDS = {
    "path does not exist": "; an engine on another machine does not see this one's files: {}",
    "No such image": "; it was removed since the run began: run again",
}
WAITING = pathlib.Path(__file__).with_name("waiting.py")
# Whose a container is: that of a folder of runs, and of the process that runs them.
OUTPUTS_LABEL = "conv2d-pipeline.outputs"
OWNER_LABEL = "conv2d-pipeline.owner"


def labels(outputs: pathlib.Path) -> dict[str, str]:
    return {OUTPUTS_LABEL: str(outputs), OWNER_LABEL: f"{socket.gethostname()} {os.getpid()}"}


def remove_containers(outputs: pathlib.Path) -> None:
    """Removes this process's containers, and what an earlier run left that was killed; not those of a run beside it."""
    import docker

    with contextlib.suppress(docker.errors.DockerException, OSError):  # an engine that was stopped runs none
        client = docker.from_env()
        label = f"{OUTPUTS_LABEL}={outputs}"
        for left in client.containers.list(all=True, ignore_removed=True, filters={"label": label}):
            if not _has_another_owner(left.labels.get(OWNER_LABEL, "")):
                with contextlib.suppress(docker.errors.APIError):  # one that has just ended is being removed
                    left.remove(force=True)


def _has_another_owner(owner: str) -> bool:
    """Whether a process that runs made the container, and not this one."""
    host, _, pid = owner.partition(" ")
    if host != socket.gethostname():
        return bool(host)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return int(pid) != os.getpid()


def own_user(engine: Mapping[str, Any]) -> dict[str, Any]:
    """Whoever runs a rootless engine is root in its containers; others are nobody there, and so are groups."""
    return {"user": "0:0", "group_add": []} if "name=rootless" in engine["SecurityOptions"] else {}


class StepContainers:
    """Those of one run.

    Args:
        steps: those that may be started early.
        options: what each is made with, as Docker's SDK names it.
    """

    def __init__(self, image: Callable[[str], str], steps: frozenset[str], options: Mapping[str, Any]):
        self.image, self.steps, self.options = image, steps, options
        self.held: dict[str, StepContainer] = {}

    def __enter__(self) -> Self:
        import docker

        self.client = docker.from_env()
        self.options = {**self.options, **own_user(self.client.info())}
        return self

    def __exit__(self, *_: object) -> None:
        for early in self.held.values():
            early.remove()
        self.client.close()

    def run(self, command: list[str]) -> int:
        """Runs a step, in the container that waits for it if there is one; its exit status as subprocess gives it.

        Raises:
            PipelineError: the engine's own words.
        """
        from docker import errors

        step = command[command.index("--function_to_execute") + 1]
        try:
            with contextlib.ExitStack() as stack:
                held = self.held.pop(step, None)
                if held:
                    stack.callback(held.remove)
                told = held and held.tell(command)
                self.start(AFTER.get(step, ""))
                code = held.ended() if held and told else UNTOLD
                if code == UNTOLD:
                    held = StepContainer(self.client, self.image(step), (), self.options)
                    stack.callback(held.remove)
                    held.tell(command)
                    code = held.ended()
                return 128 - code if code > 128 else code  # a shell's 137 is -9
        except (errors.DockerException, OSError) as error:
            said = short(error)
            mend = next((mend for words, mend in MENDS.items() if words in said), "").format(
                option("runner", "process")
            )
            raise PipelineError(f"expected the engine at {address()} to run a step, received: {said}{mend}") from None

    def start(self, step: str) -> None:
        """Starts a step's container early, if the step is one of those."""
        from docker import errors

        if step in self.steps and step not in self.held:
            with contextlib.suppress(errors.DockerException, OSError):  # then it is started when it is its turn
                self.held[step] = StepContainer(self.client, self.image(step), LOADED[step], self.options)


class StepContainer:
    """A container that waits for its step, and imports `modules` meanwhile. As with `docker run -i`, its standard input
    is closed when nobody is connected to it any more."""

    def __init__(self, client: Any, image: str, modules: Sequence[str], options: Mapping[str, Any]):
        waiting = ["python3", "-c", WAITING.read_text(encoding="utf-8"), *modules]
        self.container = client.containers.create(image, waiting, stdin_open=True, **options)
        try:
            self.input = self.container.attach_socket(params={"stdin": 1, "stream": 1})
            self.container.start()
        except BaseException:
            self.remove()
            raise

    def tell(self, command: list[str]) -> bool:
        """Gives it the word; False if it is not there to hear it."""
        from docker import errors

        try:
            self.container.reload()
            if self.container.status != "running":
                return False
            getattr(self.input, "_sock", self.input).sendall(f"{json.dumps(command[3:])}\n".encode())
        except (errors.DockerException, OSError):
            return False
        return True

    def ended(self) -> int:
        """Prints what it says, to its end; its exit status."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for chunk in self.container.logs(stream=True):
            print(decoder.decode(chunk), end="")
        return self.container.wait()["StatusCode"]

    def remove(self) -> None:
        """Takes it away, whatever it does."""
        from docker import errors

        with contextlib.suppress(errors.DockerException, OSError, AttributeError):  # it may have no input yet
            # All of the answer: without its socket, Python 3.13 prints a traceback for the rest when it cleans up.
            getattr(self.input, "_response", self.input).close()
        with contextlib.suppress(errors.DockerException, OSError):
            self.container.remove(force=True)
