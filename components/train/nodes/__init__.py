"""Training on several nodes of a cluster: Keras on JAX, each node a process; their devices divide every batch.

launch.py      the train step: has Kubeflow Trainer start the nodes, waits for them, fetches what they made
follow.py      one TrainJob from its making to its end
train_job.py   what Trainer is asked for, as the object that Kubernetes takes
pods.py        what the nodes' pods say: why one waits, why one failed, the first one's log
kube.py        the few requests to the Kubernetes API that this takes
job.py         what the nodes are told
node.py        what each node runs
"""
