#!/usr/bin/env python3
"""Makes constraints.json from botocore's model of CodePipeline: facts only, none of its prose.

    python3 make.py .../botocore/data/codepipeline/2015-07-09/service-2.json.gz

The table holds, for each operation, its input shape and the errors it may answer with; each error's HTTP status; and each
shape that an input reaches with what limits its values. Members keep the model's order, in which violations are reported.
"""
import gzip
import json
import pathlib
import sys

# Shapes whose values must never be echoed, though the model does not mark them: webhook secrets, the tokens by which
# third-party job workers and approvers prove themselves, and the values of variables. (Values in maps, such as an action's
# configuration with its OAuthToken, are never echoed by the messages' form.)
SECRET = {
    "ApprovalToken",
    "ClientToken",
    "EnvironmentVariableValue",
    "PipelineVariableValue",
    "WebhookAuthConfigurationSecretToken",
}


def shape_facts(name, shape):
    kind = shape["type"]
    facts = {}
    if kind == "structure":
        required = set(shape.get("required", []))
        facts["members"] = [
            [member, target["shape"], member in required] for member, target in shape["members"].items()
        ]
    elif kind == "list":
        facts["member"] = shape["member"]["shape"]
    elif kind == "map":
        facts["key"] = shape["key"]["shape"]
        facts["value"] = shape["value"]["shape"]
    elif kind not in ("string", "integer", "boolean", "timestamp"):
        raise SystemExit(f"{name}: the walk does not know the type {kind}")
    for limit in ("min", "max", "pattern", "enum"):
        if limit in shape:
            facts[limit] = shape[limit]
    if shape.get("sensitive") or name in SECRET:
        facts["sensitive"] = True
    return {kind: facts}


def reached(shapes, roots):
    seen, todo = set(), list(roots)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        shape = shapes[name]
        todo += [member["shape"] for member in shape.get("members", {}).values()]
        todo += [shape[part]["shape"] for part in ("member", "key", "value") if part in shape]
    return seen


def main(source):
    with gzip.open(source, "rt", encoding="utf-8") as file:
        model = json.load(file)
    shapes = model["shapes"]
    operations = {
        name: {
            "input": operation["input"]["shape"],
            "errors": sorted(error["shape"] for error in operation.get("errors", [])),
        }
        for name, operation in sorted(model["operations"].items())
    }
    errors = {
        name: shape.get("error", {}).get("httpStatusCode", 400)
        for name, shape in sorted(shapes.items())
        if shape.get("exception")
    }
    wanted = reached(shapes, [operation["input"] for operation in operations.values()])
    sections = {
        "operations": operations,
        "errors": errors,
        "shapes": {name: shape_facts(name, shapes[name]) for name in sorted(wanted)},
    }
    # One entry a line, so that a new model shows as a readable difference.
    lines = []
    for section, entries in sections.items():
        rows = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in entries.items())
        lines.append(f"{json.dumps(section)}:{{\n{rows}\n}}")
    target = pathlib.Path(__file__).with_name("constraints.json")
    target.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
