//! The built-in types, as data: one row per resource and version.
//!
//! Facts only (names, verbs, subresources, how a type treats writes). Kinds that are not stored but answered, such as
//! access reviews, are rows too, so that discovery lists them. Columns, merge keys and defaults live elsewhere.
//! Checked row by row against the answers of a real server in `discovery`'s tests.

use super::flags::{
    CREATE_ON_UPDATE, DELETE_RETURNS_OBJECT, GENERATION, GRACEFUL, ORPHAN_BY_DEFAULT, STATUS,
    UNCONDITIONAL_UPDATE,
};
use super::{BuiltIn, Subresource};

const NAMESPACED: bool = true;
const CLUSTER: bool = false;
/// The verbs of most resources.
pub(crate) const ALL: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const GPU: &[&str] = &["get", "patch", "update"];

#[expect(clippy::too_many_arguments, reason = "a row of the table below, always written in this order")]
const fn row(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    namespaced: bool,
    short_names: &'static [&'static str],
    categories: &'static [&'static str],
    verbs: &'static [&'static str],
    flags: u16,
    subresources: &'static [Subresource],
) -> BuiltIn {
    BuiltIn {
        group,
        version,
        plural,
        singular,
        kind,
        namespaced,
        short_names,
        categories,
        verbs,
        flags,
        subresources,
    }
}

const fn sub(name: &'static str, kind: &'static str, verbs: &'static [&'static str]) -> Subresource {
    Subresource { name, kind, group_version: None, verbs }
}

const fn sub_as(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource { name, kind, group_version: Some((group, version)), verbs }
}

