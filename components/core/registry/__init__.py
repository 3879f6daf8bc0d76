"""A model registry in a bucket, without a server: directories that model servers read, and rules about who writes what.

    models/NAME/3/saved_model.pb ...   a version: a SavedModel, extras in assets.extra/, and manifest.json, written last
    models/NAME/champion.json          which version is the champion, and which were before it
    models/.claims/NAME/3.json         number 3 is taken; stays when the version is deleted: no number is used twice
    models/.staging/NAME/3/...         what is on its way to become version 3

Why it is so:

- Numbers. A publisher takes a number by creating its claim where none may be yet; the store decides who was first.
- Whole or not at all. A version counts from its manifest on. Model servers know no manifests: TensorFlow Serving lists
  the children of `models/NAME/`, leaves out what is no number (so champion.json does not disturb it), and tries to
  load the highest number as soon as one object below it exists
  (tensorflow_serving/sources/storage_path/file_system_storage_path_source.cc). So the files travel to `.staging/`
  first and are then copied to their place inside the store, which takes a moment and not an upload's minutes,
  saved_model.pb last. A server that looks in that moment finds a directory without saved_model.pb, which it can't load
  and tries again a minute later, five times: never a model with half its weights.
- Claims and staging lie outside `models/NAME/`, because KServe downloads all of that before it serves.
- The champion is a pointer that moves by compare-and-set: of two who move it at once, one is told that the other did.
  Servers follow the highest number, not the champion. They are the same while only winners are published and promoted;
  after a rollback, pin the server to the champion's number (TensorFlow Serving: `model_version_policy { specific }`).
"""

from components.core.registry.champion import Champion
from components.core.registry.exported import read_export
from components.core.registry.registry import Registry, Version

__all__ = ["Champion", "Registry", "Version", "read_export"]
