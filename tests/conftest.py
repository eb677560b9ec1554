"""What every test may ask for."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `import figures`

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture
def shared() -> Path:
    """The developers' data folder beside the checkout; a test that needs it skips without it."""
    if not SHARED.is_dir():
        pytest.skip("the developers' data folder is not beside this checkout")
    return SHARED
