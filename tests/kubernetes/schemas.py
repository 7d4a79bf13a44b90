"""The OpenAPI that Kubernetes publishes, of versions that cannot be run here, as JSON schemas: offline once fetched.

    python -m tests.kubernetes.schemas      fetches them into the cache, once

They come in the package kubernetes-validate. It is not installed: Kubernetes' client would load it each time.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource

PACKAGE = "kubernetes-validate==1.37.0"
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gameday" / "kubernetes-openapi"
SCHEMAS = FOLDER / "kubernetes_validate" / "kubernetes-json-schema"
VERSIONS = ("1.25", "1.37")  # The oldest and the newest in it.


def is_there() -> bool:
    return SCHEMAS.is_dir()


def fetch() -> None:
    words = ["install", "-q", "--no-deps", "--retries", "5", "--target", str(FOLDER), PACKAGE]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)


@functools.cache
def _definitions(version: str) -> Resource[Any]:
    path = SCHEMAS / f"v{version}.0-local-strict" / "_definitions.json"
    return Resource.from_contents(json.loads(path.read_text()))


def check(item: dict[str, Any], version: str) -> None:
    """Check an object strictly: unknown keys are refused.

    Raises:
        jsonschema.ValidationError: It is not what that version takes.
        FileNotFoundError: That version has no such kind.
    """
    group, _, number = item["apiVersion"].rpartition("/")
    name = "-".join(filter(None, (item["kind"].lower(), group.partition(".")[0], number)))
    path = SCHEMAS / f"v{version}.0-local-strict" / f"{name}.json"
    schema = json.loads(path.read_text())
    registry: Registry[Any] = _definitions(version) @ Registry()
    jsonschema.Draft202012Validator(schema, registry=registry).validate(item)


if __name__ == "__main__" and not is_there():
    fetch()
