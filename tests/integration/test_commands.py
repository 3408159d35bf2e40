"""The command line: exit codes, clear words, and every mistake of a configuration in one go."""

import json
import re
import socket
import subprocess

import pytest

from support.client import get
from support.names import Names
from support.ports import free_port
from support.sluice import BINARY, LEASH, ROOT, SANITIZER_MEMORY, run

GOOD = {"listen": "127.0.0.1:8080", "upstream": "127.0.0.1:3000", "limits": [{"rate": "10/s", "burst": 20}]}


@pytest.fixture
def check(tmp_path):
    """check(configuration as text or dict) -> (exit code, stdout, lines of stderr) of `sluice check`."""

    def checker(config, **options):
        file = tmp_path / "sluice.json"
        file.write_text(config if isinstance(config, str) else json.dumps(config))
        done = run("check", "-c", file, **options)
        return done.returncode, done.stdout, [line.replace(str(file), "FILE") for line in done.stderr.splitlines()]

    return checker


def test_a_good_file_is_ok(check):
    assert check(GOOD) == (0, "ok\n", [])


def test_comments_and_the_environment(check):
    text = '{ // a comment\n "listen": "127.0.0.1:${PORT:-8080}", /* and\n another */ "upstream": "${APP}" }'
    assert check(text, environment={"APP": "127.0.0.1:3000"})[0] == 0
    code, _, errors = check(text, environment={"PORT": "99999", "APP": "127.0.0.1:3000"})
    assert code == 1 and len(errors) == 1 and "/listen" in errors[0]


def test_an_unset_variable_is_an_error(check):
    code, _, errors = check('{\n  "upstream": "${SLUICE_TEST_UNSET}"\n}')
    assert code == 1 and len(errors) == 1
    assert errors[0].startswith("FILE:2:15: /upstream: ") and "SLUICE_TEST_UNSET" in errors[0]


MISTAKES = {
    "wrong type": ('{\n  "listen": "127.0.0.1:8080",\n  "upstream": 3000\n}', 3, 15, "/upstream", ["string"]),
    "unknown key": ('{\n  "upstream": "a:1",\n  "colour": "red"\n}', 3, 3, "/colour", ["unknown"]),
    "misspelt key": ('{\n  "upstream": "a:1",\n  "limts": []\n}', 3, 3, "/limts", ["did you mean", "limits"]),
    "misspelt inner key": ('{\n  "upstream": "a:1",\n  "limits": [\n    { "rate": "1/s",\n      "brust": 2 } ]\n}', 5, 7, "/limits/0/brust", ["did you mean", "burst"]),
    "bad CIDR": ('{\n  "upstream": "a:1",\n  "deny": [ "10.0.0.0/33" ]\n}', 3, 13, "/deny/0", ["10.0.0.0/33"]),
    "bad rate": ('{\n  "upstream": "a:1",\n  "limits": [ { "rate": "10 per second" } ]\n}', 3, 25, "/limits/0/rate", ["10 per second", "10/s"]),
    "no unit of a rate": ('{ "upstream": "a:1", "limits": [ { "rate": "10" } ] }', 1, 44, "/limits/0/rate", []),
    "bad duration": ('{\n  "upstream": "a:1",\n  "timeouts": { "head": "10" }\n}', 3, 25, "/timeouts/head", []),
    "bad size": ('{\n  "upstream": "a:1",\n  "max": { "head": "16 kilo" }\n}', 3, 20, "/max/head", []),
    "bad choice": ('{\n  "upstream": "a:1",\n  "log": { "access": "some" }\n}', 3, 22, "/log/access", ["all", "limited", "off"]),
    "negative": ('{\n  "upstream": "a:1",\n  "limits": [ { "rate": "1/s", "burst": -1 } ]\n}', 3, 41, "/limits/0/burst", []),
    "unknown upstream": ('{\n  "upstreams": { "app": { "servers": [ "a:1" ] } },\n  "routes": [ { "upstream": "ap" } ]\n}', 3, 29, "/routes/0/upstream", ["app"]),
    "bad listen": ('{\n  "listen": "8080",\n  "upstream": "a:1"\n}', 2, 13, "/listen", []),
    "key twice": ('{\n  "upstream": "a:1",\n  "upstream": "b:2"\n}', 3, 3, "/upstream", []),
    "two limits of one name": ('{\n  "upstream": "a:1",\n  "limits": [ { "name": "x", "rate": "1/s" },\n    { "name": "x", "rate": "2/s" } ]\n}', 4, 15, "/limits/1/name", []),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_one_clear_line(check, name):
    text, line, column, pointer, words = MISTAKES[name]
    code, out, errors = check(text)
    assert code == 1 and out == ""
    assert len(errors) == 1, errors
    assert errors[0].startswith(f"FILE:{line}:{column}: {pointer}: "), errors[0]
    for word in words:
        assert word in errors[0], errors[0]


@pytest.mark.parametrize("text,line,column", [("{\n  \"upstream\": \n}", 3, 1), ("", 1, 1), ("{\n  \"a\": 1,\n}", 3, 1), ("[1, 2]", 1, 1), ("{} x", 1, 4)])
def test_broken_json_is_one_line_with_its_place(check, text, line, column):
    code, _, errors = check(text)
    assert code == 1 and len(errors) == 1, errors
    assert errors[0].startswith(f"FILE:{line}:{column}: "), errors[0]


def test_all_mistakes_at_once(check):
    text = "{\n" + ",\n".join(['  "upstream": 1', '  "limts": []', '  "deny": [ "x" ]', '  "timeouts": { "head": "soon", "tail": "1s" }']) + "\n}"
    code, _, errors = check(text)
    assert code == 1 and len(errors) == 5
    assert [re.match(r"FILE:(\d+):", line)[1] for line in errors] == ["2", "3", "4", "5", "5"]


def test_run_says_the_same_and_exits_1(tmp_path):
    file = tmp_path / "sluice.json"
    file.write_text('{\n  "upstream": 1,\n  "limts": []\n}')
    done = run("run", "-c", file)
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines() if line.startswith(str(file))] == ["/upstream", "/limts"]


