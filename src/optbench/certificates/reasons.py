"""Why a part of a rule has no reference that is somebody else's: by class, then by the text of the line or the form.

`*` stands for all of a class.
"""

REASONS: dict[str, dict[str, str]] = {
    "Hyperball": {"*": "no package has it; beside our own recurrence only"},
}
