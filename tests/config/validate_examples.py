"""validate_examples.py FOLDER: the schema is a schema, and what is good by it is good: each example, with its comments taken out."""

import json
import pathlib
import re
import sys

import jsonschema

folder = pathlib.Path(sys.argv[1])
schema = json.loads((folder / "sluice.schema.json").read_text())
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)


def without_comments(text):
    return re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda found: found[1] or "", text, flags=re.S)


failures = 0
for path in sorted((folder / "examples").iterdir()):
    for error in validator.iter_errors(json.loads(without_comments(path.read_text()))):
        failures += 1
        print(f"{path}: {error.json_path}: {error.message}")

# And what is wrong by the parser is wrong by it.
for wrong in ({}, {"upstream": 3000}, {"upstream": "a:1", "limts": []}, {"upstream": "a:1", "limits": [{"rate": "10"}]},
              {"upstream": "a:1", "timeouts": {"head": "10"}}, {"upstream": "a:1", "log": {"access": "some"}},
              {"upstream": "a:1", "max": {"headers": 257}}, {"upstream": "a:1", "limits": [{"rate": "1/s", "key": "headr:X"}]},
              {"upstream": "a:1", "routes": [{"upstream": "default", "respond": {}}]}, {"upstream": "a:1", "listen": []}):
    if validator.is_valid(wrong):
        failures += 1
        print(f"valid by the schema: {wrong}")
sys.exit(failures > 0)
