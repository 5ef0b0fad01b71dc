"""What containment leaves to a person because no EC2 call can do it: the Kubernetes side of an EKS node. Pure.

Source: EKS best practices guide, "Incident response and forensics" (cordon, never drain; protect the node; deny the pod's
traffic; revoke the pod's credentials).
"""

from __future__ import annotations

from forensics.deployment import DEPLOYMENT
from forensics.models.containment import ManualStep
from forensics.models.target_facts import InstanceFacts

LABEL = f"{DEPLOYMENT}-case"
_NODE = "$NODE"


def manual_steps(facts: InstanceFacts, *, case_id: str) -> tuple[ManualStep, ...]:
    """What a person with access to the cluster does, in order; nothing for an instance that is not a node.

    It may be done before or after isolation: it goes to the cluster's API server, not to the node.
    """
    if not facts.eks_cluster:
        return ()
    return (*_node_steps(facts, case_id), *_workload_steps(facts, case_id))


def _node_steps(facts: InstanceFacts, case_id: str) -> tuple[ManualStep, ...]:
    cluster, region = facts.eks_cluster, facts.region
    on_node = f"--all-namespaces --field-selector spec.nodeName={_NODE}"
    return (
        ManualStep(
            id="eks.node",
            what="find the node of the instance",
            command=f"aws eks update-kubeconfig --region {region} --name {cluster}; NODE=$(kubectl get nodes -o"
            f" custom-columns=N:.metadata.name,I:.spec.providerID | awk '/{facts.instance_id}$/ {{ print $1 }}')",
            reason="the node's name is not the instance's id",
        ),
        ManualStep(
            id="eks.cordon",
            what="cordon the node; never drain it",
            command=f"kubectl cordon {_NODE}",
            reason="no new pods are scheduled on it; draining would end the pods, which are evidence",
        ),
        ManualStep(
            id="eks.keep",
            what="keep Karpenter and the cluster autoscaler from removing the node",
            command=f"kubectl annotate node {_NODE} karpenter.sh/do-not-disrupt=true"
            " cluster-autoscaler.kubernetes.io/scale-down-disabled=true",
            reason="a node that fails its health checks is replaced, and its instance terminated",
        ),
        ManualStep(
            id="eks.label",
            what="label the node and its pods, and record which pods there are",
            command=f"kubectl label node {_NODE} {LABEL}={case_id}; kubectl get pods {on_node} -o yaml > pods.yaml;"
            f" kubectl get pods {on_node} -o custom-columns=N:.metadata.namespace,P:.metadata.name --no-headers |"
            f" while read -r n p; do kubectl -n $n label pod $p {LABEL}={case_id}; done",
            reason="the NetworkPolicy selects them by the label, and they can be found again",
        ),
    )


def _workload_steps(facts: InstanceFacts, case_id: str) -> tuple[ManualStep, ...]:
    return (
        ManualStep(
            id="eks.network",
            what=f"in each of these namespaces: a NetworkPolicy that selects {LABEL}={case_id} and allows nothing",
            command=None,
            reason="pods with branch interfaces have security groups of their own; it has an effect only if the cluster's"
            " CNI enforces policies",
        ),
        ManualStep(
            id="eks.credentials",
            what="end the credentials of the pods' service accounts: pod identity associations, and a deny on the roles of IRSA",
            command=f"aws eks list-pod-identity-associations --region {facts.region} --cluster-name {facts.eks_cluster};"
            " kubectl get serviceaccounts --all-namespaces -o yaml | grep eks.amazonaws.com/role-arn",
            reason="they are not the instance's credentials: the deny on its role does not touch them",
        ),
    )
