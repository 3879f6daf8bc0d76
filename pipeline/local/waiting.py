"""What a step's container runs (step_containers.py sends this text): imports, waits for the word on standard input, and
becomes what KFP would have started. When standard input is closed, nobody needs it any more, and it ends.

python3 -c TEXT MODULE...       the modules to import while it waits, Keras first; without any it only waits
"""

import importlib
import json
import os
import pathlib
import runpy
import select
import sys
import tempfile
import threading

# How long it waits: it holds 0.4 GB, and beside a long training the seconds that it saves are nothing.
PATIENCE_S = 600
# Its exit status if no word came.
UNTOLD = 75


def main() -> None:
    """Imports, waits, and runs the step."""
    os.environ["_KFP_RUNTIME"] = "true"  # as KFP has it: what only a compiler needs is not imported, nor in the image
    executor = "kfp.dsl.executor_main"
    if modules := sys.argv[1:]:
        # Logging as KFP's executor sets it up, before TensorFlow, which would set it up another way.
        importlib.import_module(executor)._setup_logging()
        del sys.modules[executor]  # it is run below
        importlib.import_module("components.core.framework").load_keras()
        for module in modules:
            importlib.import_module(module)
    word = sys.stdin.readline() if select.select([sys.stdin], [], [], PATIENCE_S)[0] else ""
    if not word:
        os._exit(UNTOLD)
    threading.Thread(target=end_with, args=[os.dup(0)], daemon=True).start()
    source, *arguments = json.loads(word)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    file = pathlib.Path(tempfile.mkdtemp(), "ephemeral_component.py")
    file.write_text(source, encoding="utf-8")
    sys.argv = [executor, "--component_module_path", str(file), *arguments]
    runpy.run_module(executor, run_name="__main__", alter_sys=True)


def end_with(standard_input: int) -> None:
    """Ends the step once its standard input is closed: the run was killed, and would let it train on, unseen."""
    while os.read(standard_input, 4096):  # what someone types to `docker attach`
        pass
    os.write(2, b"\nerror: the step's standard input was closed, as when the run that it is of has ended\n")
    os._exit(1)


if __name__ == "__main__":
    main()
