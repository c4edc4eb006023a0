import json
import shlex

import pytest
from manifests import LAUNCHER, LAUNCHER_POD, WORKER, WORKER_POD, manifest, put

from mpijob_local.ignoring import format_field
from mpijob_local.manifest import Overrides, load_manifest
from mpijob_local.pod import NETWORKS_ANNOTATION
from mpijob_local.validation import remarks
from mpijob_runtime.errors import ManifestError

CONTAINER = f"{LAUNCHER_POD}.containers"


@pytest.fixture
def load(tmp_path):
    """Return a function that loads a manifest given as data (JSON is YAML) or text."""

    def _load(content, **options):
        path = tmp_path / "job.yaml"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            text = content if isinstance(content, str) else json.dumps(content, indent=1)
            path.write_text(text, encoding="utf-8")
        return load_manifest(str(path), **options)

    return _load


def problems_of(load, content, **options):
    """Return what is wrong with a manifest that must not load."""
    with pytest.raises(ManifestError) as caught:
        load(content, **options)
    assert caught.value.exit_code == 65
    return caught.value.problems


def test_defaults(load):
    """What a manifest leaves out has the operator's defaults."""
    job = load(manifest()).job

    assert (job.spec.slots_per_worker, job.spec.ssh_auth_mount_path) == (1, "/root/.ssh")
    assert job.spec.launcher_creation_policy == "AtStartup"
    assert job.spec.run_policy.clean_pod_policy == "None"
    assert job.spec.run_policy.backoff_limit == 6
    assert job.metadata.namespace == "default"
    assert job.workers == 2


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        ("kind", "Job", "MPIJob"),
        ("apiVersion", "kubeflow.org/v1", "kubeflow.org/v2beta1"),
        ("spec.slotsPerWorker", -1, "greater than or equal to 0"),
        ("spec.slotsPerWorker", "2", "a whole number"),
        ("spec.sshAuthMountPath", "", "not empty"),
        ("spec.mpiImplementation", "LAM", "'OpenMPI', 'Intel' or 'MPICH'"),
        ("spec.runPolicy.backoffLimit", -1, "greater than or equal to 0"),
        ("spec.runPolicy.cleanPodPolicy", "Never", "'None', 'Running' or 'All'"),
        (f"{LAUNCHER}.replicas", 2, "1"),
        (f"{LAUNCHER}.restartPolicy", "Always", "'Never' or 'OnFailure'"),
        (f"{WORKER}.replicas", 0, "1 or more"),
        ("metadata.name", "Pi", "a DNS label"),
        ("metadata.name", "p" * 60, "at most 63"),
        ("metadata.name", "1pi", "starting with a letter"),
        ("metadata.namespace", "a.b", "a DNS label"),
        (f"{CONTAINER}.env", [{"name": "A", "value": 1}], 'in quotes: "1"'),
        (f"{CONTAINER}.command", "mpirun", "a list"),
        (f"{CONTAINER}.resources", {"limits": {"cpu": "x"}}, "a quantity"),
        (f"{CONTAINER}.resources", {"limits": {"nvidia.com/gpu": 1}}, "no nvidia.com/gpu"),
        (
            f"{CONTAINER}.resources",
            {"limits": {"cpu": 1}, "requests": {"cpu": 2}},
            "at most the limit",
        ),
        (f"{CONTAINER}.volumeMounts", [{"name": "v", "mountPath": "/v"}], "a volume of this pod"),
        (f"{CONTAINER}.readinessProbe", {"periodSeconds": 1}, "either tcpSocket or exec"),
        (f"{LAUNCHER_POD}.containers", [], "at least one item"),
        (f"{LAUNCHER_POD}.volumes", [{"name": "ssh-auth", "emptyDir": {}}], "neither the operator"),
        (f"{LAUNCHER_POD}.volumes", [{"name": "v"}], "either emptyDir or persistentVolumeClaim"),
        (
            f"{WORKER_POD}.volumes",
            [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
            "--claim data=DIR",
        ),
    ],
)
def test_wrong_values(load, path, value, wanted):
    """A wrong value is named with its line, its field and what should stand there."""
    (problem,) = problems_of(load, put(manifest(), path, value))

    assert wanted in problem.wanted
    assert problem.line > 0
    assert problem.where.replace("[0]", "").startswith(path.replace("[0]", ""))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (f"{WORKER_POD}.nodeSelector", {"a": "b"}, "scheduling"),
        (f"{WORKER_POD}.hostNetwork", True, "namespaces of their own"),
        (f"{WORKER_POD}.hostname", "x", "operator sets it"),
        (f"{WORKER_POD}.initContainers", [{"name": "x"}], "not support it yet"),
        (f"{CONTAINER}.securityContext", {"privileged": True}, "whole machine"),
        (f"{CONTAINER}.envFrom", [{}], "no cluster"),
        ("spec.runPolicy.suspend", True, "suspended"),
        ("spec.runPolicy.schedulingPolicy", {"queue": "q"}, "scheduling"),
        ("status", {"x": 1}, "cluster sets it"),
    ],
)
def test_refused_fields(load, path, value, reason):
    """A field of Kubernetes that is not obeyed is refused by name, with the reason."""
    (problem,) = problems_of(load, put(manifest(), path, value))

    assert reason in problem.wanted


