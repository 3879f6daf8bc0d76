"""Checks of what not every run needs: training on several nodes, and the servers of published models."""

from components.train.nodes.train_job import RUNTIME
from pipeline.cluster.doctor.check import Check, Setup, failed, ok, skipped, warning
from pipeline.cluster.doctor.kubernetes_side import TIMEOUT_S, gpus_asked, gpus_of, nodes_for, unless_absent

TRAINER = ("trainer.kubeflow.org", "v1alpha1")
SERVING_NAMESPACE, SERVER = "conv2d-serving", "tensorflow-serving"


def check_several_nodes(setup: Setup) -> Check:
    """Kubeflow Trainer, our runtime for it, the step's right to start nodes, and nodes with enough GPUs."""
    from kubernetes import client

    count = setup.parameters.nodes
    if count == 1:
        return skipped("the run trains on one")
    overlay = "kubectl apply --server-side -k k8s/overlays/<yours>, with k8s/components/multi-node in it"
    try:
        client.CustomObjectsApi(setup.core.api_client).get_namespaced_custom_object(
            *TRAINER, setup.pods_in, "trainingruntimes", RUNTIME, _request_timeout=TIMEOUT_S
        )
    except client.ApiException as error:
        if error.status != 404:
            raise
        if (error.body or "").startswith("{"):  # the API's own answer; without Trainer there is no such API
            return failed(f"the TrainingRuntime {RUNTIME} is not there", overlay)
        return failed("Kubeflow Trainer is not there", "install it: https://www.kubeflow.org/docs/components/trainer")
    if not _may_start_nodes(setup):
        return failed(f"{setup.service_account} may not create TrainJobs", overlay)
    asked = gpus_asked(setup)
    fitting = [node for node in nodes_for(setup) if gpus_of(node, setup) >= asked]
    if asked and len(fitting) < count:  # without GPUs several fit one machine
        what = f"{len(fitting)} of {count} nodes with {asked} {setup.parameters.accelerator} are there"
        return warning(what, "fine if an autoscaler makes such nodes from none; else lower nodes= or gpus=")
    return ok(f"TrainingRuntime {RUNTIME}, the right to start {count} nodes, and {len(fitting)} that fit")


def check_serving(setup: Setup) -> Check:
    """Whether the servers of published models are ready, if they are installed."""
    from kubernetes import client

    read = client.AppsV1Api(setup.core.api_client).read_namespaced_deployment
    deployment = unless_absent(lambda: read(SERVER, SERVING_NAMESPACE, _request_timeout=TIMEOUT_S))
    if deployment is None:
        return skipped(f"no {SERVER} in {SERVING_NAMESPACE}: kubectl apply --server-side -k k8s/overlays/serving")
    wanted_pods, ready = deployment.spec.replicas or 0, deployment.status.ready_replicas or 0
    if wanted_pods and ready >= wanted_pods:
        return ok(f"{ready} servers ready in {SERVING_NAMESPACE}")
    fix = f"kubectl -n {SERVING_NAMESPACE} describe pods; a server is ready once it has loaded the model"
    return failed(f"{ready} of {wanted_pods} servers are ready", fix)


def _may_start_nodes(setup: Setup) -> bool:
    """True also if we may not ask that for others."""
    from kubernetes import client

    attributes = {"namespace": setup.pods_in, "verb": "create", "group": TRAINER[0], "resource": "trainjobs"}
    review = client.V1SubjectAccessReview(
        spec=client.V1SubjectAccessReviewSpec(
            user=f"system:serviceaccount:{setup.pods_in}:{setup.service_account}",
            resource_attributes=client.V1ResourceAttributes(**attributes),
        )
    )
    try:
        asked = client.AuthorizationV1Api(setup.core.api_client)
        return asked.create_subject_access_review(review, _request_timeout=TIMEOUT_S).status.allowed
    except client.ApiException as error:
        if error.status in (401, 403):
            return True
        raise


CHECKS = {"several nodes": check_several_nodes, "serving": check_serving}
