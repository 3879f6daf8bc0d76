"""A small server of the open inference protocol (v2, REST) on onnxruntime, over the folders that Triton reads.

It takes a folder as Triton does, NAME/config.pbtxt and NAME/1/model.onnx, holds the model to its description, and
refuses what Triton refuses: a tensor of another name, type or shape, more pictures than max_batch_size, unknown fields.
"""

import pathlib
import re
from typing import Any

import numpy as np

from tests.servers.http_api import Api

KINDS = {"UINT8": ("tensor(uint8)", np.uint8), "FP32": ("tensor(float)", np.float32)}


class OpenInference(Api):
    """All models below a folder, loaded."""

    def __init__(self, repository: pathlib.Path):
        import onnxruntime

        super().__init__()
        self.models = {}
        for folder in repository.iterdir():
            config = (folder / "config.pbtxt").read_text()
            session = onnxruntime.InferenceSession(folder / "1" / "model.onnx", providers=["CPUExecutionProvider"])
            assert re.search(r'^backend: "onnxruntime"$', config, re.MULTILINE)
            described = {kind: tensors(config, kind) for kind in ("input", "output")}
            for kind, found in (("input", session.get_inputs()), ("output", session.get_outputs())):
                [tensor], [real] = described[kind], found
                assert (tensor["name"], KINDS[tensor["datatype"]][0]) == (real.name, real.type)
                # What the model itself leaves open is the description's to say; the batch is not in it.
                assert all(isinstance(a, str) or a == b for a, b in zip(real.shape[1:], tensor["shape"], strict=True))
            batch = int(re.search(r"^max_batch_size: (\d+)$", config, re.MULTILINE)[1])
            assert len((folder / "labels.txt").read_text().splitlines()) == described["output"][0]["shape"][-1]
            self.models[folder.name] = (session, described, batch)

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> tuple[int, Any]:
        if path in ("/v2/health/ready", "/v2/health/live"):
            return 200, {}
        _, _, _, name, *rest = [*path.split("/"), "", ""]
        if not path.startswith("/v2/models/") or name not in self.models:
            return 404, {"error": f"Request for unknown model: '{name}' is not found"}
        session, described, batch = self.models[name]
        if method == "GET":
            shaped = {kind: [{**one, "shape": [-1, *one["shape"]]} for one in described[kind]] for kind in described}
            about = {"name": name, "versions": ["1"], "platform": "onnxruntime_onnx"}
            return 200, about | {"inputs": shaped["input"], "outputs": shaped["output"]}
        assert rest[0] == "infer"
        try:
            [given] = body["inputs"]
            if set(body) - {"id", "inputs", "outputs", "parameters"} or set(given) != {
                *("name", "shape", "datatype", "data")
            }:
                raise ValueError("unknown fields")
            [wanted] = described["input"]
            count, *shape = given["shape"]
            if (given["name"], given["datatype"], shape) != (wanted["name"], wanted["datatype"], wanted["shape"]):
                raise ValueError(f"unexpected tensor {given['name']} {given['datatype']} {given['shape']}")
            if count > batch:
                raise ValueError(f"inference request batch-size must be <= {batch} for '{name}'")
            images = np.array(given["data"], KINDS[given["datatype"]][1]).reshape(given["shape"])
        except (KeyError, ValueError, OverflowError) as error:
            return 400, {"error": str(error)}
        [output] = described["output"]
        [answer] = session.run([output["name"]], {wanted["name"]: images})
        tensor = {"name": output["name"], "datatype": output["datatype"], "shape": list(answer.shape)}
        return 200, {"model_name": name, "model_version": "1", "outputs": [tensor | {"data": answer.ravel().tolist()}]}


def tensors(config: str, kind: str) -> list[dict]:
    """The tensors that config.pbtxt names as input or output, in the protocol's words."""
    found = re.findall(rf'^{kind} {{ name: "(\w+)" data_type: TYPE_(\w+) dims: \[ ([\d, ]+) \]', config, re.MULTILINE)
    return [
        {"name": name, "datatype": datatype, "shape": [int(size) for size in dims.split(",")]}
        for name, datatype, dims in found
    ]