def one_line(done):
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == "" and len(lines) == 1, done
    return lines[0]


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_missing_file(command, tmp_path):
    line = one_line(run(command, "-c", tmp_path / "nosuch.json"))
    assert "nosuch.json" in line and "No such file" in line


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_folder_instead_of_a_file(command, tmp_path):
    assert str(tmp_path) in one_line(run(command, "-c", tmp_path))


@pytest.mark.parametrize("which", ["listen", "admin"])
def test_a_port_in_use(tmp_path, which):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        config = {"listen": f"127.0.0.1:{free_port()}", "upstream": "127.0.0.1:1", "admin": {"address": f"127.0.0.1:{free_port()}"}}
        config[which] = address if which == "listen" else {"address": address}
        file = tmp_path / "sluice.json"
        file.write_text(json.dumps(config))
        done = run("run", "-c", file)
        lines = [line for line in done.stderr.splitlines() if address in line]
        assert done.returncode == 1 and len(lines) == 1 and "in use" in lines[0].lower(), done.stderr


def test_the_file_from_the_environment(tmp_path):
    file = tmp_path / "elsewhere.json"
    file.write_text(json.dumps(GOOD))
    assert run("check", environment={"SLUICE_CONFIG": str(file)}).returncode == 0
    file.write_text("{}}")
    done = run("check", environment={"SLUICE_CONFIG": str(file)})
    assert done.returncode == 1 and str(file) in done.stderr


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["run", "--nonsense"], ["check", "-c"], ["version", "extra"], ["stats", "-a"]])
def test_wrong_usage_is_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and done.stderr and done.stdout == ""


