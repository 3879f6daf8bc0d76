"""A model registry in a bucket, without a server: directories that model servers read, and rules about who writes what.

    models/NAME/3/saved_model.pb ...   a champion, present or past: a SavedModel, extras in assets.extra/, manifest.json
    models/NAME/champion.json          the champion, those before it, what was rolled back, what is being deleted
    models/.staging/NAME/4/...         a version that has not been champion yet, or is on its way
    models/.claims/NAME/4.json         number 4 is taken, for ever: no number is used twice
    models/.looks/NAME.npz             how often each test picture was asked in a comparison (components/evaluate)

What is kept, whoever is killed between whichever two requests, and however many are at work (tests/soak):

1. Only what this registry made is removed, and each removal is told. A numbered directory without a manifest that was
   never champion is somebody else's: never touched, its number is skipped. Nothing but `delete` removes a version, and
   it spares the champion always, and past champions without --force.
2. A version is whole or invisible. It counts from its manifest on, which is created last, if there is none. Who
   clears an abandoned upload away first creates an empty manifest in that place: so either the publisher is first, or
   it is told.
3. A server that follows the highest number sees only versions that are, or were, champion. Publishing writes to
   .staging only. Promoting moves the pointer first, and then copies the files, inside the store, to models/NAME/N/.
4. champion.json is the only thing that decides. It changes by compare-and-set over what was read: of two who name
   champions at once one is told, and who promotes a challenger names the champion that it was compared with. Deleting
   first says so there. So a promotion and a deletion of one version never both succeed, and nothing is ever put back.
5. What was rolled back, or an identical model (the same model.keras, weights or files), is refused until an operator
   names it: `models champion NAME VERSION`. To name an earlier champion is to roll back those since: the next run
   brings their model again.
6. Promote, rollback and fetch prove every file by its SHA-256, show by name and size.
7. Damage stays local: a manifest that can't be read costs its version, a champion.json that can't or is gone the answer
   to "which is the champion", until one is named. Then what servers see counts as the champions before, and what was
   rolled back is forgotten, which is told.

Between the pointer's move and the last copy the champion lies in .staging, where our own readers find it as well;
servers go on with the one before. Killed there, whoever publishes, or promotes it again, finishes
it. The other order would show servers a version that then loses against a quicker one.

What servers need. TensorFlow Serving lists the children of models/NAME/, leaves out what is no number, and tries to
load the highest as soon as one object below it exists; if that fails it tries again a minute later, five times, and
goes on with the version before (tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc). KServe
downloads all of models/NAME/ when a pod starts, and runs the same server on it. Neither knows manifests, and stores
can't rename a directory: so saved_model.pb, without which nothing loads, is the last file copied and the first
deleted. In between, which is seconds, a server finds a champion that it can't load yet, never half of its weights; a
pod of KServe that starts in these seconds does not become ready. Claims and staging lie outside models/NAME/, so that
KServe does not download them.

Servers follow the highest number, not the pointer. The two differ after a rollback, or once an older version was
promoted: then pin the server to the champion (`models serve NAME`).

Registries of earlier releases, which published to models/NAME/N/ before anything was decided, are read as they are.
"""

from components.core.registry.champion import Champion, OvertakenError, RolledBackError
from components.core.registry.publishing import read_export
from components.core.registry.registry import Registry
from components.core.registry.versions import UnreadableVersion, Version

__all__ = [
    "Champion",
    "OvertakenError",
    "Registry",
    "RolledBackError",
    "UnreadableVersion",
    "Version",
    "read_export",
]
