"""What a person types and what Kubeflow is given: the graph, its parameters, runs here and on a cluster."""

import pathlib

# The checkout: the folder that holds components/, docker/ and k8s/.
ROOT = pathlib.Path(__file__).resolve().parent.parent
