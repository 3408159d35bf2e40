"""Docker as the tests use it: the daemon that answers, or one of our own for as long as the tests run."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from support.sluice import LEASH
from support.wait import wait_until


def docker(*arguments, **options):
    """Runs `docker ARGUMENTS` and returns what it printed."""
    done = subprocess.run(["docker", *map(str, arguments)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          **options)
    assert done.returncode == 0, f"docker {' '.join(map(str, arguments))}:\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


def answers():
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0


@contextlib.contextmanager
def own_daemon():
    """A dockerd in a folder of its own. Without rules of the packet filter: they would make every packet of this
    machine dearer, and are not needed, since published ports are forwarded by a process too."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-docker-"))
    socket = f"unix://{folder}/socket"
    log = open(folder / "log", "w")
    process = subprocess.Popen(
        [*LEASH, "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid",
         "--host", socket, "--iptables=false", "--ip6tables=false", "--bridge=none"],
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ['PATH']}"})
    os.environ["DOCKER_HOST"] = socket
    try:
        wait_until(lambda: process.poll() is not None or answers(), "dockerd answers", seconds=60)
        assert process.poll() is None, (folder / "log").read_text()[-4000:]
        yield
    finally:
        process.terminate()
        process.wait(60)
        del os.environ["DOCKER_HOST"]
        for mount in pathlib.Path("/proc/mounts").read_text().splitlines():
            if mount.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", mount.split()[1]], check=True)
        shutil.rmtree(folder)