@pytest.mark.parametrize("value", [False, None, {}, [], ""])
def test_refused_fields_may_be_empty(load, value):
    """A refused field that asks for nothing is no problem."""
    assert load(put(manifest(), f"{WORKER_POD}.hostNetwork", value))


def test_sidecars(load):
    """A second container is refused by its name."""
    data = manifest()
    containers = data["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    containers.append({"name": "proxy", "image": "x"})

    (problem,) = problems_of(load, data)

    assert problem.found == "container 'proxy'"
    assert problem.where == f"{WORKER_POD}.containers[1]"


def test_typo(load):
    """An unknown field is named with its line and the field that was probably meant."""
    text = (
        "apiVersion: kubeflow.org/v2beta1\nkind: MPIJob\nmetadata: {name: pi}\n"
        "spec:\n  slotsPerWorkers: 2\n  mpiReplicaSpecs: {}\n"
    )

    first, second = problems_of(load, text)

    assert (first.line, first.where) == (5, "spec.slotsPerWorkers")
    assert "did you mean slotsPerWorker?" in first.wanted
    assert (second.line, second.found) == (6, "nothing")


def test_all_problems_at_once(load):
    """Every wrong field is told in one go, in the order of the file."""
    data = put(put(manifest(), "spec.slotsPerWorker", -1), f"{WORKER}.replicas", "x")

    lines = [problem.line for problem in problems_of(load, data)]

    assert lines == sorted(lines)
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "empty"),
        ("# nothing\n", "only comments"),
        ("- a\n", "a list"),
        ("kind: a\nkind: b\n", "duplicate key"),
        ("kind:\n\t- a\n", "character '\\t'"),
        ("kind: a\n---\nkind: b\n", "2 YAML documents"),
        ("{", "expected the node content"),
        ("? a: {b: c}\n: d\n", "a key or a tagged value that the YAML parser cannot take"),
        ("a: !!int ''\n", "a key or a tagged value that the YAML parser cannot take"),
        ("a: *b\n", "undefined alias"),
        ("[" * 600, "nested too deeply"),
        ("a: " + "x" * (1 << 20), "larger file"),
        (b"\x00\x01", "a character that YAML forbids"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("a: &a [x]\nb: &b [" + "*a," * 400 + "]\nc: [" + "*b," * 400 + "]\n", "without bound"),
        ("a: 2020-13-45\n", "month"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_no_yaml(load, content, found):
    """What is no single YAML document is refused with its reason, whatever it is."""
    problems = problems_of(load, content)

    assert any(found in problem.found for problem in problems)


def test_unreadable(tmp_path):
    """A path that cannot be read is a wrong manifest."""
    with pytest.raises(ManifestError, match="no such file"):
        load_manifest(str(tmp_path / "nowhere.yaml"))


def test_yaml_as_kubernetes_reads_it(load):
    """Anchors, merges and YAML 1.1 booleans mean what they mean to kubectl."""
    text = """\
apiVersion: kubeflow.org/v2beta1
kind: MPIJob
metadata: {name: pi}
spec:
  runLauncherAsWorker: yes
  mpiReplicaSpecs:
    Launcher: &role
      template: {spec: {containers: [{name: main, image: pi}]}}
    Worker:
      <<: *role
      replicas: 3
---
"""
    job = load(text).job

    assert job.spec.run_launcher_as_worker is True
    assert job.workers == 3


@pytest.mark.parametrize(
    ("pattern", "ignored"),
    [
        ("nodeSelector", f"{WORKER_POD}.nodeSelector"),
        ("*.Worker.*.nodeSelector", f"{WORKER_POD}.nodeSelector"),
        (f"{WORKER_POD}.nodeSelector", f"{WORKER_POD}.nodeSelector"),
    ],
)
def test_ignore(load, pattern, ignored):
    """A refused field can be left out by its name or by a pattern of its path."""
    data = put(manifest(), f"{WORKER_POD}.nodeSelector", {"a": "b"})

    assert (ignored,) == load(data, ignore=[pattern]).ignored


@pytest.mark.parametrize("pattern", ["nvidia.com/gpu", "nvidia.com/*", "*.Worker.*.limits"])
def test_ignore_a_name_with_dots(load, pattern):
    """Most public manifests have this field; a dot does not make a path of it."""
    path = f"{WORKER_POD}.containers.resources"
    data = put(manifest(), path, {"limits": {"nvidia.com/gpu": 1}})

    (ignored,) = load(data, ignore=[pattern]).ignored

    assert ".limits" in ignored


def test_ignore_an_item_of_a_list(load):
    """Brackets are the index of a list; the others keep their lines and their own indexes."""
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in "ab"]
    data = put(manifest(), f"{WORKER_POD}.containers.volumeMounts", mounts)
    volumes = [{"name": "a", "hostPath": {"path": "/"}}, {"name": "b"}]
    put(data, f"{WORKER_POD}.volumes", volumes)

    (problem,) = problems_of(load, data, ignore=["*.volumes[0]", "*.volumeMounts[0]"])

    assert problem.where == f"{WORKER_POD}.volumes[1]"
    assert '"b"' in json.dumps(data, indent=1).splitlines()[problem.line]
    put(data, f"{WORKER_POD}.volumes", [volumes[0], {"name": "b", "emptyDir": {}}])
    loaded = load(data, ignore=["*.volumes[0]", "*.volumeMounts[0]"])
    assert loaded.ignored == (
        f"{WORKER_POD}.containers[0].volumeMounts[0]",
        f"{WORKER_POD}.volumes[0]",
    )


def public_manifest():
    """Return a manifest with what public ones have and one machine has not."""
    data = put(manifest(), f"{WORKER_POD}.nodeSelector", {"a": "b"})
    put(data, f"{LAUNCHER_POD}.tolerations", [{"key": "nvidia.com/gpu"}])
    put(data, f"{WORKER_POD}.tolerations", [{"key": "nvidia.com/gpu"}])
    limits = {"cpu": 1, "nvidia.com/gpu": 8, "vpc.amazonaws.com/efa": 4}
    put(data, f"{WORKER_POD}.containers.resources", {"limits": limits, "claims": [{"name": "x"}]})
    volumes = [{"name": "v", "emptyDir": {}}, {"name": "c", "configMap": {"name": "conf"}}]
    put(data, f"{WORKER_POD}.volumes", volumes)
    mounts = [{"name": "v", "mountPath": "/v"}, {"name": "c", "mountPath": "/c"}]
    put(data, f"{WORKER_POD}.containers.volumeMounts", mounts)
    secret = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    put(data, f"{LAUNCHER_POD}.containers.env", [secret])
    fields = {f"metadata.{name}": "x" for name in ("uid", "selfLink", "resourceVersion")}
    for path, value in {**fields, "status": {"x": 1}, "spec.runPolicy.suspend": True}.items():
        put(data, path, value)
    return data


def test_every_refused_field_at_once_with_the_line_that_ignores_them(load):
    """More than ten, those of rules among them; the line works as it is pasted."""
    with pytest.raises(ManifestError) as caught:
        load(public_manifest())

    text, _, options = str(caught.value).rpartition(" add ")
    assert len(caught.value.problems) == 13
    assert len(text.splitlines()) == 14
    assert "more" not in text
    assert text.endswith("\n  next: to run without what is refused,")
    words = shlex.split(options)
    assert words[::2] == ["--ignore"] * (len(words) // 2)
    assert "nvidia.com/gpu" in words[1::2]
    assert "nodeSelector" in words[1::2]
    job = load(public_manifest(), ignore=words[1::2]).job
    worker = job.spec.mpi_replica_specs.worker.template.spec
    assert [volume.name for volume in worker.volumes] == ["v"]
    assert list(worker.containers[0].resources.limits) == ["cpu"]
    assert job.spec.mpi_replica_specs.launcher.template.spec.containers[0].env[0].value == ""


def test_only_what_is_refused_is_ignored(load):
    """A name that stands in another place as well is told by its path."""
    data = put(manifest(), f"{WORKER_POD}.resources", {"limits": {"cpu": 1}})
    put(data, f"{WORKER_POD}.containers.resources", {"limits": {"cpu": 2}})

    with pytest.raises(ManifestError) as caught:
        load(data)

    pattern = shlex.split(str(caught.value))[-1]
    assert pattern == f"{WORKER_POD}.resources"
    job = load(data, ignore=[pattern]).job
    limits = job.spec.mpi_replica_specs.worker.template.spec.containers[0].resources.limits
    assert limits["cpu"].text == "2"


def test_what_is_wrong_is_not_to_be_ignored(load):
    """A typo or a wrong value has to be mended: no line hides it."""
    with pytest.raises(ManifestError) as caught:
        load(put(manifest(), "spec.slotsPerWorker", "2"))

    assert "--ignore" not in str(caught.value)


def test_claims(load):
    """A claim with a directory is taken; one that no pod names is remarked upon."""
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
    content = put(manifest(), f"{WORKER_POD}.volumes", [volume])

    job = load(content, claims={"data", "other"}).job

    said = list(remarks(job, claims={"data", "other"}))
    assert said == ["--claim other: no pod has a volume with this claim"]


def test_overrides(load):
    """The command line replaces image, workers and namespace of all replicas."""
    job = load(manifest(), overrides=Overrides("other", 5, "team")).job

    roles = job.spec.mpi_replica_specs
    assert roles.launcher.template.spec.containers[0].image == "other"
    assert roles.worker.template.spec.containers[0].image == "other"
    assert (job.workers, job.metadata.namespace) == (5, "team")


def test_overrides_are_checked(load):
    """An override that breaks a rule is refused like a manifest."""
    (problem,) = problems_of(
        load, manifest(metadata__name="p" * 53), overrides=Overrides(workers=1000)
    )

    assert problem.where == "metadata.name"


def test_remarks(load):
    """What has less effect here than on a cluster is said."""
    data = put(manifest(), f"{WORKER}.replicas", 1)
    put(data, f"{WORKER_POD}.volumes", [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}])
    put(data, f"{WORKER_POD}.restartPolicy", "Always")
    put(data, f"{WORKER}.template.metadata", {"annotations": {NETWORKS_ANNOTATION: "fast"}})

    texts = "\n".join(remarks(load(data).job))

    assert "only 1 worker" in texts
    assert "sizeLimit" in texts
    assert "restartPolicy" in texts
    assert NETWORKS_ANNOTATION in texts
    assert NETWORKS_ANNOTATION not in "\n".join(remarks(load(data).job, networks=2))


def test_field_paths():
    """Locations read as in Kubernetes' own messages."""
    assert format_field(("spec", "containers", 0, "name")) == "spec.containers[0].name"
