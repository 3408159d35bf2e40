"""A new Debian in a folder, with what this machine knows of how to reach packages: its mirror, sources and proxies."""

import contextlib
import pathlib
import shutil
import subprocess
import tempfile

SUITE = "bookworm"


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def sources():
    """(release, address) of every suite that this machine gets packages of."""
    known = output_of("apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages")
    return list(dict.fromkeys(tuple(line.split()) for line in known.splitlines()))


def mirror():
    """The address that this machine gets Debian's packages from."""
    for release, address in sources():
        # Suites with a dash hold updates to one without: no system can be made of them alone.
        if "-" not in release and address.rstrip("/").endswith("/debian"):
            return address
    raise RuntimeError("apt knows no mirror of Debian; see /etc/apt/sources.list.d")


@contextlib.contextmanager
def debian_folder():
    """A minimal Debian (`debootstrap --variant=minbase`: bash and apt, hardly more), removed in the end."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-debian-"))
    folder.chmod(0o755)
    try:
        address = mirror()
        made = subprocess.run(["debootstrap", "--variant=minbase", SUITE, folder, address], capture_output=True, text=True)
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr
        apt = folder / "etc/apt"
        # With the updates, as an installed Debian has it: parts of the toolchain come by them.
        ours = [(release, at) for release, at in sources() if release.split("-")[0] == SUITE] or [(SUITE, address)]
        (apt / "sources.list").write_text("".join(f"deb {at} {release} main\n" for release, at in ours))
        proxies = [line for line in output_of("apt-config", "dump").splitlines()
                   if line.startswith("Acquire::") and "::proxy" in line.lower()]
        (apt / "apt.conf.d/90proxies").write_text("\n".join(proxies) + "\n")
        shutil.rmtree(folder / "var/cache/apt/archives")
        (folder / "var/cache/apt/archives/partial").mkdir(parents=True)
        (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")
        yield folder
    finally:
        shutil.rmtree(folder)
