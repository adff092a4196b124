"""`configs/cluster/`: what can be said of the files without a cluster."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import tyro
import yaml

from neupl.cli.train import Train

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "configs" / "cluster"
RAY = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]


def test_the_job_of_kuberay_is_whole_and_its_command_is_one():
    job = yaml.safe_load((CLUSTER / "kuberay-rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == RAY
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        # KubeRay hands these to `ray start`: texts.
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        assert container["image"] == "neupl:latest"
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}
        assert container["resources"]["limits"] == container["resources"]["requests"]
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    program, name, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert (program, name) == ("neupl", "train")
    command = tyro.cli(Train, args=arguments)
    most = int(workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert command.ray == "auto" and command.workers == most * workers["maxReplicas"]
    image = (CLUSTER / "Dockerfile").read_text()
    folder = re.search(r"^WORKDIR (.*)$", image, re.MULTILINE)[1]
    assert (ROOT / command.config.relative_to(folder)).is_file()


def test_the_file_of_the_launcher_fits_its_schema():
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((CLUSTER / "ray-up.yaml").read_text())
    validate_config(prepare_config(config))
    assert config["min_workers"] == config["max_workers"] == len(config["provider"]["worker_ips"])


def test_the_script_for_slurm_is_a_script_and_says_how_it_is_called():
    script = CLUSTER / "slurm.sh"
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    done = subprocess.run(["bash", script], capture_output=True, text=True)
    assert done.returncode == 2 and "usage: sbatch" in done.stderr
