"""What an early container runs (step_containers.py sends this text): imports, waits for the word on standard input, and
becomes what KFP would have started. If standard input is closed without a word, nobody needs it any more.

python3 -c TEXT MODULE...       the modules to import beside Keras
"""

import importlib
import json
import os
import pathlib
import runpy
import sys
import tempfile


def main() -> None:
    """Imports, waits, and runs the step."""
    os.environ["_KFP_RUNTIME"] = "true"  # as KFP has it: what only a compiler needs is not imported, nor in the image
    # Logging as KFP's executor sets it up, before TensorFlow, which would set it up another way.
    executor = "kfp.dsl.executor_main"
    importlib.import_module(executor)._setup_logging()
    del sys.modules[executor]  # it is run below
    importlib.import_module("components.core.framework").load_keras()
    for module in sys.argv[1:]:
        importlib.import_module(module)
    word = sys.stdin.readline()
    if not word:
        return
    source, *arguments = json.loads(word)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    file = pathlib.Path(tempfile.mkdtemp(), "ephemeral_component.py")
    file.write_text(source, encoding="utf-8")
    sys.argv = [executor, "--component_module_path", str(file), *arguments]
    runpy.run_module(executor, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
