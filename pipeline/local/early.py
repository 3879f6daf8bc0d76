"""Containers that are started before it is their step's turn: TensorFlow and Keras take 3 to 5 seconds to import, which
they do while the step before works; warm.py does as much for processes. The quickstart takes 13.8 s through Docker in
place of 19.6, and 12.4 as processes (medians, two idle cores). A container that waits holds 0.4 GB meanwhile.

A step's container is the same as without: its own, of the step's image, with the same user, folders, limits and label,
and in it KFP's executor runs the same code with the same arguments. It ends with the run, and by itself if the run was
killed, since its standard input is closed then.
"""

import codecs
import contextlib
import json
import pathlib
from collections.abc import Callable
from typing import Any, Self

from pipeline.local.warm import LOADED

# What is started when a step starts: once one step has to run, so have all after it, as their inputs are new.
AFTER = {"download": "train", "train": "evaluate", "evaluate": "export"}
WAITING = pathlib.Path(__file__).with_name("waiting.py")


class EarlyContainers:
    """Those of one run.

    Args:
        image: the image of a step.
        steps: those that may be started early.
    """

    def __init__(self, image: Callable[[str], str], steps: frozenset[str]):
        self.image, self.steps = image, steps
        self.held: dict[str, Early] = {}

    def __enter__(self) -> Self:
        import docker

        self.client = docker.from_env()
        return self

    def __exit__(self, *_: object) -> None:
        for early in self.held.values():
            early.remove()
        self.client.close()

    def run(self, run_container: Callable, client: Any, image: str, command: list[str], **options: Any) -> int:
        """Runs a step's container as kfp.local's run_docker_container does, in the one that waits if there is one.

        Args:
            run_container: kfp.local's own.
        """
        step = command[command.index("--function_to_execute") + 1]
        with contextlib.ExitStack() as stack:
            held = self.held.pop(step, None)
            if held:
                stack.callback(held.remove)
            told = held and held.made_of == (image, options) and held.tell(command)
            self.start(AFTER.get(step, ""), options)
            if held and told:
                return held.ended()
            return run_container(client=client, image=image, command=command, **options)

    def start(self, step: str, options: dict[str, Any]) -> None:
        """Starts a step's container, if the step is one of those."""
        from docker import errors

        if step in self.steps and step not in self.held:
            with contextlib.suppress(errors.DockerException, OSError):  # then it is started when it is its turn
                self.held[step] = Early(self.client, self.image(step), LOADED[step], options)


class Early:
    """A container that imports `modules` and waits."""

    def __init__(self, client: Any, image: str, modules: tuple[str, ...], options: dict[str, Any]):
        self.made_of = image, options
        command = ["python3", "-c", WAITING.read_text(encoding="utf-8"), *modules]
        # As `docker run -i`: its standard input is closed when nobody is connected to it any more.
        self.container = client.containers.create(image, command, stdin_open=True, **options)
        self.input = self.container.attach_socket(params={"stdin": 1, "stream": 1})
        self.container.start()

    def tell(self, command: list[str]) -> bool:
        """Gives the word; False if the container is not there to hear it.

        Args:
            command: sh -ec SCRIPT MODULE ARGUMENT...: KFP's script writes the module to a file and runs it.
        """
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

        with contextlib.suppress(errors.DockerException, OSError):
            self.input.close()
        with contextlib.suppress(errors.DockerException, OSError):
            self.container.remove(force=True)
