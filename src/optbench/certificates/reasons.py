"""Why a part of a rule has no reference that is somebody else's: by class, then by the text of the line or the form."""

REASONS: dict[str, dict[str, str]] = {}