def test_a_misspelt_command_is_named():
    done = run("chekc", "-c", "x.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == 'sluice: there is no command "chekc"; did you mean "check"?'


def test_an_empty_variable_names_no_file():
    done = run("check", environment={"SLUICE_CONFIG": ""})
    assert done.returncode == 0 or done.stderr.startswith("/etc/sluice/sluice.json:")


def test_help_is_0():
    done = run("--help")
    assert done.returncode == 0
    for command in ("run", "check", "schema", "stats", "healthcheck", "version"):
        assert command in done.stdout


def test_schema_is_the_file():
    done = run("schema")
    assert done.returncode == 0 and json.loads(done.stdout)["$schema"].startswith("https://json-schema.org/")
    assert done.stdout == (ROOT / "config/sluice.schema.json").read_text()


def test_schema_knows_every_key_of_the_model():
    properties = json.loads(run("schema").stdout)["properties"]
    for key in ("listen", "upstream", "upstreams", "routes", "client", "allow", "deny", "limits", "response", "clients", "store", "timeouts",
                "max", "admin", "log", "runtime"):
        assert key in properties


def test_version():
    done = run("version")
    assert done.returncode == 0
    for word in ("0.1.0", "g++", "Boost", "OpenSSL"):
        assert re.search(word.replace("g++", r"(g\+\+|GCC|gcc|clang)"), done.stdout), done.stdout
    assert run("--version").stdout == done.stdout


def test_healthcheck(pair):
    proxy = pair()
    admin = "{}:{}".format(*proxy.sluice.admin)
    assert run("healthcheck", "-a", admin).returncode == 0
    proxy.sluice.stop()
    done = run("healthcheck", "-a", admin)
    assert done.returncode == 1 and done.stderr.count("\n") == 1


@pytest.mark.skipif(SANITIZER_MEMORY != 1, reason="a sanitizer wants to be loaded first")
def test_every_address_of_a_name_is_tried(pair, tmp_path):
    """As with localhost, which is ::1 first, where Sluice listens on 127.0.0.1 only."""
    host, port = pair().sluice.admin
    names = Names(tmp_path)
    names.stand_for(sidecar=["::1", host], several=["::1", "127.0.0.9", host])
    for name in ("sidecar", "several"):
        for command in ("healthcheck", "stats"):
            done = run(command, "-a", f"{name}:{port}", environment=names.environment)
            assert done.returncode == 0, done.stderr


def test_stats_is_a_table(pair):
    proxy = pair(limits=[{"name": "per-ip", "rate": "1/h", "burst": 2}])
    client = proxy.client()
    for _ in range(5):
        client.get()
    done = run("stats", "-a", "{}:{}".format(*proxy.sluice.admin))
    assert done.returncode == 0 and done.stderr == ""
    row, = [line for line in done.stdout.splitlines() if "per-ip" in line]
    assert {"2", "3"} <= set(re.findall(r"\d+", row))
    assert proxy.upstream.address in done.stdout and "\x1b" not in done.stdout


def test_stats_tells_what_a_limit_delayed(pair):
    proxy = pair(limits=[{"name": "slow", "rate": "4/s", "burst": 1, "action": "delay"}])
    client = proxy.client()
    client.send(get() * 4)
    assert [client.read().status for _ in range(4)] == [200] * 4
    done = run("stats", "-a", "{}:{}".format(*proxy.sluice.admin))
    head, row = [line.split() for line in done.stdout.splitlines() if line.startswith(("limit ", "slow "))]
    assert dict(zip(head, row))["delayed"] == "3"


def test_stats_of_nobody():
    done = run("stats", "-a", f"127.0.0.1:{free_port()}")
    assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_stats_watch_refreshes(pair):
    proxy = pair()
    process = subprocess.Popen([*map(str, watch_command(proxy))], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        seen = b""
        while seen.count(proxy.upstream.address.encode()) < 2:
            piece = process.stdout.read1(65536)
            assert piece, seen
            seen += piece
        assert b"\x1b[" in seen
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def watch_command(proxy):
    return [*LEASH, BINARY, "stats", "--watch", "-a", "{}:{}".format(*proxy.sluice.admin)]


def test_the_demo_has_nothing_to_warn_of(start_sluice):
    """What `./dev run` serves, at other ports."""
    text = (ROOT / "docker/demo.json").read_text()
    for port in ("8080", "8081"):
        text = text.replace(f":{port}", f":{free_port()}").replace("0.0.0.0", "127.0.0.1")
    sluice = start_sluice(json.loads(re.sub(r"(?m)^ *//.*$", "", text)))
    with sluice.client() as client:
        assert client.get().body == b"Hello from the demo application.\n"
    sluice.stop()
    warnings = [line for line in sluice.output.splitlines() if "warn" in line and "ulimit" not in line]
    assert not warnings


NOT_YET = re.compile("not supported yet")


@pytest.mark.parametrize("config", [
    {"store": {"redis": "redis://127.0.0.1:6379/0"}},
    {"limits": [{"rate": "1/s", "action": "delay"}]},
    {"limits": [{"rate": "1/s", "algorithm": "sliding_window"}]},
    {"limits": [{"algorithm": "concurrency", "max": 3}]},
    {"limits": [{"rate": "1/s", "ban": {"after": 3, "within": "1m", "for": "1m"}}]},
    {"check": "127.0.0.1:8082"},
], ids=lambda config: json.dumps(config)[:40])
def test_nothing_is_accepted_and_ignored(check, config):
    """What is not built is refused in these words; what is built has tests of its own and is accepted."""
    code, out, errors = check({**GOOD, **config})
    assert (code, out, errors) == (0, "ok\n", []) or (code == 1 and len(errors) == 1 and NOT_YET.search(errors[0])), errors
