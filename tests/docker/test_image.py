"""The image: what is in it, and what is not."""

import json

import yaml

from support.docker import docker
from support.sluice import ROOT


def inspect(image):
    return json.loads(docker("image", "inspect", image))[0]["Config"]


def test_it_is_told_how_to_run_stop_and_watch_sluice(image):
    config = inspect(image)
    assert (config["Entrypoint"], config["Cmd"]) == (["sluice"], ["run"])
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "sluice", "healthcheck"]
    assert list(config["ExposedPorts"]) == ["8080/tcp"]


def test_it_does_not_run_as_root(image):
    assert inspect(image)["User"] == "10001:10001"
    assert docker("run", "--rm", "--network", "none", "--entrypoint", "id", image, "-u") == "10001"


def test_it_holds_the_program_and_no_compiler(image):
    assert docker("run", "--rm", "--network", "none", image, "version").startswith("sluice 0.")
    tools = docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c",
                   "command -v g++ cmake ninja; ls /src 2>/dev/null; echo end")
    assert tools == "end"


def test_its_own_configuration_is_valid(image):
    assert docker("run", "--rm", "--network", "none", image, "check") == "ok"


def test_the_configuration_in_the_manifest_of_kubernetes_is_valid(image, tmp_path):
    documents = {each["kind"]: each for each in yaml.safe_load_all((ROOT / "docker/kubernetes.yaml").read_text())}
    assert set(documents) == {"ConfigMap", "Secret", "Deployment", "Service"}
    tmp_path.chmod(0o755)
    file = tmp_path / "sluice.json"
    file.write_text(documents["ConfigMap"]["data"]["sluice.json"])
    assert docker("run", "--rm", "--network", "none", "--env", "SLUICE_TOKEN=secret", "--volume",
                  f"{file}:/etc/sluice/sluice.json:ro", image, "check") == "ok"
