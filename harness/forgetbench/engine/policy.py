"""Reading a gate's policy, with errors that name file, line and key."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from forgetbench.errors import UsageError
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.policy import Policy
from forgetbench.tasks.strict_yaml import line_of, read_mapping


def read_policy(path: Path) -> Policy:
    """Read and validate a policy file.

    Raises:
        UsageError: The file is unreadable, no YAML, or holds an unknown key or a wrong value.
    """
    raw, node = read_mapping(path, what="policy", error=UsageError)
    try:
        return Policy.model_validate(raw)
    except ValidationError as error:
        first = first_invalid(error)
        where = f"{path}, line {line_of(node, first.location)}, key `{first.key}`"
        raise UsageError(where, first.cause, "See `forgetbench schema policy`.") from None
