import pytest

from optbench.surfaces.compute import compute
from optbench.surfaces.request import Request, describe


@pytest.fixture(scope="session")
def scenes():
    """The scenes of a study by name, computed from its config once."""
    known = {}

    def get(study, *overrides):
        if (study, overrides) not in known:
            request = Request.of([f"study={study}", *overrides])
            found = [compute(setting, request.folders) for setting in describe(request, request.config())]
            known[study, overrides] = {scene.name: scene for scene in found}
        return known[study, overrides]

    return get
