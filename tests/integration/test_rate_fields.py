"""RateLimit and RateLimit-Policy under a parser of RFC 9651 that is not ours: npm's structured-headers."""

import json
import pathlib
import shutil
import subprocess

import pytest

from support.wait import PATIENCE

SCRIPT = pathlib.Path(__file__).parent / "clients" / "structured.mjs"


@pytest.fixture(scope="module")
def parse(tmp_path_factory):
    """parse(values) -> for each a list of [value, parameters], or None where it is no list."""
    folder = tmp_path_factory.mktemp("npm")
    if not shutil.which("npm"):
        pytest.skip("there is no npm to install the parser with")
    try:
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "structured-headers@2.1.0"], capture_output=True, text=True,
                              timeout=60 * PATIENCE)
    except subprocess.TimeoutExpired:
        pytest.skip("npm's registry does not answer")
    if done.returncode != 0:
        pytest.skip(f"npm could not install the parser: {done.stderr[-300:]}")

    def run(values):
        out = subprocess.run(["node", SCRIPT, folder], input=json.dumps(values), capture_output=True, text=True, timeout=30 * PATIENCE, check=True)
        return json.loads(out.stdout)

    return run


def test_the_parser_tells_lists_from_none(parse):
    assert parse(['"a";q=1, "b"', '"a";;', "a b"]) == [[["a", {"q": 1}], ["b", {}]], None, None]


def test_rate_fields_are_structured_lists(pair, parse):
    strange = 'a "quoted" \\ name; r=5, "b"'
    limits = [{"name": "per-ip", "rate": "1/h", "burst": 3}, {"name": strange, "rate": "1000000000/s", "burst": 2**31 - 1}, {"name": "slow", "rate": "1/1d", "burst": 5},
              {"name": "posts", "rate": "5/10s", "key": "header:X-Key", "match": {"method": ["POST"]}}, {"name": "shadow", "rate": "1/h", "mode": "shadow"}]
    client = pair(limits=limits).client()
    answers = [client.get() for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 3 + [429] * 2
    policies, nearest = (parse([answer.one(name) for answer in answers]) for name in ("RateLimit-Policy", "RateLimit"))
    expected = [["per-ip", {"q": 3, "w": 10800}], [strange, {"q": 2**31 - 1, "w": 3}], ["slow", {"q": 5, "w": 432000}]]
    assert policies == [expected] * 5
    for answer, ((name, parameters),) in zip(answers, nearest):
        assert name == "per-ip" and set(parameters) <= {"r", "t"} and all(isinstance(value, int) and value >= 0 for value in parameters.values())
    assert [parameters["r"] for ((_, parameters),) in nearest] == [2, 1, 0, 0, 0]
    assert nearest[4][0][1]["t"] in (3599, 3600) and int(answers[4].one("Retry-After")) == nearest[4][0][1]["t"]


@pytest.mark.parametrize("algorithm", ["token_bucket", "fixed_window", "sliding_window", "concurrency"])
def test_rate_fields_of_every_algorithm(pair, parse, algorithm):
    limit = {"name": "x", "algorithm": algorithm, **({"max": 4} if algorithm == "concurrency" else {"rate": "4/h"})}
    answer = pair(limits=[limit]).client().get()
    policy, nearest = parse([answer.one("RateLimit-Policy"), answer.one("RateLimit")])
    assert policy[0][0] == nearest[0][0] == "x"
    assert policy[0][1]["q"] == 4 and nearest[0][1]["r"] == 3
    assert (policy[0][1].get("qu") == "concurrent-requests") == (algorithm == "concurrency")