/// All rows, in the order in which discovery lists groups, versions and resources.
#[rustfmt::skip]
pub(crate) const BUILT_INS: &[BuiltIn] = &[
    // core/v1
    row("", "v1", "bindings", "binding", "Binding", NAMESPACED, &[], &[], &["create"], 0, &[]),
    row("", "v1", "componentstatuses", "componentstatus", "ComponentStatus", CLUSTER, &["cs"], &[], &["get", "list"], 0, &[]),
    row("", "v1", "configmaps", "configmap", "ConfigMap", NAMESPACED, &["cm"], &[], ALL, UNCONDITIONAL_UPDATE, &[]),
    row("", "v1", "endpoints", "endpoints", "Endpoints", NAMESPACED, &["ep"], &[], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE, &[]),
    row("", "v1", "events", "event", "Event", NAMESPACED, &["ev"], &[], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE, &[]),
    row("", "v1", "limitranges", "limitrange", "LimitRange", NAMESPACED, &["limits"], &[], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE, &[]),
    row("", "v1", "namespaces", "namespace", "Namespace", CLUSTER, &["ns"], &[], &["create", "delete", "get", "list", "patch", "update", "watch"], UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT | STATUS, &[sub("finalize", "Namespace", &["update"]), sub("status", "Namespace", GPU)]),
    row("", "v1", "nodes", "node", "Node", CLUSTER, &["no"], &[], ALL, UNCONDITIONAL_UPDATE | STATUS, &[sub("proxy", "NodeProxyOptions", &["create", "delete", "get", "patch", "update"]), sub("status", "Node", GPU)]),
    row("", "v1", "persistentvolumeclaims", "persistentvolumeclaim", "PersistentVolumeClaim", NAMESPACED, &["pvc"], &[], ALL, UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT | STATUS, &[sub("status", "PersistentVolumeClaim", GPU)]),
    row("", "v1", "persistentvolumes", "persistentvolume", "PersistentVolume", CLUSTER, &["pv"], &[], ALL, UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT | STATUS, &[sub("status", "PersistentVolume", GPU)]),
    row("", "v1", "pods", "pod", "Pod", NAMESPACED, &["po"], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT | STATUS | GRACEFUL, &[sub("attach", "PodAttachOptions", &["create", "get"]), sub("binding", "Binding", &["create"]), sub("ephemeralcontainers", "Pod", GPU), sub_as("eviction", "policy", "v1", "Eviction", &["create"]), sub("exec", "PodExecOptions", &["create", "get"]), sub("log", "Pod", &["get"]), sub("portforward", "PodPortForwardOptions", &["create", "get"]), sub("proxy", "PodProxyOptions", &["create", "delete", "get", "patch", "update"]), sub("resize", "Pod", GPU), sub("status", "Pod", GPU)]),
    row("", "v1", "podtemplates", "podtemplate", "PodTemplate", NAMESPACED, &[], &[], ALL, UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT, &[]),
    row("", "v1", "replicationcontrollers", "replicationcontroller", "ReplicationController", NAMESPACED, &["rc"], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | ORPHAN_BY_DEFAULT | STATUS, &[sub_as("scale", "autoscaling", "v1", "Scale", GPU), sub("status", "ReplicationController", GPU)]),
    row("", "v1", "resourcequotas", "resourcequota", "ResourceQuota", NAMESPACED, &["quota"], &[], ALL, UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT | STATUS, &[sub("status", "ResourceQuota", GPU)]),
    row("", "v1", "secrets", "secret", "Secret", NAMESPACED, &[], &[], ALL, UNCONDITIONAL_UPDATE, &[]),
    row("", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", NAMESPACED, &["sa"], &[], ALL, UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT, &[sub_as("token", "authentication.k8s.io", "v1", "TokenRequest", &["create"])]),
    row("", "v1", "services", "service", "Service", NAMESPACED, &["svc"], &["all"], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE | DELETE_RETURNS_OBJECT | STATUS, &[sub("proxy", "ServiceProxyOptions", &["create", "delete", "get", "patch", "update"]), sub("status", "Service", GPU)]),
    // apiregistration.k8s.io/v1
    row("apiregistration.k8s.io", "v1", "apiservices", "apiservice", "APIService", CLUSTER, &[], &["api-extensions"], ALL, STATUS, &[sub("status", "APIService", GPU)]),
    // apps/v1
    row("apps", "v1", "controllerrevisions", "controllerrevision", "ControllerRevision", NAMESPACED, &[], &[], ALL, UNCONDITIONAL_UPDATE, &[]),
    row("apps", "v1", "daemonsets", "daemonset", "DaemonSet", NAMESPACED, &["ds"], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | STATUS, &[sub("status", "DaemonSet", GPU)]),
    row("apps", "v1", "deployments", "deployment", "Deployment", NAMESPACED, &["deploy"], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | STATUS, &[sub_as("scale", "autoscaling", "v1", "Scale", GPU), sub("status", "Deployment", GPU)]),
    row("apps", "v1", "replicasets", "replicaset", "ReplicaSet", NAMESPACED, &["rs"], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | STATUS, &[sub_as("scale", "autoscaling", "v1", "Scale", GPU), sub("status", "ReplicaSet", GPU)]),
    row("apps", "v1", "statefulsets", "statefulset", "StatefulSet", NAMESPACED, &["sts"], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | STATUS, &[sub_as("scale", "autoscaling", "v1", "Scale", GPU), sub("status", "StatefulSet", GPU)]),
    // events.k8s.io/v1
    row("events.k8s.io", "v1", "events", "event", "Event", NAMESPACED, &["ev"], &[], ALL, CREATE_ON_UPDATE, &[]),
    // authentication.k8s.io/v1
    row("authentication.k8s.io", "v1", "selfsubjectreviews", "selfsubjectreview", "SelfSubjectReview", CLUSTER, &[], &[], &["create"], 0, &[]),
    row("authentication.k8s.io", "v1", "tokenreviews", "tokenreview", "TokenReview", CLUSTER, &[], &[], &["create"], 0, &[]),
    // authorization.k8s.io/v1
    row("authorization.k8s.io", "v1", "localsubjectaccessreviews", "localsubjectaccessreview", "LocalSubjectAccessReview", NAMESPACED, &[], &[], &["create"], 0, &[]),
    row("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "selfsubjectaccessreview", "SelfSubjectAccessReview", CLUSTER, &[], &[], &["create"], 0, &[]),
    row("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "selfsubjectrulesreview", "SelfSubjectRulesReview", CLUSTER, &[], &[], &["create"], 0, &[]),
    row("authorization.k8s.io", "v1", "subjectaccessreviews", "subjectaccessreview", "SubjectAccessReview", CLUSTER, &[], &[], &["create"], 0, &[]),
    // autoscaling/v2
    row("autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler", NAMESPACED, &["hpa"], &["all"], ALL, UNCONDITIONAL_UPDATE | STATUS, &[sub("status", "HorizontalPodAutoscaler", GPU)]),
    // autoscaling/v1
    row("autoscaling", "v1", "horizontalpodautoscalers", "horizontalpodautoscaler", "HorizontalPodAutoscaler", NAMESPACED, &["hpa"], &["all"], ALL, UNCONDITIONAL_UPDATE | STATUS, &[sub("status", "HorizontalPodAutoscaler", GPU)]),
    // batch/v1
    row("batch", "v1", "cronjobs", "cronjob", "CronJob", NAMESPACED, &["cj"], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | STATUS, &[sub("status", "CronJob", GPU)]),
    row("batch", "v1", "jobs", "job", "Job", NAMESPACED, &[], &["all"], ALL, GENERATION | UNCONDITIONAL_UPDATE | ORPHAN_BY_DEFAULT | STATUS, &[sub("status", "Job", GPU)]),
    // certificates.k8s.io/v1
    row("certificates.k8s.io", "v1", "certificatesigningrequests", "certificatesigningrequest", "CertificateSigningRequest", CLUSTER, &["csr"], &[], ALL, STATUS, &[sub("approval", "CertificateSigningRequest", GPU), sub("status", "CertificateSigningRequest", GPU)]),
    row("certificates.k8s.io", "v1", "clustertrustbundles", "clustertrustbundle", "ClusterTrustBundle", CLUSTER, &[], &[], ALL, 0, &[]),
    row("certificates.k8s.io", "v1", "podcertificaterequests", "podcertificaterequest", "PodCertificateRequest", NAMESPACED, &[], &[], ALL, STATUS, &[sub("status", "PodCertificateRequest", GPU)]),
    // networking.k8s.io/v1
    row("networking.k8s.io", "v1", "ingressclasses", "ingressclass", "IngressClass", CLUSTER, &[], &[], ALL, GENERATION | UNCONDITIONAL_UPDATE, &[]),
    row("networking.k8s.io", "v1", "ingresses", "ingress", "Ingress", NAMESPACED, &["ing"], &[], ALL, GENERATION | UNCONDITIONAL_UPDATE | STATUS, &[sub("status", "Ingress", GPU)]),
    row("networking.k8s.io", "v1", "ipaddresses", "ipaddress", "IPAddress", CLUSTER, &["ip"], &[], ALL, 0, &[]),
    row("networking.k8s.io", "v1", "networkpolicies", "networkpolicy", "NetworkPolicy", NAMESPACED, &["netpol"], &[], ALL, GENERATION | UNCONDITIONAL_UPDATE, &[]),
    row("networking.k8s.io", "v1", "servicecidrs", "servicecidr", "ServiceCIDR", CLUSTER, &[], &[], ALL, STATUS, &[sub("status", "ServiceCIDR", GPU)]),
    // policy/v1
    row("policy", "v1", "poddisruptionbudgets", "poddisruptionbudget", "PodDisruptionBudget", NAMESPACED, &["pdb"], &[], ALL, GENERATION | STATUS, &[sub("status", "PodDisruptionBudget", GPU)]),
    // rbac.authorization.k8s.io/v1
    row("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", CLUSTER, &[], &[], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE, &[]),
    row("rbac.authorization.k8s.io", "v1", "clusterroles", "clusterrole", "ClusterRole", CLUSTER, &[], &[], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE, &[]),
    row("rbac.authorization.k8s.io", "v1", "rolebindings", "rolebinding", "RoleBinding", NAMESPACED, &[], &[], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE, &[]),
    row("rbac.authorization.k8s.io", "v1", "roles", "role", "Role", NAMESPACED, &[], &[], ALL, CREATE_ON_UPDATE | UNCONDITIONAL_UPDATE, &[]),
    // storage.k8s.io/v1
    row("storage.k8s.io", "v1", "csidrivers", "csidriver", "CSIDriver", CLUSTER, &[], &[], ALL, GENERATION, &[]),
    row("storage.k8s.io", "v1", "csinodes", "csinode", "CSINode", CLUSTER, &[], &[], ALL, STATUS, &[sub("status", "CSINode", GPU)]),
    row("storage.k8s.io", "v1", "csistoragecapacities", "csistoragecapacity", "CSIStorageCapacity", NAMESPACED, &[], &[], ALL, 0, &[]),
    row("storage.k8s.io", "v1", "storageclasses", "storageclass", "StorageClass", CLUSTER, &["sc"], &[], ALL, UNCONDITIONAL_UPDATE, &[]),
    row("storage.k8s.io", "v1", "volumeattachments", "volumeattachment", "VolumeAttachment", CLUSTER, &[], &[], ALL, STATUS, &[sub("status", "VolumeAttachment", GPU)]),
    row("storage.k8s.io", "v1", "volumeattributesclasses", "volumeattributesclass", "VolumeAttributesClass", CLUSTER, &["vac"], &[], ALL, 0, &[]),
    // admissionregistration.k8s.io/v1
    row("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "mutatingadmissionpolicy", "MutatingAdmissionPolicy", CLUSTER, &[], &["api-extensions"], ALL, GENERATION, &[]),
    row("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings", "mutatingadmissionpolicybinding", "MutatingAdmissionPolicyBinding", CLUSTER, &[], &["api-extensions"], ALL, GENERATION, &[]),
    row("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "mutatingwebhookconfiguration", "MutatingWebhookConfiguration", CLUSTER, &[], &["api-extensions"], ALL, GENERATION, &[]),
    row("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "validatingadmissionpolicy", "ValidatingAdmissionPolicy", CLUSTER, &[], &["api-extensions"], ALL, GENERATION | STATUS, &[sub("status", "ValidatingAdmissionPolicy", GPU)]),
    row("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "validatingadmissionpolicybinding", "ValidatingAdmissionPolicyBinding", CLUSTER, &[], &["api-extensions"], ALL, GENERATION, &[]),
    row("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "validatingwebhookconfiguration", "ValidatingWebhookConfiguration", CLUSTER, &[], &["api-extensions"], ALL, GENERATION, &[]),
    // apiextensions.k8s.io/v1
    row("apiextensions.k8s.io", "v1", "customresourcedefinitions", "customresourcedefinition", "CustomResourceDefinition", CLUSTER, &["crd", "crds"], &["api-extensions"], ALL, GENERATION | STATUS, &[sub("status", "CustomResourceDefinition", GPU)]),
    // scheduling.k8s.io/v1
    row("scheduling.k8s.io", "v1", "priorityclasses", "priorityclass", "PriorityClass", CLUSTER, &["pc"], &[], ALL, GENERATION | UNCONDITIONAL_UPDATE, &[]),
    // coordination.k8s.io/v1
    row("coordination.k8s.io", "v1", "leases", "lease", "Lease", NAMESPACED, &[], &[], ALL, CREATE_ON_UPDATE, &[]),
    // node.k8s.io/v1
    row("node.k8s.io", "v1", "runtimeclasses", "runtimeclass", "RuntimeClass", CLUSTER, &[], &[], ALL, CREATE_ON_UPDATE, &[]),
    // discovery.k8s.io/v1
    row("discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", NAMESPACED, &[], &[], ALL, GENERATION, &[]),
    // resource.k8s.io/v1
    row("resource.k8s.io", "v1", "deviceclasses", "deviceclass", "DeviceClass", CLUSTER, &[], &[], ALL, GENERATION, &[]),
    row("resource.k8s.io", "v1", "devicetaintrules", "devicetaintrule", "DeviceTaintRule", CLUSTER, &[], &[], ALL, STATUS, &[sub("status", "DeviceTaintRule", GPU)]),
    row("resource.k8s.io", "v1", "resourceclaims", "resourceclaim", "ResourceClaim", NAMESPACED, &[], &[], ALL, STATUS, &[sub("status", "ResourceClaim", GPU)]),
    row("resource.k8s.io", "v1", "resourceclaimtemplates", "resourceclaimtemplate", "ResourceClaimTemplate", NAMESPACED, &[], &[], ALL, 0, &[]),
    row("resource.k8s.io", "v1", "resourceslices", "resourceslice", "ResourceSlice", CLUSTER, &[], &[], ALL, GENERATION, &[]),
    // flowcontrol.apiserver.k8s.io/v1
    row("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "flowschema", "FlowSchema", CLUSTER, &[], &[], ALL, GENERATION | STATUS, &[sub("status", "FlowSchema", GPU)]),
    row("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "prioritylevelconfiguration", "PriorityLevelConfiguration", CLUSTER, &[], &[], ALL, GENERATION | STATUS, &[sub("status", "PriorityLevelConfiguration", GPU)]),
    // storagemigration.k8s.io/v1
    row("storagemigration.k8s.io", "v1", "storageversionmigrations", "storageversionmigration", "StorageVersionMigration", CLUSTER, &[], &[], ALL, STATUS, &[sub("status", "StorageVersionMigration", GPU)]),
];
