"""A Docker daemon, Debian's image, our image, and docker/compose.yaml up and running; each is made where it is lacking,
and only what was made here is stopped and removed."""

import contextlib
import os
import subprocess

import pytest

from support.debian import debian_folder
from support.docker import answers, docker, own_daemon
from support.ports import free_port
from support.sluice import ROOT

BASE = "debian:bookworm-slim"


@pytest.fixture(scope="session")
def daemon():
    with contextlib.nullcontext() if answers() else own_daemon():
        yield


@pytest.fixture(scope="session")
def base(daemon):
    """Debian's image, or one like it, made of Debian's packages."""
    if docker("images", "--quiet", BASE):
        yield BASE
        return
    with debian_folder() as folder:
        tar = subprocess.Popen(["tar", "--directory", folder, "--create", "."], stdout=subprocess.PIPE)
        docker("import", "-", BASE, stdin=tar.stdout)
        assert tar.wait() == 0
    yield BASE
    docker("rmi", "--force", BASE)


def build(name, folder):
    tag = f"{name}:test-{os.getpid()}"
    docker("build", "--network", "host", "--tag", tag, folder)
    return tag


@pytest.fixture(scope="session")
def image(base):
    """The image of the Dockerfile."""
    tag = build("sluice", ROOT)
    yield tag
    docker("rmi", "--force", tag)


class Stack:
    """docker/compose.yaml, up."""

    def __init__(self, image, app_image):
        self.port = free_port()
        self._project = f"sluice-test-{os.getpid()}"
        self._environment = {**os.environ, "SLUICE_IMAGE": image, "APP_IMAGE": app_image, "SLUICE_PORT": str(self.port)}
        plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        self._command = ["docker", "compose"] if plugin else ["docker-compose"]

    def compose(self, *arguments):
        done = subprocess.run([*self._command, "--project-name", self._project, "--file", ROOT / "docker/compose.yaml",
                               *arguments], env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, f"compose {' '.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def container(self, service):
        return self.compose("ps", "--quiet", service)


@pytest.fixture(scope="session")
def stack(image):
    app_image = build("sluice-app", ROOT / "docker/app")
    stack = Stack(image, app_image)
    try:
        stack.compose("up", "--detach", "--no-build")
        yield stack
    finally:
        stack.compose("down", "--volumes")
        docker("rmi", "--force", app_image)
