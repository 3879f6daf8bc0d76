"""The process that proves an export is forked only while a fork is as fresh as a new Python."""

import json
import os
import pathlib
from multiprocessing.connection import Connection

from components.export.fresh import start_fresh
from tests.warm import run

marked = False
PROGRAM = """
import json, numpy, os, tensorflow as tf, threading
from tests.components.export import test_fresh
test_fresh.marked = True
numpy.ones([300, 300]) @ numpy.ones([300, 300])  # the threads of OpenBLAS are not in the way
threading.Thread(target=os.read, args=[os.pipe()[0], 1], daemon=True).start()  # nor is one by which a container waits
only_imported = test_fresh.told()
tf.constant(1) + tf.constant(1)
print(json.dumps([only_imported, test_fresh.told()]))
"""


def tell(connection: Connection, given: str) -> None:
    """In the fresh process: what it was given, whether it was forked, its threads, its parent."""
    connection.send([given, marked, len(list(pathlib.Path("/proc/self/task").iterdir())), os.getppid()])


def told() -> list:
    process, connection = start_fresh(tell, "it's given")
    *facts, parent = connection.recv()
    process.join()
    return [*facts, parent == os.getpid()]


def test_a_process_in_which_an_operation_has_run_is_not_forked(warm):
    forked, new = json.loads(run(warm, PROGRAM).stdout.splitlines()[-1])
    assert forked == ["it's given", True, 1, True]
    assert (new[0], new[1], new[3]) == ("it's given", False, True)
